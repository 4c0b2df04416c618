"""Trailers behind the content: the refund is one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from itertools import product

from conformance.peers.envelope import Opened
from conformance.peers.gateway import GatewayWorld, compute
from conformance.peers.scripted import Received
from conformance.registry import check
from conformance.verdicts import expect
from openpcc_ref.binary_http import field_values
from openpcc_ref.http1 import Fields, Responder
from openpcc_ref.oblivious_http import Form

_REFUND = b"cmVmdW5k" * 100


def _answer(announced: bytes, trailers: Fields, pieces: int = 3) -> Callable[[Received, Responder], Awaitable[None]]:
    async def answer(received: Received, responder: Responder) -> None:
        await received.end()
        await responder.send_head(200, ((b"trailer", announced), (b"transfer-encoding", b"chunked")))
        for _ in range(pieces):
            await responder.send(bytes(400))
        await responder.finish(trailers)

    return answer


def _announced(reply: Opened) -> list[bytes]:
    values = field_values(reply.response.head.fields, b"trailer")
    return [name.strip().lower() for value in values for name in value.split(b",")]


def _shown(reply: Opened) -> str:
    return f"trailer: {b', '.join(_announced(reply)).decode('latin-1') or 'no such field'}; {reply}"


@check(
    id="gateway.trailers.refund",
    requirements=["OHT-070", "MSG-028"],
    title="The refund is announced and carried behind the content",
)
async def refund(world: GatewayWorld) -> None:
    """The router announces X-Refund and sends it behind the content, and once where there is none, in answer to both
    forms."""
    for form, pieces in product(Form, (3, 0)):
        world.router.answer = _answer(b"X-Refund", ((b"X-Refund", _REFUND),), pieces)
        reply = await world.ask(compute(b"content"), form)
        expect(b"x-refund" in _announced(reply), expected="trailer: X-Refund inside", observed=_shown(reply))
        values = field_values(reply.response.trailers, b"x-refund")
        expect(values == (_REFUND,), expected="the refund in the trailer section", observed=f"{len(values)} of them")
        size = 400 * pieces
        expect(len(reply.response.content) == size, expected=f"{size} bytes of content", observed=str(reply))


@check(
    id="gateway.trailers.several",
    requirements=["OHT-070"],
    title="Every announced trailer is carried",
)
async def several(world: GatewayWorld) -> None:
    """Two names are announced in one field, and both come."""
    trailers: Fields = ((b"X-Refund", _REFUND), (b"X-Usage", b"17"))
    for form in Form:
        world.router.answer = _answer(b"X-Refund, X-Usage", trailers)
        reply = await world.ask(compute(b"content"), form)
        for name, value in trailers:
            values = field_values(reply.response.trailers, name)
            what = name.decode()
            expect(values == (value,), expected=f"{what} in the trailer section", observed=f"{len(values)} of them")
            expect(name.lower() in _announced(reply), expected=f"{what} announced", observed=_shown(reply))


@check(
    id="gateway.trailers.absent",
    requirements=["OHT-070"],
    title="A trailer that is announced but does not come has no value",
)
async def absent(world: GatewayWorld) -> None:
    """After an exchange with a refund comes one in which the router only announces it; none may be made up."""
    for form in Form:
        world.router.answer = _answer(b"X-Refund", ((b"X-Refund", _REFUND),))
        await world.ask(compute(b"content"), form)
        world.router.answer = _answer(b"X-Refund", ())
        reply = await world.ask(compute(b"content"), form)
        values = [value for value in field_values(reply.response.trailers, b"x-refund") if value]
        expect(not values, expected="no refund, or an empty one", observed=f"{len(values)} with a value")
