"""Memory of each service while a long request goes through the stack; run by hand.

``python tests/benchmarks/stack_memory.py [MIB]`` seals a chat with an image, 64 MiB of JSON unless told, to one node
and sends it through relay, gateway, router, node and engine, each a program of its own. Printed are the peak resident
size of each and what this request added to the peak after a short one. Exit status 1 when a service other than the
node's worker added 16 MiB or more, or when the answer is not whole. Linux only: sizes come from /proc.
"""

from __future__ import annotations

import argparse
import json
import platform
import re
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic

import anyio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from conformance.vectors.currency_keys import DEPLOYED_1024
from openpcc_ref import compute_messages as cm
from openpcc_ref.badges import encode_text, sign_badge
from openpcc_ref.binary_http import (
    Content,
    Fields,
    Request,
    RequestEncoder,
    RequestHead,
    ResponseDecoder,
    ResponseHead,
    field_value,
)
from openpcc_ref.credits import Issuer, Payee, credit
from openpcc_ref.credits.currency import exact
from openpcc_ref.hpke import KemId, kem
from openpcc_ref.http1 import connect, exchange
from openpcc_ref.oblivious_http import Form, RequestSealer, ResponseOpener, derive_gateway_key
from openpcc_ref.routing import Candidate, NodeEvent, RoutingInfo, encode_event, encode_request_info, make_node_id
from openpcc_ref.sources import system_clock, system_random

LIMIT_MIB = 16
MODEL = "llama3.2:1b"
SEED = bytes(32)


class Peaks:
    """The peak resident sizes of some programs and their children, looked at until closed."""

    def __init__(self) -> None:
        self.programs: dict[str, int] = {}
        self.peaks: dict[str, dict[int, float]] = {}
        self._done = threading.Event()
        self._watching = threading.Thread(target=self._watch)

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Look every few milliseconds: a worker is gone after its request."""
        self._watching.start()
        try:
            yield
        finally:
            self._done.set()
            self._watching.join()

    def _watch(self) -> None:
        while not self._done.wait(0.005):
            self.look()

    def look(self) -> None:
        for name, pid in self.programs.items():
            self._note(name, pid)
            for child in _children(pid):
                self._note(f"{name}, zygote", child)
                for worker in _children(child):
                    self._note(f"{name}, worker", worker)

    def _note(self, name: str, pid: int) -> None:
        peak = _peak_mib(pid)
        if peak:
            self.peaks.setdefault(name, {})[pid] = peak

    def by_name(self) -> dict[str, float]:
        """Return the largest peak under each name in MiB."""
        return {name: max(sizes.values()) for name, sizes in self.peaks.items()}


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _peak_mib(pid: int) -> float:
    try:
        found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    except OSError:
        return 0.0
    return int(found[1]) / 1024 if found else 0.0


class Programs:
    """Starts services by the launch protocol."""

    def __init__(self, running: ExitStack, peaks: Peaks) -> None:
        self._running = running
        self._peaks = peaks

    def start(self, role: str, config: object) -> str:
        """Start one and return its URL."""
        command = [sys.executable, "-m", f"openpcc_ref.services.{role}"]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._running.callback(process.wait)
        assert process.stdin is not None
        assert process.stdout is not None
        self._running.callback(process.stdin.close)
        process.stdin.write(json.dumps(config) + "\n")
        process.stdin.flush()
        self._peaks.programs[role] = process.pid
        return str(json.loads(process.stdout.readline())["url"])


def paid() -> bytes:
    """Return a credit of 200."""
    issuer = Issuer(DEPLOYED_1024, random=system_random, clock=system_clock, allow_test_key=True)
    payee = Payee(DEPLOYED_1024.public_key, random=system_random, clock=system_clock, allow_test_key=True)
    pending = payee.begin(exact(200))
    return credit.encode_text(pending.finalize(issuer.blind_sign(pending.request))).encode()


def chat(length: int) -> bytes:
    """Return a body of that many bytes: a chat with an image."""
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,"}}
    content = [{"type": "text", "text": "what is this"}, image]
    empty = json.dumps({"model": MODEL, "stream": True, "messages": [{"role": "user", "content": content}]}).encode()
    return empty.replace(b"base64,", b"base64," + b"A" * (length - len(empty)))


def inner_request(body: bytes) -> Request:
    badge = encode_text(sign_badge([MODEL], SEED)).encode()
    length = (b"content-length", str(len(body)).encode())
    fields = (length, (b"content-type", b"application/json"), (b"x-confsec-badge", badge))
    return Request(RequestHead(b"POST", b"http", b"confsec.invalid", b"/v1/chat/completions", fields), body)


async def register(router: str, node: str) -> str:
    """Tell the router of the node; wait until it has found it healthy. Returns the node's id."""
    node_id = make_node_id(int(system_clock().timestamp() * 1000), random=system_random)
    info = RoutingInfo(f"{node}/", f"{node}/_health", frozenset({"llm"}), b"")
    event = encode_event(NodeEvent(node_id, 0, system_clock().timestamp(), False, info))
    await exchange(router, b"POST", b"/node-events", ((b"content-type", b"application/octet-stream"),), event)
    await anyio.sleep(1.0)
    return node_id


