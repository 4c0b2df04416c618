"""Memory of relay and gateway while long messages stream through them; run by hand.

``python tests/benchmarks/streaming_memory.py [MIB]`` sends that many mebibytes (1024 unless told) of content up through
relay and gateway and as many down, then prints the peak resident size of the larger of the two programs. Exit status 1
when that is 100 MiB or more, or when a byte is missing.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from time import monotonic

import anyio

from openpcc_ref.binary_http import Content, RequestEncoder, RequestHead, ResponseDecoder
from openpcc_ref.hpke import KemId
from openpcc_ref.http1 import IncomingRequest, Responder, connect, listen
from openpcc_ref.oblivious_http import Form, RequestSealer, ResponseOpener, derive_gateway_key
from openpcc_ref.sources import system_random

LIMIT_MIB = 100
PIECE = bytes(16000)
SEED = bytes(32)


@contextmanager
def program(role: str, config: object) -> Iterator[str]:
    """Run a service by the launch protocol; yield its URL."""
    command = [sys.executable, "-m", f"openpcc_ref.services.{role}"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(config) + "\n")
        process.stdin.flush()
        yield json.loads(process.stdout.readline())["url"]
        process.stdin.close()


class Router:
    """Counts what arrives and answers with as much."""

    received = 0

    async def handle(self, request: IncomingRequest, responder: Responder) -> None:
        async for chunk in request.body():
            self.received += len(chunk.data)
        await responder.send_head(200)
        left = self.received
        while left:
            await responder.send(PIECE[:left])
            left -= len(PIECE[:left])
        await responder.finish()


async def sealed_request(sealer: RequestSealer, length: int) -> AsyncIterator[bytes]:
    """Yield an encapsulated request with ``length`` bytes of content."""
    head = RequestHead(b"POST", b"http", b"confsec-router.invalid", b"/")
    encoder = RequestEncoder(head, content_length=None)
    yield sealer.header() + sealer.seal(encoder.start())
    while length:
        piece = PIECE[:length]
        length -= len(piece)
        yield sealer.seal(encoder.content(piece))
    yield sealer.seal(encoder.finish()) + sealer.finish()


async def stream(url: str, length: int) -> int:
    """Do one exchange; return how much content came back."""
    key = derive_gateway_key(1, KemId.X25519_KYBER768_DRAFT00, SEED)
    sealer = RequestSealer(key.config, Form.CHUNKED, random=system_random)
    async with connect(url, step_s=60) as connection:
        fields = ((b"content-type", b"message/ohttp-chunked-req"), (b"transfer-encoding", b"chunked"))
        await connection.send_head(b"POST", b"/", fields)
        async for piece in sealed_request(sealer, length):
            await connection.send(piece)
        await connection.finish()
        response = await connection.response()
        opener, decoder = ResponseOpener(sealer.context, Form.CHUNKED), ResponseDecoder()
        received = 0
        async for chunk in response.body():
            for plaintext in opener.feed(chunk.data):
                received += sum(len(event.data) for event in decoder.feed(plaintext) if isinstance(event, Content))
        opener.finish()
        decoder.finish()
    return received


async def run(length: int) -> bool:
    """Start everything, stream, and say whether every byte arrived."""
    router = Router()
    async with listen(router.handle) as upstream:
        keys = [{"id": 1, "kem_id": int(KemId.X25519_KYBER768_DRAFT00), "seed": SEED.hex()}]
        config = {"bank_url": upstream.url, "router_url": upstream.url, "keys": keys}
        with program("gateway", config) as gateway, program("relay", {"gateway_url": gateway}) as relay:
            received = await stream(relay, length)
    return router.received == received == length


def main() -> int:
    """Run the benchmark and print what it showed."""
    mebibytes = int(sys.argv[1]) if len(sys.argv) > 1 else 1024
    started = monotonic()
    whole = anyio.run(run, mebibytes * 2**20)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024  # kibibytes on Linux
    verdict = "whole" if whole else "INCOMPLETE"
    print(f"{mebibytes} MiB up and down, {verdict}, {monotonic() - started:.0f} s; peak {peak:.1f} MiB")
    return 0 if whole and peak < LIMIT_MIB else 1


if __name__ == "__main__":
    sys.exit(main())
