"""Whatever arrives, a gateway goes on answering others."""

from __future__ import annotations

import json
from contextlib import AsyncExitStack, suppress
from functools import partial

import anyio

from conformance.peers.gateway import GatewayWorld, compute
from conformance.peers.scripted import Received, answer_after_request
from conformance.peers.stepped import side_by_side
from conformance.registry import check
from conformance.verdicts import Violation, expect
from openpcc_ref.http1 import Failure, Http1Error, Responder, connect, exchange
from openpcc_ref.oblivious_http import Form


@check(
    id="gateway.robustness.junk-content",
    requirements=["OHT-062", "OHT-090"],
    title="Arbitrary content behind an honest start is refused",
)
async def junk_content(world: GatewayWorld) -> None:
    """Header and key are real, what follows is arbitrary and of any length, in both forms."""
    junk = world.junk("junk content")
    for form in Form:
        await world.control(form)
        for _ in range(15):
            content = world.envelope(form).start + b"\x20" + junk.randbytes(junk.randrange(2000))
            await world.refusal(content, form, f"{len(content)} bytes of junk")


@check(
    id="gateway.robustness.junk-message",
    requirements=["OHT-065", "OHT-090"],
    title="Arbitrary messages in honest envelopes are answered and not forwarded",
)
async def junk_message(world: GatewayWorld) -> None:
    """Plaintexts begin like a request and go on arbitrarily."""
    junk = world.junk("junk message")
    for _ in range(30):
        plaintext = junk.choice([b"\0", b"\2", b"\0\4POST", b"\2\3GET\4http", b""])
        plaintext += junk.randbytes(junk.randrange(1, 600))
        status, seen = await world.status_of(plaintext, junk.choice(list(Form)))
        await world.nothing_forwarded("an arbitrary message")
        expect(400 <= status <= 499, expected="a refusal of an arbitrary message", observed=seen)


@check(
    id="gateway.robustness.not-http",
    requirements=["OHT-090"],
    title="Connections that do not speak HTTP are closed or refused",
)
async def not_http(world: GatewayWorld) -> None:
    """Arbitrary bytes, a request line without end, contradictory framing, a chunk size that is no number."""
    junk = world.junk("not http")
    head = b"POST " + world.target + b" HTTP/1.1\r\nhost: x\r\ncontent-type: message/ohttp-req\r\n"
    for data in (
        junk.randbytes(500),
        b"GET " + b"/" * 5000,
        head + b"content-length: 5\r\ncontent-length: 6\r\n\r\nhello",
        head + b"transfer-encoding: chunked\r\n\r\nxyz\r\n",
        head + b"content-length: -1\r\n\r\n",
    ):
        async with connect(world.subject.url, tap=world.taps.of("relay"), step_s=world.step_s) as connection:
            await connection.send_raw(data)
            await connection.close_write()
            try:
                response = await connection.response()
                expect(response.status >= 400, expected="a refusal", observed=f"status {response.status}")
            except Http1Error as error:
                closed = error.failure in (Failure.CLOSED, Failure.RESET)
                expect(closed, expected="an answer or a closed connection", observed=str(error))
        await world.control(Form.UNCHUNKED)


@check(
    id="gateway.robustness.stalled-clients",
    requirements=["OHT-090"],
    title="Clients that stall keep nobody waiting",
)
async def stalled_clients(world: GatewayWorld) -> None:
    """Twenty clients stop after the head, inside the key, after a chunk; an honest one is answered meanwhile."""
    async with AsyncExitStack() as stack:
        for number in range(20):
            pieces = world.envelope(Form.CHUNKED).chunked(bytes(3 * 532))
            stalled = await stack.enter_async_context(world.exchange(Form.CHUNKED))
            if number % 4:
                await stalled.send(pieces[0][: 20 if number % 4 == 1 else None], *pieces[1 : number % 4])
        await world.control(Form.UNCHUNKED)
        await world.control(Form.CHUNKED)


@check(
    id="gateway.robustness.stalled-service",
    requirements=["OHT-090"],
    title="An answer that does not come keeps nobody else waiting",
)
async def stalled_service(world: GatewayWorld) -> None:
    """The router lets one client wait while another asks and is answered."""
    release = anyio.Event()

    async def answer(received: Received, responder: Responder) -> None:
        await received.end()
        if received.body == b"wait":
            await release.wait()
        await answer_after_request(received, responder, 200, (), b"to " + received.body)

    async def others() -> None:
        try:
            await world.router.arrival()
            for form in Form:
                reply = await world.ask(compute(b"go"), form)
                expect(reply.response.content == b"to go", expected="the other client's answer", observed=str(reply))
        finally:
            release.set()

    world.router.answer = answer
    await side_by_side([others, partial(world.ask, compute(b"wait"), Form.UNCHUNKED)])


@check(
    id="gateway.robustness.garbage",
    requirements=["OHT-090", "OHT-063"],
    title="Thousands of garbage requests later it still answers",
    costly=True,
)
async def garbage(world: GatewayWorld) -> None:
    """Arbitrary content under both media types, one request after the other, ten thousand or as many as a slow gateway
    answers in eight times the deadline of a wait; each gets its 4xx."""
    junk = world.junk("garbage")
    with anyio.move_on_after(8 * world.step_s):
        for number in range(10_000):
            form = Form.CHUNKED if number % 2 else Form.UNCHUNKED
            content = junk.randbytes(junk.randrange(80))
            fields = ((b"content-type", form.request_media_type),)
            response, _ = await exchange(world.subject.url, b"POST", world.target, fields, content, step_s=world.step_s)
            status = response.status
            expect(400 <= status <= 499, expected="a 4xx for garbage", observed=f"status {status} at request {number}")
    await world.control(Form.UNCHUNKED)


@check(
    id="gateway.robustness.health",
    requirements=["OHT-080"],
    title="GET /_health says OK",
)
async def health(world: GatewayWorld) -> None:
    """Status 200 with a JSON object whose member status is OK."""
    response, content = await exchange(
        world.subject.url, b"GET", b"/_health", tap=world.taps.of("relay"), step_s=world.step_s
    )
    try:
        document = json.loads(content)
    except ValueError:
        document = None
    seen = f"status {response.status}, {content[:40]!r}"
    healthy = response.status == 200 and document == {"status": "OK"}
    expect(healthy, expected='status 200 with {"status":"OK"}', observed=seen)


@check(
    id="gateway.robustness.broken-off",
    requirements=["OHT-090"],
    title="Services that break off do not wear the gateway out",
)
async def broken_off(world: GatewayWorld) -> None:
    """Four hundred responses, twenty at a time, end in the middle; after each round others are answered as before."""

    async def cut(received: Received, responder: Responder) -> None:
        await received.end()
        await responder.send_head(200, ((b"transfer-encoding", b"chunked"),))
        await responder.send(bytes(2000))
        await responder.abort()

    async def ask() -> None:
        with suppress(Violation, Http1Error):  # gateway.failures judges what the client gets
            await world.ask(compute(b"content"), Form.CHUNKED)

    for _ in range(20):
        world.router.answer = cut
        await side_by_side([ask] * 20)
        world.router.reset()
        await world.control(Form.UNCHUNKED)