async def pieces(sealer: RequestSealer, fields: Fields, message: bytes) -> AsyncIterator[bytes]:
    """Yield the encapsulated request."""
    encoder = RequestEncoder(
        RequestHead(b"POST", b"http", b"confsec-router.invalid", b"/", fields), content_length=None
    )
    yield sealer.header() + sealer.seal(encoder.start())
    for start in range(0, len(message), 16000):
        yield sealer.seal(encoder.content(message[start : start + 16000]))
    yield sealer.seal(encoder.finish()) + sealer.finish()


async def ask(relay: str, node_id: str, node_key: bytes, body: bytes, form: cm.Form) -> tuple[int, bytes]:
    """Send the request and return status and content of the answer."""
    media_type, message, [(key, context)] = cm.seal_request(inner_request(body), [node_key], form, random=system_random)
    info = encode_request_info([Candidate(node_id, key)]).encode()
    fields = ((b"content-type", media_type), (b"x-routing-info", info), (b"x-credit", paid()))
    sealer = RequestSealer(derive_gateway_key(1, KemId.DHKEM_X25519, SEED).config, Form.CHUNKED, random=system_random)
    async with connect(relay, step_s=300) as connection:
        outer = ((b"content-type", b"message/ohttp-chunked-req"), (b"transfer-encoding", b"chunked"))
        await connection.send_head(b"POST", b"/", outer)
        async for piece in pieces(sealer, fields, message):
            await connection.send(piece)
        await connection.finish()
        response = await connection.response()
        sealed = await response.read()
    opener, decoder = ResponseOpener(sealer.context, Form.CHUNKED), ResponseDecoder()
    parts = [*opener.feed(sealed), *opener.finish()]
    events = [event for part in parts for event in decoder.feed(part)]
    events += decoder.finish()
    head = next(event for event in events if isinstance(event, ResponseHead))
    content = b"".join(event.data for event in events if isinstance(event, Content))
    if head.status != 200:
        return head.status, content
    inner = cm.open_response(field_value(head.fields, b"content-type") or b"", content, context)
    return inner.head.status, inner.content


async def run(mebibytes: int, form: cm.Form) -> bool:
    """Start everything, send one request, print what it showed, and say whether all is as it should be."""
    peaks = Peaks()
    with ExitStack() as running:
        programs = Programs(running, peaks)
        lock = programs.start("nonce_lock", {})
        primes = {"p": f"{DEPLOYED_1024.p:x}", "q": f"{DEPLOYED_1024.q:x}"}
        router = programs.start(
            "router",
            {"currency_key": primes, "allow_test_key": True, "nonce_lock_url": lock, "check_every_ms": 100},
        )
        engine = programs.start("engine", {})
        pair = kem(cm.COMPUTE_SUITE.kem_id).derive_key_pair(SEED)
        badge_key = Ed25519PrivateKey.from_private_bytes(SEED).public_key().public_bytes_raw()
        node = programs.start(
            "node",
            {
                "secret_key": pair.secret_key.hex(),
                "models": [MODEL],
                "tags": ["llm"],
                "badge_public_key": badge_key.hex(),
                "engine_url": engine,
                "max_body": 64 * 2**20,
            },
        )
        keys = [{"id": 1, "kem_id": int(KemId.DHKEM_X25519), "seed": SEED.hex()}]
        gateway = programs.start("gateway", {"bank_url": lock, "router_url": router, "keys": keys})
        relay = programs.start("relay", {"gateway_url": gateway})
        node_id = await register(router, node)
        await ask(relay, node_id, pair.public_key, chat(1000), form)
        peaks.look()
        before = peaks.by_name()
        with peaks.watched():
            began = monotonic()
            status, content = await ask(relay, node_id, pair.public_key, chat(mebibytes * 2**20), form)
            took = monotonic() - began
    whole = status == 200 and content.endswith(b"data: [DONE]\n\n")
    print(f"{mebibytes} MiB, sealed {form.name.lower()}: status {status}, {took:.1f} s; peak MiB")
    fine = whole
    for name, peak in peaks.by_name().items():
        added = peak - before.get(name, peak)
        print(f"  {name:<14} {peak:7.1f}   {added:+7.1f}")
        fine = fine and (added < LIMIT_MIB or name == "node, worker")
    return fine


def main() -> int:
    """Run the benchmark for both forms."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("mebibytes", nargs="?", type=int, default=64)
    asked = parser.parse_args()
    print(f"{datetime.now(UTC):%Y-%m-%d} {platform.machine()}, Python {platform.python_version()}")
    fine = [anyio.run(run, asked.mebibytes, form) for form in cm.Form]
    return 0 if all(fine) else 1


if __name__ == "__main__":
    sys.exit(main())
