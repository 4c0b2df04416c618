"""Chunked encapsulated requests that have to be accepted, however they are cut."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from conformance.peers.envelope import Envelope, expect_encapsulated, open_outer
from conformance.peers.gateway import GatewayWorld, compute
from conformance.registry import check
from conformance.verdicts import expect
from openpcc_ref.binary_http import encode_request
from openpcc_ref.oblivious_http import Form

CONTENT = bytes(index * 7 % 251 for index in range(1500))
PLAINTEXT = encode_request(compute(CONTENT), indeterminate=True, pad_to=532)
_BLOCK = 532

Cut = Callable[[Envelope], Sequence[bytes]]
"""Makes the pieces of a chunked request from an envelope; each piece is sent as one HTTP chunk."""


def blocks(plaintext: bytes = PLAINTEXT) -> list[bytes]:
    return [plaintext[offset : offset + _BLOCK] for offset in range(0, len(plaintext), _BLOCK)]


async def _accepted(
    world: GatewayWorld, cut: Cut, what: str, *, content: bytes = CONTENT, deployed: str | None = None
) -> None:
    """Send the pieces; the router must get the whole content and its answer must come back."""
    seen = len(world.router.requests)
    envelope = world.envelope(Form.CHUNKED)
    outer = await world.post(cut(envelope), Form.CHUNKED)
    if not expect_encapsulated(outer, deployed=deployed):
        return
    reply = open_outer(outer, envelope.context)
    status = reply.response.head.status
    expect(status == 200, expected=f"an answer to {what}", observed=str(reply))
    received = await world.router.arrival(seen + 1)
    expect(
        received.complete and received.body == content,
        expected=f"the whole content of {what} at the router",
        observed=f"{len(received.body)} of {len(content)} bytes, {'complete' if received.complete else 'cut off'}",
    )


@check(
    id="gateway.chunks.exchange",
    requirements=["OHT-026", "OHT-027", "OHT-028", "OHT-020", "OHT-087", "MSG-044"],
    title="A chunked request reaches the router whole",
)
async def exchange(world: GatewayWorld) -> None:
    """Several chunks of 532 bytes and an empty final one, each in an HTTP chunk of its own."""
    await _accepted(world, lambda envelope: envelope.chunked(PLAINTEXT), "a chunked request")


@check(
    id="gateway.chunks.any-size",
    requirements=["OHT-083", "OHT-026"],
    title="Chunks of any size are accepted, without padding",
)
async def any_size(world: GatewayWorld) -> None:
    """The message is not padded; chunks have 1, 7, 1000 and 4096 bytes."""
    for size in (1, 7, 1000, 4096):
        content = CONTENT[:60] if size == 1 else CONTENT
        plain = encode_request(compute(content), indeterminate=True)

        def cut(envelope: Envelope, size: int = size, plain: bytes = plain) -> list[bytes]:
            return envelope.chunked(plain, size)

        await _accepted(world, cut, f"chunks of {size} bytes", content=content)


@check(
    id="gateway.chunks.http-chunks",
    requirements=["OHT-026"],
    title="HTTP chunks mean nothing: encapsulated chunks may be cut and joined anywhere",
)
async def http_chunks(world: GatewayWorld) -> None:
    """The same encapsulated request goes out in one piece and in pieces of 100 bytes."""
    for size in (100, 2**20):

        def cut(envelope: Envelope, size: int = size) -> list[bytes]:
            content = b"".join(envelope.chunked(PLAINTEXT))
            return [content[offset : offset + size] for offset in range(0, len(content), size)]

        await _accepted(world, cut, f"HTTP chunks of {size} bytes")


@check(
    id="gateway.chunks.largest",
    requirements=["OHT-030"],
    title="A chunk of 16384 plaintext bytes is accepted",
)
async def largest(world: GatewayWorld) -> None:
    """Its sealed length of 16400 is the first that needs a varint of four bytes."""
    content = bytes(16000)
    plaintext = encode_request(compute(content), indeterminate=True, pad_to=16384)

    def cut(envelope: Envelope) -> list[bytes]:
        return [envelope.start, envelope.chunk(plaintext), envelope.final()]

    await _accepted(world, cut, "a chunk of 16384 bytes", content=content, deployed="OHT-D04")


@check(
    id="gateway.chunks.final-with-data",
    requirements=["OHT-034", "MSG-048"],
    title="Data in the final chunk are accepted",
)
async def final_with_data(world: GatewayWorld) -> None:
    """All of the message is in the final chunk; then only the last part of it is."""
    head, tail = PLAINTEXT[:1000], PLAINTEXT[1000:]
    await _accepted(world, lambda envelope: [envelope.start, envelope.final(PLAINTEXT)], "one chunk that is the final")
    await _accepted(
        world, lambda envelope: [envelope.start, envelope.chunk(head), envelope.final(tail)], "a final chunk with data"
    )


@check(
    id="gateway.chunks.long-varints",
    requirements=["OHT-033"],
    title="Lengths in longer varints than necessary are accepted",
)
async def long_varints(world: GatewayWorld) -> None:
    """Chunk lengths and the final marker are written in 2, 4 and 8 bytes."""
    for size, prefix in ((2, 0x40), (4, 0x80), (8, 0xC0)):

        def cut(envelope: Envelope, size: int = size, prefix: int = prefix) -> list[bytes]:
            pieces = [envelope.start]
            for block in blocks():
                sealed = envelope.hpke.seal(block)
                pieces.append(_long(len(sealed), size, prefix) + sealed)
            return [*pieces, _long(0, size, prefix) + envelope.hpke.seal(b"", b"final")]

        await _accepted(world, cut, f"lengths of {size} bytes")


def _long(value: int, size: int, prefix: int) -> bytes:
    encoded = bytearray(value.to_bytes(size, "big"))
    encoded[0] |= prefix
    return bytes(encoded)


@check(
    id="gateway.chunks.framings",
    requirements=["OHT-037", "MSG-006", "MSG-011"],
    title="Known- and indeterminate-length messages are accepted in both forms",
)
async def framings(world: GatewayWorld) -> None:
    """All four combinations reach the router with their content."""
    for form in Form:
        for indeterminate in (False, True):
            seen = len(world.router.requests)
            plaintext = encode_request(compute(CONTENT), indeterminate=indeterminate, pad_to=532)
            what = f"{'indeterminate' if indeterminate else 'known'} length in {form} form"
            reply = await world.deliver(plaintext, form)
            expect(reply.response.head.status == 200, expected=f"an answer to {what}", observed=str(reply))
            received = await world.router.arrival(seen + 1)
            expect(
                received.complete and received.body == CONTENT,
                expected=f"the content of a message of {what} at the router",
                observed=f"{len(received.body)} bytes",
            )


@check(
    id="gateway.chunks.early-forwarding",
    requirements=["OHT-073"],
    title="Forwarding starts before the request is complete",
)
async def early_forwarding(world: GatewayWorld) -> None:
    """The head and a part of the content are sent; the router must see them while the rest is withheld."""
    envelope = world.envelope(Form.CHUNKED)
    pieces = envelope.chunked(PLAINTEXT)
    async with world.exchange(Form.CHUNKED) as exchange:
        await exchange.send(*pieces[:3])
        received = await world.router.arrival()
        await received.content(500)
        await exchange.send(*pieces[3:])
        await exchange.finish()
        open_outer(await exchange.answer(), envelope.context)
