"""Engines that fail: what a node passes on of them, what it does not present as whole, and what it refunds."""

from __future__ import annotations

from conformance.peers.node import NodeWorld
from conformance.peers.node_engine import EVENTS, JSON, PATHS, pieces, saying, stream_fields, whole
from conformance.peers.node_message import Answer, open_answer
from conformance.peers.scripted import Answer as EngineAnswer
from conformance.peers.scripted import Received
from conformance.registry import check
from conformance.requirements import Level
from conformance.verdicts import Violation, expect
from openpcc_ref.credits.currency import exact
from openpcc_ref.http1 import Fields, Responder

_PAID = 200


@check(
    id="node.responses.engine-errors",
    requirements=["NODE-008", "NODE-050"],
    title="An error of the engine is passed on inside a sealed response",
    needs=["node.engine"],
)
async def engine_errors(world: NodeWorld) -> None:
    """Status 400, 404, 429, 500 and 503 with a body: the outer status is 200, the real one and the body are inside."""
    for status in (400, 404, 429, 500, 503):
        text = b'{"error":"engine %d"}' % status
        world.engine.answer = saying(text, status=status, fields=JSON)
        opened = await world.ask(world.request())
        passed = opened.status == status and opened.response.content == text
        expect(passed, expected=f"the engine's {status} inside", observed=str(opened))


async def _cut(received: Received, responder: Responder) -> None:
    await received.end()
    await responder.send_head(200, stream_fields(PATHS[0]))
    await responder.send(pieces(PATHS[0])[0])
    await responder.abort()


_LONGER: Fields = (*JSON, (b"content-length", b"%d" % (len(whole(PATHS[0])) + 1)))
"""The fields of an answer that is a byte longer than what is sent of it."""


def _closing(fields: Fields) -> EngineAnswer:
    """Return an engine that closes its connection, in order, before the end that its framing gives the answer."""

    async def answer(received: Received, responder: Responder) -> None:
        await received.end()
        lines = b"".join(b"%s: %s\r\n" % line for line in fields)
        part = pieces(PATHS[0])[0]
        content = b"%x\r\n%s\r\n" % (len(part), part) if fields is EVENTS else whole(PATHS[0])
        await responder.send_raw(b"HTTP/1.1 200 OK\r\n" + lines + b"\r\n" + content)

    return answer


@check(
    id="node.responses.engine-cut",
    requirements=["NODE-064", "MSG-045"],
    title="A stream that the engine breaks off is not presented as whole",
    needs=["node.engine"],
)
async def engine_cut(world: NodeWorld) -> None:
    """The engine resets its connection after the first token; then it closes it within a stream, and within an answer
    whose length it has declared. The node's response must not end cleanly, neither as HTTP nor with a final chunk, or
    be an error."""
    for answer, streamed in ((_cut, True), (_closing(EVENTS), True), (_closing(_LONGER), False)):
        world.engine.answer = answer
        await _expect_aborted(world, streamed=streamed)


async def _expect_aborted(world: NodeWorld, *, streamed: bool) -> None:
    sealed = world.sealed()
    body = world.body(stream=True if streamed else None)
    answer = await world.post(sealed.sealed(world.request(body=body)), sealed)
    if answer.form is None:
        expect(answer.status >= 500, expected="an error for a broken engine", observed=str(answer))
        return
    if not answer.complete:
        return
    try:
        opened = open_answer(answer, sealed.context)
    except Violation:
        raise Violation("an aborted response", f"one without a final chunk: {answer}", deployed="NODE-D16") from None
    if opened.status < 500:  # worse than an end without a final chunk: the seal vouches for what is not whole
        raise Violation("an aborted response, or an error", f"a whole one: {opened}", level=Level.MUST)


@check(
    id="node.responses.engine-failed",
    requirements=["NODE-055"],
    title="A node whose engine gives no answer says so, and refunds everything",
    needs=["node.engine"],
)
async def engine_failed(world: NodeWorld) -> None:
    """The engine refuses connections; then it answers with what is no HTTP; then with a redirect."""

    async def nonsense(received: Received, responder: Responder) -> None:
        await received.end()
        await responder.send_raw(b"no status line\r\n\r\n")
        await responder.abort()

    async with world.engine.unreachable():
        await _expect_failure(world, "an engine that cannot be reached")
    world.engine.answer = nonsense
    await _expect_failure(world, "an engine that talks nonsense")
    location: Fields = ((b"location", b"/elsewhere"),)
    world.engine.answer = saying(b"", status=307, fields=location)
    await _expect_failure(world, "an engine that redirects")


async def _expect_failure(world: NodeWorld, what: str) -> None:
    sealed = world.sealed()
    answer: Answer = await world.post(sealed.sealed(world.request()), sealed, amount=_PAID)
    status = answer.status if answer.form is None else open_answer(answer, sealed.context).status
    expect(status >= 500, expected=f"an error for {what}", observed=str(answer))
    refunded = answer.refund is not None and answer.refund == exact(_PAID)
    expect(refunded, expected=f"a full refund for {what}", observed="none, or another", deployed="NODE-D10")
