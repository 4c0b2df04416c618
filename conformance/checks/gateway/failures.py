"""When bank or router fail: the client is told inside, and never takes a cut answer for a whole one."""

from __future__ import annotations

from conformance.peers.envelope import open_outer
from conformance.peers.gateway import BANK, PING, GatewayWorld, compute, inner
from conformance.peers.scripted import Answer, Received
from conformance.registry import check
from conformance.verdicts import Violation, expect
from openpcc_ref.binary_http import Request, encode_request
from openpcc_ref.http1 import Fields, Http1Error, Responder
from openpcc_ref.oblivious_http import Form

_BALANCE = inner(b"POST", BANK, b"/balance", b"content")


async def _inner_5xx(world: GatewayWorld, request: Request, what: str) -> None:
    for form in Form:
        reply = await world.ask(request, form)
        status = reply.response.head.status
        expect(500 <= status <= 599, expected=f"an inner 5xx for {what}", observed=str(reply))


@check(
    id="gateway.failures.unreachable",
    requirements=["OHT-071", "OHT-064"],
    title="A service that refuses connections is an inner 5xx",
)
async def unreachable(world: GatewayWorld) -> None:
    """First the router, then the bank is down; afterwards both are reached again."""
    async with world.router.unreachable():
        await _inner_5xx(world, PING, "a router that is down")
    async with world.bank.unreachable():
        await _inner_5xx(world, _BALANCE, "a bank that is down")
    for request in (PING, _BALANCE):
        reply = await world.ask(request, Form.UNCHUNKED)
        back = reply.response.head.status == 200
        expect(back, expected="an answer once the service is back", observed=str(reply))


@check(
    id="gateway.failures.closed",
    requirements=["OHT-071", "OHT-064"],
    title="A service that closes the connection without an answer is an inner 5xx",
)
async def closed(world: GatewayWorld) -> None:
    """The router reads the request and resets the connection, or closes it in good order."""

    async def reset(received: Received, responder: Responder) -> None:
        await received.end()
        await responder.abort()

    async def close(received: Received, responder: Responder) -> None:
        await received.end()
        await responder.send_raw(b"")

    for answer, what in ((reset, "a connection that is reset"), (close, "a connection that is closed")):
        world.router.answer = answer
        await _inner_5xx(world, compute(b"content"), what)


@check(
    id="gateway.failures.not-http",
    requirements=["OHT-071", "OHT-064"],
    title="A service that does not speak HTTP is an inner 5xx",
)
async def not_http(world: GatewayWorld) -> None:
    """The router answers with the greeting of another protocol and closes."""

    async def babble(received: Received, responder: Responder) -> None:
        await received.end()
        await responder.send_raw(b"SSH-2.0-OpenSSH_9.6\r\n\r\n")
        await responder.abort()

    world.router.answer = babble
    await _inner_5xx(world, compute(b"content"), "an answer that is not HTTP")


async def _no_end(world: GatewayWorld, answer: Answer, what: str) -> None:
    """Let the router answer so; the client must not get a response that is proven whole and successful."""
    for form in Form:
        world.router.answer = answer
        envelope = world.envelope(form)
        plaintext = encode_request(compute(b"content"), indeterminate=form is Form.CHUNKED, pad_to=532)
        try:
            outer = await world.post(envelope.sealed(plaintext), form)
        except Http1Error:
            continue  # closing without an answer tells the client as well
        try:
            reply = open_outer(outer, envelope.context)
        except Violation:
            continue  # cut off, or without a final chunk
        expect(
            reply.response.head.status >= 500,
            expected=f"no proven end of {what}, or an inner 5xx",
            observed=f"{reply}, complete",
        )


def _closed(framing: bytes, rest: bytes) -> Answer:
    """Return an answer that closes the connection in good order after a part of its content."""

    async def answer(received: Received, responder: Responder) -> None:
        await received.end()
        await responder.send_raw(b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n\r\n" + rest)

    return answer


def _cut(framing: Fields) -> Answer:
    async def answer(received: Received, responder: Responder) -> None:
        await received.end()
        await responder.send_head(200, framing)
        await responder.send(bytes(2000))
        await responder.abort()

    return answer


@check(
    id="gateway.failures.sized-cut",
    requirements=["OHT-072"],
    title="A response that ends before its length is not ended properly",
)
async def sized_cut(world: GatewayWorld) -> None:
    """The router announces 4000 bytes, sends 2000 and resets the connection, or closes it in good order."""
    await _no_end(world, _cut(((b"content-length", b"4000"),)), "a response that is cut")
    await _no_end(world, _closed(b"content-length: 4000", bytes(2000)), "a response that is closed too early")


@check(
    id="gateway.failures.unsized-cut",
    requirements=["OHT-072"],
    title="A chunked response that breaks off is not ended properly",
)
async def unsized_cut(world: GatewayWorld) -> None:
    """The router sends some chunks and resets the connection, or closes it in good order; in a third answer the coding
    becomes invalid."""

    async def invalid(received: Received, responder: Responder) -> None:
        await received.end()
        await responder.send_head(200, ((b"transfer-encoding", b"chunked"),))
        await responder.send(bytes(2000))
        await responder.send_raw(b"no chunk\r\n")
        await responder.abort()

    await _no_end(world, _cut(((b"transfer-encoding", b"chunked"),)), "a response that breaks off")
    closed = _closed(b"transfer-encoding: chunked", b"7d0\r\n" + bytes(2000) + b"\r\n")
    await _no_end(world, closed, "a response that is closed before its last chunk")
    await _no_end(world, invalid, "a response that becomes invalid")
