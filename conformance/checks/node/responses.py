"""Sealed responses: their form, their chunks, and when they leave."""

from __future__ import annotations

from collections.abc import Sequence

import anyio

from conformance.peers.node import NodeWorld
from conformance.peers.node_engine import PATHS, pieces, saying, stream_fields, streaming, whole
from conformance.peers.node_message import Opened, joined, open_answer
from conformance.peers.scripted import Received
from conformance.registry import check
from conformance.verdicts import Violation, expect
from openpcc_ref.binary_http import Content, ResponseDecoder
from openpcc_ref.compute_messages import ENCODED_CHUNK, USER_CHUNK, Form
from openpcc_ref.errors import Rejected
from openpcc_ref.http1 import Responder
from openpcc_ref.varint import decode_varint

_KNOWN, _INDETERMINATE = 1, 3
"""Framing indicators of Binary HTTP responses. RFC 9292 section 3."""


async def _streamed(world: NodeWorld, parts: Sequence[bytes]) -> Opened:
    """Ask for a stream while the engine sends these pieces."""
    world.engine.answer = streaming(parts)
    return await world.ask(world.request(body=world.body(stream=True)))


@check(
    id="node.responses.form",
    requirements=["MSG-072", "NODE-061", "MSG-071"],
    title="The form of a response is that of the message inside, and a stream is chunked",
    needs=["node.engine"],
)
async def form(world: NodeWorld) -> None:
    """An answer with a length, a stream, and a refusal: of known length and sealed whole, or of indeterminate length
    and sealed in chunks. The form of the request does not matter."""
    for asked in Form:
        world.engine.answer = saying(whole(PATHS[0]))
        for opened, what in (
            (await world.ask(world.request(asked), asked), "an answer with a length"),
            (await world.ask(world.request(asked, body=b"{}"), asked), "a refusal"),
        ):
            _expect_matching(opened, what)
        world.engine.answer = streaming(pieces(PATHS[0]))
        streamed = await world.ask(world.request(asked, body=world.body(stream=True)), asked)
        _expect_matching(streamed, "a stream")
        expect(streamed.form is Form.CHUNKED, expected="a stream in chunks", observed=f"a {streamed.form} response")


def _expect_matching(opened: Opened, what: str) -> None:
    indicator = b"".join(opened.chunks)[0]
    wanted = _KNOWN if opened.form is Form.UNCHUNKED else _INDETERMINATE
    expect(
        indicator == wanted,
        expected=f"framing indicator {wanted} in the {opened.form} response of {what}",
        observed=f"framing indicator {indicator}",
    )


@check(
    id="node.responses.known-length",
    requirements=["MSG-036"],
    title="A response whose length is known beforehand has known length",
    needs=["node.engine"],
)
async def known_length(world: NodeWorld) -> None:
    """Answers of the engine with a length, up to 20000 bytes, and refusals, to requests in both forms: sealed whole."""
    for asked in Form:
        for size in (0, 1, 600, 20000):
            world.engine.answer = saying(b"a" * size)
            _expect_whole(await world.ask(world.request(asked), asked), f"an answer of {size} bytes")
        refusal = await world.ask(world.request(asked, body=b"{}"), asked)
        indeterminate = b"".join(refusal.chunks)[:1] == bytes([_INDETERMINATE])
        _expect_whole(refusal, "a refusal", deployed="NODE-D25" if indeterminate else None)


def _expect_whole(opened: Opened, what: str, deployed: str | None = None) -> None:
    expect(
        opened.form is Form.UNCHUNKED,
        expected=f"an unchunked response for {what}",
        observed=f"a {opened.form} response",
        deployed=deployed,
    )


@check(
    id="node.responses.chunk-size",
    requirements=["NODE-061", "MSG-074"],
    title="A sealed chunk holds at most 514 bytes",
    needs=["node.engine"],
)
async def chunk_size(world: NodeWorld) -> None:
    """The engine sends a piece of 5000 bytes between small ones; the whole stream arrives as it was sent."""
    parts = [b"data: 1\n\n", b"a" * 5000, *pieces(PATHS[0])]
    opened = await _streamed(world, parts)
    longest = max(map(len, opened.chunks))
    expect(
        longest <= ENCODED_CHUNK,
        expected=f"chunks of at most {ENCODED_CHUNK} bytes",
        observed=f"one of {longest} bytes",
    )


