"""Chunked encapsulated requests that end the exchange: refused in clear, or without a completed request behind."""

from __future__ import annotations

from conformance.checks.gateway.chunks import CONTENT, PLAINTEXT, Cut, blocks
from conformance.peers.envelope import Envelope, open_outer
from conformance.peers.gateway import GatewayWorld, compute
from conformance.registry import check
from conformance.verdicts import expect
from openpcc_ref.binary_http import encode_request
from openpcc_ref.oblivious_http import Form
from openpcc_ref.varint import encode_varint


async def _never_completed(world: GatewayWorld, cut: Cut, what: str) -> None:
    """Send the pieces; no request may be completed behind the gateway, and no success reported."""
    await world.control(Form.CHUNKED)
    envelope = world.envelope(Form.CHUNKED)
    await world.never_completed(cut(envelope), Form.CHUNKED, envelope.context, what)


async def _first_refused(world: GatewayWorld, cut: Cut, what: str) -> None:
    """Send the pieces; the first chunk does not open, so that all is refused in clear and nothing forwarded."""
    await world.control(Form.CHUNKED)
    await world.refusal(list(cut(world.envelope(Form.CHUNKED))), Form.CHUNKED, what)


def _altered(chunk: bytes, position: int) -> bytes:
    changed = bytearray(chunk)
    changed[position] ^= 0x01
    return bytes(changed)


@check(
    id="gateway.chunks.huge-length",
    requirements=["OHT-036", "MSG-050"],
    title="A chunk that is declared too long is refused before its data come",
)
async def huge_length(world: GatewayWorld) -> None:
    """A length of 2^40 is declared and data follow without end; long before 4 MiB the refusal must have come.

    Some HTTP servers read a little on before they answer early, so that a few bytes would not do.
    """
    await world.control(Form.CHUNKED)
    async with world.exchange(Form.CHUNKED) as exchange:
        await exchange.send(world.envelope(Form.CHUNKED).start, encode_varint(2**40))
        outer = await exchange.answer_while_sending(bytes(2**16), times=64)
    if outer is not None:
        expect(outer.status >= 400 and outer.form is None, expected="a refusal", observed=str(outer))
    await world.nothing_forwarded("a chunk of 2^40 bytes")


@check(
    id="gateway.chunks.short-length",
    requirements=["OHT-062", "OHT-026"],
    title="A chunk too short for a tag is refused",
)
async def short_length(world: GatewayWorld) -> None:
    """The first chunk declares 1 and 15 bytes."""
    for length in (1, 15):

        def cut(envelope: Envelope, length: int = length) -> list[bytes]:
            return [envelope.start, encode_varint(length) + bytes(length), *envelope.chunked(PLAINTEXT)[1:]]

        await _first_refused(world, cut, f"a chunk of {length} bytes")


@check(
    id="gateway.chunks.empty-non-final",
    requirements=["OHT-032", "MSG-049"],
    title="A non-final chunk without plaintext is a failed decryption",
)
async def empty_non_final(world: GatewayWorld) -> None:
    """An empty chunk stands in front of the message; the message as such is whole and well sealed."""
    await world.control(Form.CHUNKED)
    envelope = world.envelope(Form.CHUNKED)
    outer = await world.post(
        [envelope.start, envelope.chunk(b""), *map(envelope.chunk, blocks()), envelope.final()], Form.CHUNKED
    )
    await world.settled()
    forwarded = [received for received in world.forwarded() if received.complete]
    expect(
        not forwarded and (outer.form is None or open_outer(outer, envelope.context).response.head.status >= 400),
        expected="the request refused and never completed",
        observed=f"{outer}, {len(forwarded)} requests completed behind the gateway",
        deployed="OHT-D03" if len(forwarded) == 1 and forwarded[0].body == CONTENT else None,
    )


@check(
    id="gateway.chunks.first-altered",
    requirements=["OHT-062"],
    title="A request whose first chunk does not open is refused in clear",
)
async def first_altered(world: GatewayWorld) -> None:
    """One bit of the first chunk changes: in its data, in its tag."""
    for position in (10, -1):

        def cut(envelope: Envelope, position: int = position) -> list[bytes]:
            start, first, *rest = envelope.chunked(PLAINTEXT)
            return [start, _altered(first, position), *rest]

        await _first_refused(world, cut, "an altered first chunk")


@check(
    id="gateway.chunks.later-altered",
    requirements=["OHT-087"],
    title="An altered later chunk leaves the request behind the gateway incomplete",
)
async def later_altered(world: GatewayWorld) -> None:
    """One bit of the second, the last non-final and the final chunk changes."""
    for index in (2, -2, -1):

        def cut(envelope: Envelope, index: int = index) -> list[bytes]:
            pieces = envelope.chunked(PLAINTEXT)
            pieces[index] = _altered(pieces[index], -1)
            return pieces

        await _never_completed(world, cut, "an altered chunk")


@check(
    id="gateway.chunks.swapped",
    requirements=["OHT-028", "OHT-087", "MSG-046"],
    title="Swapped chunks leave the request behind the gateway incomplete",
)
async def swapped(world: GatewayWorld) -> None:
    """The second and the third chunk change places."""

    def cut(envelope: Envelope) -> list[bytes]:
        start, first, second, third, *rest = envelope.chunked(PLAINTEXT)
        return [start, first, third, second, *rest]

    await _never_completed(world, cut, "swapped chunks")


