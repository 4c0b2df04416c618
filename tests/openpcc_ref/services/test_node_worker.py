"""The worker process: its exit status, its output, and what it never says."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace

import anyio
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from openpcc_ref import compute_messages as cm
from openpcc_ref.badges import encode_text, sign_badge
from openpcc_ref.binary_http import Request, RequestHead, Response
from openpcc_ref.compute_node import Footer, Header, NodeRules, OutputDecoder, Parameters
from openpcc_ref.credits.currency import exact
from openpcc_ref.hpke import KemId, kem
from openpcc_ref.http1 import IncomingRequest, Responder, listen
from openpcc_ref.services.engine import Engine
from openpcc_ref.services.node_worker import Unopened, Worker, WorkerSettings
from openpcc_ref.sources import system_random

pytestmark = pytest.mark.anyio

MODEL = "llama3.2:1b"
CANARY = "CANARY-4711"
BADGE_KEY = bytes(range(32))
RULES = NodeRules([MODEL], Ed25519PrivateKey.from_private_bytes(BADGE_KEY).public_key().public_bytes_raw())
NODE = kem(KemId.DHKEM_P256).derive_key_pair(bytes(range(32)))
NOBODY = "http://127.0.0.1:9"


def request(model: str = MODEL, declared: int | None = None) -> Request:
    body = json.dumps({"model": model, "prompt": CANARY}).encode()
    length = str(len(body) if declared is None else declared).encode()
    badge = encode_text(sign_badge([MODEL], BADGE_KEY)).encode()
    fields = ((b"content-length", length), (b"content-type", b"application/json"), (b"x-confsec-badge", badge))
    return Request(RequestHead(b"POST", b"http", b"confsec.invalid", b"/v1/completions", fields), body)


def sealed(form: cm.Form = cm.Form.UNCHUNKED, **edit: object) -> tuple[bytes, Parameters, cm.ReceiverContext]:
    _, message, [(key, context)] = cm.seal_request(request(**edit), [NODE.public_key], form, random=system_random)  # type: ignore[arg-type]
    return message, Parameters(form, key, 200), context


async def run_process(settings: WorkerSettings, parameters: Parameters, message: bytes) -> tuple[int, bytes, bytes]:
    command = [sys.executable, "-m", "openpcc_ref.services.node_worker"]
    with anyio.fail_after(30):
        done = await anyio.run_process(
            command, input=settings.to_json(parameters) + message, check=False, stderr=subprocess.PIPE
        )
    return done.returncode, done.stdout, done.stderr


def answer_in(output: bytes, context: cm.ReceiverContext) -> tuple[Response, Footer]:
    decoder = OutputDecoder()
    header, *chunks, footer = decoder.feed(output)
    decoder.finish()
    assert isinstance(header, Header)
    assert isinstance(footer, Footer)
    content = b"".join(chunk for chunk in chunks if isinstance(chunk, bytes))
    return cm.open_response(header.media_type.encode(), content, context), footer


@pytest.mark.parametrize("form", list(cm.Form))
async def test_an_answered_request(form: cm.Form) -> None:
    async with listen(Engine().handle) as engine:
        message, parameters, context = sealed(form)
        status, output, errors = await run_process(
            WorkerSettings(NODE.secret_key, RULES, engine.url), parameters, message
        )
    response, footer = answer_in(output, context)
    assert (status, errors, response.head.status) == (0, b"", 200)
    assert footer.refund is not None
    assert footer.refund.amount in (184, 192)


async def test_a_refused_request() -> None:
    message, parameters, context = sealed(model="other")
    settings = WorkerSettings(NODE.secret_key, RULES, NOBODY)
    status, output, errors = await run_process(settings, parameters, message)
    response, footer = answer_in(output, context)
    assert (status, errors, response.head.status) == (0, b"", 400)
    assert footer == Footer(exact(200))
    assert CANARY.encode() not in response.content


async def test_a_request_that_cannot_be_opened() -> None:
    message, parameters, _ = sealed()
    settings = WorkerSettings(NODE.secret_key, RULES, NOBODY)
    assert await run_process(settings, parameters, message[:-1]) == (10, b"", b"")


async def test_an_engine_that_is_not_there() -> None:
    message, parameters, _ = sealed()
    settings = WorkerSettings(NODE.secret_key, RULES, NOBODY, 2.0)
    assert await run_process(settings, parameters, message) == (1, b"", b"")


async def work(message: bytes, parameters: Parameters, pieces: int = 7, engine_url: str = NOBODY) -> bytes:
    output = bytearray()

    async def take(data: bytes) -> None:
        output.extend(data)

    async def given() -> AsyncIterator[bytes]:
        for start in range(0, len(message), pieces):
            yield message[start : start + pieces]

    await Worker(WorkerSettings(NODE.secret_key, RULES, engine_url), parameters, take).run(given())
    return bytes(output)


async def test_a_body_that_differs_from_its_declared_length() -> None:
    message, parameters, context = sealed(declared=5)
    response, footer = answer_in(await work(message, parameters), context)
    assert json.loads(response.content)["code"] == "ErrContentLengthMismatch"
    assert footer == Footer(exact(200))


@pytest.mark.parametrize("form", list(cm.Form))
async def test_damage_before_and_after_the_head(form: cm.Form) -> None:
    """A chunked request whose head was opened gets a sealed answer; everything else is not opened."""
    message, parameters, context = sealed(form)
    for cut in (0, 11, 12, len(message) - 17, len(message) - 1):
        if form is cm.Form.CHUNKED and cut >= 12 + 532:
            response, _ = answer_in(await work(message[:cut], parameters), context)
            assert json.loads(response.content)["code"] == "ErrReadingBody"
        else:
            with pytest.raises(Unopened):
                await work(message[:cut], parameters)


@pytest.mark.parametrize(("credit", "said"), [(20, 11), (22, 12), (200, 24)])
async def test_a_stream_ends_when_its_credit_is_spent(credit: int, said: int) -> None:
    """The engine says 24 words and waits; one token more than is paid for shows that the credit is spent."""
    line, left = b'data: {"choices":[{"text":"word"}]}\n\n', anyio.Event()

    async def engine(request: IncomingRequest, responder: Responder) -> None:
        async for _ in request.body():
            pass
        await responder.send_head(200, ((b"content-type", b"text/event-stream"),))
        for _ in range(24):
            await responder.send(line)
        if said < 24:
            await left.wait()
        await responder.finish()

    message, parameters, context = sealed()
    async with listen(engine) as server:
        output = await work(message, replace(parameters, credit_amount=credit), engine_url=server.url)
        left.set()
    response, footer = answer_in(output, context)
    assert (response.head.status, response.content, footer.refund) == (200, line * said, None)


async def test_two_requests_share_nothing() -> None:
    """The same request twice: other nonces, other octets, the same answer."""
    message, parameters, context = sealed(model="other")
    first, second = [await work(message, parameters) for _ in range(2)]
    assert first != second
    assert answer_in(first, context)[0] == answer_in(second, context)[0]