@check(
    id="node.responses.stream-kept",
    requirements=["NODE-060", "MSG-048"],
    title="A stream arrives as the engine sent it",
    needs=["node.engine"],
)
async def stream_kept(world: NodeWorld) -> None:
    """Pieces of many sizes, with text beyond ASCII and line breaks of both kinds; the media type stays."""
    parts = [b"data: \xc3", b"\xa4\r\n\r\n", b"x" * 511, b"y" * 512, b"z" * 513, *pieces(PATHS[0])]
    opened = await _streamed(world, parts)
    kept = opened.status == 200 and opened.response.content == b"".join(parts)
    expect(kept, expected="the engine's stream", observed=str(opened))
    types = [value for name, value in opened.response.head.fields if name == b"content-type"]
    expect(types == [b"text/event-stream"], expected="text/event-stream", observed=str(types))


@check(
    id="node.responses.padded",
    requirements=["MSG-073"],
    title="Responses are padded to a multiple of 514 bytes",
    needs=["node.engine"],
)
async def padded(world: NodeWorld) -> None:
    """Answers of several lengths with a declared one, a stream, and a refusal: the plaintext is a multiple of 514 bytes
    long."""
    for size in (1, 300, 514, 1500):
        world.engine.answer = saying(b"a" * size)
        _expect_padded(await world.ask(world.request()), f"an answer of {size} bytes")
    _expect_padded(await _streamed(world, pieces(PATHS[0])), "a stream")
    _expect_padded(await world.ask(world.request(body=b"{}")), "a refusal")


def _expect_padded(opened: Opened, what: str) -> None:
    size = sum(map(len, opened.chunks))
    expect(size % ENCODED_CHUNK == 0, expected=f"a multiple of 514 bytes for {what}", observed=f"{size} bytes")


@check(
    id="node.responses.first-token",
    requirements=["NODE-060"],
    title="The first token leaves before the engine has produced the last",
    needs=["node.engine"],
)
async def first_token(world: NodeWorld) -> None:
    """The engine holds the rest of its stream until the client has read the first token."""
    first, *rest = pieces(PATHS[0])
    read = anyio.Event()

    async def holding(received: Received, responder: Responder) -> None:
        await received.end()
        await responder.send_head(200, stream_fields(PATHS[0]))
        await responder.send(first)
        with anyio.move_on_after(world.step_s):
            await read.wait()
        for part in rest:
            await responder.send(part)
        await responder.finish()

    world.engine.answer = holding
    sealed = world.sealed()
    content = joined(sealed.sealed(world.request(body=world.body(stream=True))))
    seen = b""
    decoder = ResponseDecoder()
    async with world.open_exchange(sealed) as exchange:
        await exchange.send(content)
        await exchange.finish()
        with anyio.move_on_after(world.step_s / 2):
            async for piece in exchange.plaintext(sealed.context):
                seen += _content_of(decoder, piece)
                if first in seen:
                    break
    read.set()
    expect(
        first in seen,
        expected="the first token before the engine goes on",
        observed=f"{len(seen)} bytes of content within {world.step_s / 2:g} s",
    )


@check(
    id="node.responses.every-token",
    requirements=["NODE-060"],
    title="Every token leaves before the engine has produced the next",
    needs=["node.engine"],
)
async def every_token(world: NodeWorld) -> None:
    """The engine holds each line of its stream until the client has read the one before it; in both dialects."""
    for path in (PATHS[0], PATHS[2]):
        await _token_by_token(world, path)


async def _token_by_token(world: NodeWorld, path: str) -> None:
    parts = pieces(path)
    read = [anyio.Event() for _ in parts]

    async def holding(received: Received, responder: Responder) -> None:
        await received.end()
        await responder.send_head(200, stream_fields(path))
        with anyio.move_on_after(world.step_s):
            for part, was_read in zip(parts, read, strict=True):
                await responder.send(part)
                await was_read.wait()
        await responder.finish()

    world.engine.answer = holding
    sealed = world.sealed()
    content = joined(sealed.sealed(world.request(path=path, body=world.body(path, stream=True))))
    seen = b""
    decoder = ResponseDecoder()
    async with world.open_exchange(sealed) as exchange:
        await exchange.send(content)
        await exchange.finish()
        with anyio.move_on_after(world.step_s / 2):
            async for piece in exchange.plaintext(sealed.context):
                seen += _content_of(decoder, piece)
                for number, was_read in enumerate(read):
                    if seen.startswith(b"".join(parts[: number + 1])):
                        was_read.set()
                if read[-1].is_set():
                    break
    count = sum(was_read.is_set() for was_read in read)
    for was_read in read:
        was_read.set()
    expect(
        count == len(parts),
        expected=f"each of {len(parts)} lines on {path} before the engine goes on",
        observed=f"{count} of them within {world.step_s / 2:g} s",
    )