@check(
    id="gateway.chunks.duplicated",
    requirements=["OHT-028", "OHT-087"],
    title="A chunk sent twice leaves the request behind the gateway incomplete",
)
async def duplicated(world: GatewayWorld) -> None:
    """The second chunk comes twice."""

    def cut(envelope: Envelope) -> list[bytes]:
        start, first, second, *rest = envelope.chunked(PLAINTEXT)
        return [start, first, second, second, *rest]

    await _never_completed(world, cut, "a duplicated chunk")


@check(
    id="gateway.chunks.dropped",
    requirements=["OHT-028", "OHT-087"],
    title="A missing chunk leaves the request behind the gateway incomplete",
)
async def dropped(world: GatewayWorld) -> None:
    """The second chunk is left out; nothing but the sequence number of the third shows it."""

    def cut(envelope: Envelope) -> list[bytes]:
        start, first, _, *rest = envelope.chunked(PLAINTEXT)
        return [start, first, *rest]

    await _never_completed(world, cut, "a dropped chunk")


@check(
    id="gateway.chunks.final-missing",
    requirements=["OHT-035", "OHT-087", "MSG-047"],
    title="A request without its final chunk is never completed",
)
async def final_missing(world: GatewayWorld) -> None:
    """The HTTP content ends cleanly after the last non-final chunk; the Binary HTTP message inside is whole."""
    await _never_completed(world, lambda envelope: envelope.chunked(PLAINTEXT)[:-1], "a missing final chunk")


@check(
    id="gateway.chunks.final-missing-known-length",
    requirements=["OHT-035", "OHT-087"],
    title="A request of known length without its final chunk is never completed",
)
async def final_missing_known_length(world: GatewayWorld) -> None:
    """The length of the content is known from the message, so that counting bytes would make it look complete."""
    plaintext = encode_request(compute(CONTENT), pad_to=532)
    await _never_completed(world, lambda envelope: envelope.chunked(plaintext)[:-1], "a missing final chunk")


@check(
    id="gateway.chunks.truncated",
    requirements=["OHT-035", "OHT-087"],
    title="A request cut inside a chunk is never completed",
)
async def truncated(world: GatewayWorld) -> None:
    """The HTTP content ends cleanly inside a chunk, inside a length, and inside the final chunk."""
    for cut_off in (17, 16, 1, 100):

        def cut(envelope: Envelope, cut_off: int = cut_off) -> list[bytes]:
            return [b"".join(envelope.chunked(PLAINTEXT))[:-cut_off]]

        await _never_completed(world, cut, f"a request {cut_off} bytes short")


@check(
    id="gateway.chunks.final-aad",
    requirements=["OHT-027", "OHT-087", "MSG-045"],
    title="A final chunk sealed without the AAD final is refused",
)
async def final_aad(world: GatewayWorld) -> None:
    """Its AAD is empty, as in a non-final chunk that somebody relabelled."""
    await _never_completed(
        world,
        lambda envelope: [envelope.start, *map(envelope.chunk, blocks()), envelope.final(aad=b"")],
        "a final chunk with empty AAD",
    )


@check(
    id="gateway.chunks.non-final-aad",
    requirements=["OHT-026", "OHT-062"],
    title="A non-final chunk sealed with the AAD final is refused",
)
async def non_final_aad(world: GatewayWorld) -> None:
    """The first chunk is sealed as a final one and sent as a non-final one."""

    def cut(envelope: Envelope) -> list[bytes]:
        first, *rest = blocks()
        pieces = [envelope.start, envelope.chunk(first, aad=b"final"), *map(envelope.chunk, rest)]
        return [*pieces, envelope.final()]

    await _first_refused(world, cut, "a non-final chunk with the AAD final")


@check(
    id="gateway.chunks.after-final",
    requirements=["OHT-027", "OHT-087"],
    title="Bytes behind the final chunk make it invalid",
)
async def after_final(world: GatewayWorld) -> None:
    """One byte, and a whole further chunk, follow the final chunk."""
    await _never_completed(world, lambda envelope: [*envelope.chunked(PLAINTEXT), b"\0"], "a byte behind the end")
    await _never_completed(
        world, lambda envelope: [*envelope.chunked(PLAINTEXT), envelope.chunk(b"more")], "a chunk behind the end"
    )


@check(
    id="gateway.chunks.client-leaves",
    requirements=["OHT-087"],
    title="A client that leaves leaves the request behind the gateway incomplete",
)
async def client_leaves(world: GatewayWorld) -> None:
    """The connection is reset after two chunks, which a streaming gateway has begun to forward by then."""
    await world.control(Form.CHUNKED)
    pieces = world.envelope(Form.CHUNKED).chunked(PLAINTEXT)
    async with world.exchange(Form.CHUNKED) as exchange:
        await exchange.send(*pieces[:3])
        await exchange.abort()
    await world.ask(compute(b"another client"), Form.UNCHUNKED)
    await world.settled()
    complete = [received for received in world.forwarded() if received.complete]
    expect(
        [received.body for received in complete] == [b"another client"],
        expected="only the other client's request completed",
        observed=f"{len(complete)} requests completed",
    )
