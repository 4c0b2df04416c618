"""Streams that go wrong: an engine that says what is no JSON, a client that leaves, a credit that is spent."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import anyio

from conformance.peers.node import NodeWorld
from conformance.peers.node_engine import PATHS, counts, is_openai, pieces, stream, stream_fields, streaming
from conformance.peers.scripted import Received
from conformance.registry import check
from conformance.verdicts import expect
from openpcc_ref.compute_messages import Form
from openpcc_ref.credits.currency import neighbours
from openpcc_ref.http1 import Http1Error, Responder

_PAID = 200
_SPENT = 20
"""A credit that pays for ten tokens."""

_SAID = 64
"""Tokens that the engine says on a credit for ten."""

_FURTHER = 64
"""Pieces of 64 KiB that no buffer between engine and node holds."""


@check(
    id="node.streams.broken-lines",
    requirements=["NODE-060", "NODE-051"],
    title="Lines that are no JSON are passed on like others, and the usage behind them counts",
    needs=["node.engine"],
)
async def broken_lines(world: NodeWorld) -> None:
    """The engine streams comments, blank lines, cut JSON, bytes that are no UTF-8, a line of 100 kB and one that
    nothing ends but the next piece, all before its honest end."""
    for path in (PATHS[0], PATHS[2]):
        broken = [b": wait\n\n", b'data: {"choices":[{\n\n', b"{\n", b"\n\n\n", b"data: \xff\xfe\n\n", b"a" * 100000]
        parts = [*broken, b"\n", *pieces(path)]
        world.engine.answer = streaming(parts, path)
        asked = world.request(path=path, body=world.body(path, stream=True))
        opened = await world.ask(asked, amount=_PAID)
        kept = opened.status == 200 and opened.response.content == b"".join(parts)
        expect(kept, expected=f"the engine's stream on {path}", observed=str(opened))
        rounding = neighbours(_PAID - 124.5)
        left = opened.refund.amount if opened.refund is not None and not opened.refund.special else None
        expect(
            left in (rounding.lower, rounding.upper),
            expected=f"a refund of {rounding.lower} or {rounding.upper} for a stream with broken lines on {path}",
            observed="none" if left is None else f"a refund of {left}",
        )


@check(
    id="node.streams.client-leaves",
    requirements=["NODE-001"],
    title="A client that leaves costs nobody else anything",
    needs=["node.engine"],
)
async def client_leaves(world: NodeWorld) -> None:
    """Three clients reset their connections, each after the first token of a stream that goes on, and one in the middle
    of its request; an honest request after each of them is answered."""
    for _ in range(3):
        await _leave_in_answer(world)
        world.engine.reset()
        await world.control()
    sealed = world.sealed(Form.CHUNKED)
    content = sealed.chunked(world.request(Form.CHUNKED))
    async with world.open_exchange(sealed) as exchange:
        await exchange.send(*content[:2])
        await exchange.abort()
    await world.control(Form.CHUNKED)
    await world.control()


async def _leave_in_answer(world: NodeWorld) -> None:
    first, *rest = pieces(PATHS[0])
    gone, over = anyio.Event(), anyio.Event()

    async def going_on(received: Received, responder: Responder) -> None:
        await received.end()
        await responder.send_head(200, stream_fields(PATHS[0]))
        await responder.send(first)
        with anyio.move_on_after(world.step_s):
            await gone.wait()
        with suppress(Http1Error):  # the node may have left as well
            for part in rest:
                await responder.send(part)
            await responder.finish()
        over.set()

    world.engine.answer = going_on
    sealed = world.sealed()
    async with world.open_exchange(sealed) as exchange:
        await exchange.send(sealed.whole(world.request(body=world.body(stream=True))))
        await exchange.finish()
        with anyio.move_on_after(world.step_s / 2):  # a node that holds streams back is left as well
            async for piece in exchange.plaintext(sealed.context):
                if piece:
                    break
        await exchange.abort()
    gone.set()
    with anyio.move_on_after(world.step_s):
        await over.wait()


@check(
    id="node.streams.credit-spent",
    requirements=["NODE-056"],
    title="Generation ends when the credit is spent",
    needs=["node.engine"],
)
async def credit_spent(world: NodeWorld) -> None:
    """A credit of 20 pays for 10 tokens. The engine says 64, a line and a running usage for each, and holds its end
    back; by then the node must have left it, unless it had told it to say no more than it is paid for."""
    for path in (PATHS[0], PATHS[2]):
        engine = _Talkative(world, path)
        world.engine.answer = engine.answer
        sealed = world.sealed()
        asked = world.request(path=path, body=world.body(path, stream=True))
        answer = await world.post(sealed.whole(asked), sealed, amount=_SPENT)
        engine.answered.set()
        with anyio.move_on_after(world.step_s):
            await engine.over.wait()
        expect(
            engine.told or engine.left,
            expected=f"no more than 10 tokens for a credit of 20 on {path}, or an engine that was left",
            observed=f"an engine that could say all that it wanted; {answer}",
            deployed="NODE-D08",
        )


class _Talkative:
    """An engine that says more than it is paid for. ``left`` says that the node did not listen to the end."""

    def __init__(self, world: NodeWorld, path: str) -> None:
        self._world = world
        self._path = path
        self.answered = anyio.Event()
        self.over = anyio.Event()
        self.told = False
        self.left = False

    async def answer(self, received: Received, responder: Responder) -> None:
        try:
            await received.end()
            self.told = _limit_of(received.body) <= _SPENT // 2
            if self.told:
                await stream(responder, self._path, pieces(self._path))
                return
            await responder.send_head(200, stream_fields(self._path))
            for number in range(_SAID):
                await responder.send(_token(self._path, number + 1))
            with anyio.move_on_after(self._world.step_s / 2):
                await self.answered.wait()
                for _ in range(_FURTHER):
                    await responder.send(b" " * 65535 + b"\n")
            await responder.finish()
        except Http1Error:
            self.left = True
        finally:
            self.over.set()


def _token(path: str, number: int) -> bytes:
    if is_openai(path):
        event = {"choices": [{"index": 0, "text": "more "}], **counts(path, 0, number)}
        return b"data: " + json.dumps(event).encode() + b"\n\n"
    return json.dumps({"response": "more ", "done": False, **counts(path, 0, number)}).encode() + b"\n"


def _limit_of(body: bytes) -> float:
    """Return how many tokens the engine was told to say at most, in either dialect."""
    asked: Any = json.loads(body)
    options = asked.get("options") or {}
    limits = [asked.get("max_tokens"), asked.get("max_completion_tokens"), options.get("num_predict")]
    return min((limit for limit in limits if isinstance(limit, int) and limit > 0), default=float("inf"))