def _content_of(decoder: ResponseDecoder, piece: bytes) -> bytes:
    try:
        return b"".join(part.data for part in decoder.feed(piece) if isinstance(part, Content))
    except Rejected as rejected:
        raise Violation("a Binary HTTP response inside", str(rejected)) from rejected


@check(
    id="node.responses.fresh-nonce",
    requirements=["MSG-052"],
    title="The same sealed request gets two responses that share nothing",
)
async def fresh_nonce(world: NodeWorld) -> None:
    """One sealed request comes twice, byte for byte, and another one. A second one may be refused; answered, it has
    another nonce. Random nonces share neither beginning nor end, as those of a counter or a clock do."""
    nonces: list[bytes] = []
    for form_ in Form:
        sealed = world.sealed(form_)
        content = sealed.sealed(world.request(form_))
        first = await world.post(content, sealed)
        nonces.append(open_answer(first, sealed.context).nonce)
        nonces.append((await world.ask(world.request(form_), form_)).nonce)
        second = await world.post(content, sealed)
        if second.form is None:
            refused = 400 <= second.status <= 499
            expect(refused, expected="an answer or a refusal of a repetition", observed=str(second))
        else:
            nonces.append(open_answer(second, sealed.context).nonce)
    for part, where in ((slice(5), "beginning"), (slice(-5, None), "end")):
        alike = len(nonces) - len({nonce[part] for nonce in nonces})
        expect(
            not alike,
            expected="fresh random response nonces",
            observed=f"{alike + 1} of {len(nonces)} with one {where}",
        )


@check(
    id="node.responses.content-chunks",
    requirements=["MSG-075"],
    title="A Binary HTTP content chunk of a response holds at most 512 bytes",
    needs=["node.engine"],
)
async def content_chunks(world: NodeWorld) -> None:
    """The engine streams a piece of 5000 bytes."""
    opened = await _streamed(world, [b"a" * 5000, *pieces(PATHS[0])])
    expect(opened.form is Form.CHUNKED, expected="a stream in chunks", observed=f"a {opened.form} response")
    longest = max(_content_chunks(b"".join(opened.chunks)))
    expect(longest <= USER_CHUNK, expected=f"content chunks of at most {USER_CHUNK} bytes", observed=f"{longest} bytes")


def _content_chunks(message: bytes) -> list[int]:
    """Return the lengths of the content chunks of a response of indeterminate length that was decoded before."""
    status, place = decode_varint(message, 1)
    while 100 <= status <= 199:
        status, place = decode_varint(message, _behind_sections(message, place))
    place = _behind_sections(message, place)
    lengths: list[int] = []
    while True:
        length, place = decode_varint(message, place)
        if not length:
            return lengths
        lengths.append(length)
        place += length


def _behind_sections(message: bytes, place: int) -> int:
    """Return where a field section ends."""
    while True:
        length, place = decode_varint(message, place)
        if not length:
            return place
        place += length
        length, place = decode_varint(message, place)
        place += length


@check(
    id="node.responses.filled",
    requirements=["MSG-076"],
    title="Chunks are filled, and do not show where the fields of a response begin and end",
    needs=["node.engine"],
)
async def filled(world: NodeWorld) -> None:
    """The engine streams a piece of 5000 bytes. Whatever is sent at once is cut into chunks of 514 bytes, so that there
    are few shorter ones: no more than three for each piece."""
    parts = [b"a" * 5000, *pieces(PATHS[0])]
    opened = await _streamed(world, parts)
    expect(opened.form is Form.CHUNKED, expected="a stream in chunks", observed=f"a {opened.form} response")
    short = sum(len(chunk) < ENCODED_CHUNK for chunk in opened.chunks)
    expect(
        short <= 3 * len(parts),
        expected=f"at most {3 * len(parts)} chunks of less than 514 bytes",
        observed=f"{short} of them",
        deployed="MSG-D14",
    )
