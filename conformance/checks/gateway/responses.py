"""Encapsulated responses: their form, their freshness, and that they say what the service said."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

import anyio

from conformance.peers.envelope import Opened, open_outer
from conformance.peers.gateway import GatewayWorld, compute
from conformance.peers.scripted import Received, answer_after_request
from conformance.peers.stepped import side_by_side
from conformance.registry import check
from conformance.verdicts import expect
from openpcc_ref.binary_http import encode_request, field_values
from openpcc_ref.http1 import Responder
from openpcc_ref.oblivious_http import Form

_BLOCK = 532
_TEXT = ((b"content-type", b"text/plain"),)


def _content(size: int) -> bytes:
    return bytes(index * 31 % 251 for index in range(size))


def sized(content: bytes, status: int = 200) -> Callable[[Received, Responder], Awaitable[None]]:
    """Return an answer that states its length."""

    async def answer(received: Received, responder: Responder) -> None:
        await answer_after_request(received, responder, status, _TEXT, content)

    return answer


def unsized(*pieces: bytes) -> Callable[[Received, Responder], Awaitable[None]]:
    """Return an answer in the chunked transfer coding."""

    async def answer(received: Received, responder: Responder) -> None:
        await received.end()
        await responder.send_head(200, (*_TEXT, (b"transfer-encoding", b"chunked")))
        for piece in pieces:
            await responder.send(piece)
        await responder.finish()

    return answer


def _expect_content(reply: Opened, content: bytes, what: str) -> None:
    expect(
        reply.response.head.status == 200 and reply.response.content == content,
        expected=f"{len(content)} bytes of {what} unchanged",
        observed=str(reply),
    )


@check(
    id="gateway.responses.sized",
    requirements=["OHT-024", "OHT-025", "OHT-023"],
    title="A response of known length arrives as the service sent it",
)
async def sized_response(world: GatewayWorld) -> None:
    """Contents around the size of a block, and none at all, in answer to both forms."""
    for form in Form:
        for size in (0, 1, 400, _BLOCK, 5000):
            world.router.answer = sized(_content(size))
            reply = await world.ask(compute(b"content"), form)
            _expect_content(reply, _content(size), "a response of known length")
            media_type = field_values(reply.response.head.fields, b"content-type")
            expect(media_type == (b"text/plain",), expected="its content-type inside", observed=str(media_type))


@check(
    id="gateway.responses.unsized",
    requirements=["OHT-024", "OHT-025", "OHT-028"],
    title="A response of unknown length arrives as the service sent it",
)
async def unsized_response(world: GatewayWorld) -> None:
    """The service answers in the chunked transfer coding, in pieces of every size, to both forms."""
    pieces = [_content(size) for size in (1, 600, 3, 4096, 531)]
    for form in Form:
        world.router.answer = unsized(*pieces)
        reply = await world.ask(compute(b"content"), form)
        _expect_content(reply, b"".join(pieces), "a response of unknown length")


@check(
    id="gateway.responses.large",
    requirements=["OHT-028", "OHT-026"],
    title="A megabyte goes through in both directions",
)
async def large(world: GatewayWorld) -> None:
    """Request and response have a megabyte each and arrive unchanged, in both forms."""
    content = _content(2**20)
    for form in Form:
        world.router.reset()
        world.router.answer = sized(content)
        reply = await world.ask(compute(content), form)
        _expect_content(reply, content, "a large response")
        received = await world.router.arrival()
        same = received.complete and received.body == content
        expect(same, expected="a large request unchanged", observed=f"{len(received.body)} bytes")


@check(
    id="gateway.responses.statuses",
    requirements=["OHT-069", "MSG-009"],
    title="The service's status goes inside, whatever it is; the outer one is 200",
)
async def statuses(world: GatewayWorld) -> None:
    """Success, redirection, errors of either side, and statuses without content."""
    for status in (200, 201, 204, 304, 302, 402, 404, 429, 500, 503):
        content = b"" if status in (204, 304) else b"content"

        async def answer(received: Received, responder: Responder, status: int = status) -> None:
            await received.end()
            size = () if status in (204, 304) else ((b"content-length", b"7"),)
            await responder.send_head(status, (*_TEXT, *size))
            if status not in (204, 304):
                await responder.send(b"content")
            await responder.finish()

        for form in Form:
            world.router.answer = answer
            reply = await world.ask(compute(b"content"), form)
            response = reply.response
            expect(
                response.head.status == status and response.content == content,
                expected=f"inner status {status} with {len(content)} bytes",
                observed=str(reply),
            )


@check(
    id="gateway.responses.informational",
    requirements=["OHT-091", "MSG-010"],
    title="An informational response of the service does not stand for its final one",
)
async def informational(world: GatewayWorld) -> None:
    """A 103 comes first, then success or an error with fields of its own; the client must learn of the latter."""
    hint = b"</style.css>"
    for status in (200, 402, 500):

        async def answer(received: Received, responder: Responder, status: int = status) -> None:
            await received.end()
            await responder.send_informational(103, ((b"link", hint),))
            await answer_after_request(received, responder, status, ((b"x-final", b"yes"), *_TEXT), b"content")

        for form in Form:
            world.router.answer = answer
            reply = await world.ask(compute(b"content"), form)
            head, content = reply.response.head, reply.response.content
            final = field_values(head.fields, b"x-final") == (b"yes",)
            frozen = head.status == 200 and not final and field_values(head.fields, b"link") == (hint,)
            expect(
                head.status == status and final and content == b"content",
                expected=f"inner status {status} with the fields that belong to it",
                observed=f"{reply}, {'with' if final else 'without'} these fields",
                deployed="OHT-D18" if frozen else None,
            )


@check(
    id="gateway.responses.chunked-form",
    requirements=["OHT-044"],
    title="A chunked request gets a chunked response",
)
async def chunked_form(world: GatewayWorld) -> None:
    """The service answers with and without a stated length."""
    for answer, deployed in ((unsized(b"content"), None), (sized(b"content"), "OHT-D02")):
        world.router.answer = answer
        reply = await world.ask(compute(b"content"), Form.CHUNKED)
        expect(
            reply.form is Form.CHUNKED,
            expected="media type message/ohttp-chunked-res",
            observed=reply.form.response_media_type.decode(),
            deployed=deployed,
        )


@check(
    id="gateway.responses.fresh-nonce",
    requirements=["OHT-075", "OHT-023", "MSG-052"],
    title="A replayed request gets a fresh response nonce, or is refused",
)
async def fresh_nonce(world: GatewayWorld) -> None:
    """The same content is posted three times, in both forms."""
    for form in Form:
        envelope = world.envelope(form)
        plaintext = encode_request(compute(b"content"), indeterminate=form is Form.CHUNKED, pad_to=532)
        content = envelope.sealed(plaintext)
        outers = [await world.post(content, form) for _ in range(3)]
        nonces = [open_outer(outer, envelope.context).nonce for outer in outers if outer.form is not None]
        expect(bool(nonces), expected="an answer to the first of equal requests", observed=str(outers[0]))
        expect(
            len(set(nonces)) == len(nonces),
            expected="a fresh nonce in each response",
            observed=f"{len(set(nonces))} different in {len(nonces)}",
        )


@check(
    id="gateway.responses.nonces-differ",
    requirements=["OHT-023"],
    title="Response nonces are not a constant or a counter",
)
async def nonces_differ(world: GatewayWorld) -> None:
    """Twenty responses; any two nonces differ in many bits, as random ones do."""
    nonces = []
    for _ in range(10):
        for form in Form:
            nonces.append((await world.ask(compute(b"content"), form)).nonce)
    closest = min(
        (int.from_bytes(one, "big") ^ int.from_bytes(other, "big")).bit_count()
        for index, one in enumerate(nonces)
        for other in nonces[:index]
    )
    # Of 190 pairs of random 128-bit strings none differs in fewer than 24 bits but once in 10^10 runs.
    expect(closest >= 24, expected="nonces that look random", observed=f"two that differ in {closest} bits")


@check(
    id="gateway.responses.incremental",
    requirements=["OHT-040"],
    title="A chunked response carries Incremental: ?1",
)
async def incremental(world: GatewayWorld) -> None:
    """Without it the relay may wait for the end."""
    world.router.answer = unsized(b"content")
    envelope = world.envelope(Form.CHUNKED)
    plaintext = encode_request(compute(b"content"), indeterminate=True, pad_to=532)
    outer = await world.post(envelope.sealed(plaintext), Form.CHUNKED)
    reply = open_outer(outer, envelope.context)
    values = field_values(outer.fields, b"incremental")
    seen = b", ".join(values).decode("latin-1") or "no such field"
    deployed = "OHT-D06" if not values else None
    if reply.form is Form.CHUNKED:
        expect(values == (b"?1",), expected="Incremental: ?1", observed=seen, deployed=deployed)


@check(
    id="gateway.responses.padding",
    requirements=["OHT-038", "MSG-033"],
    title="Responses are padded to multiples of 532 and cut into chunks of 532 bytes",
)
async def padding(world: GatewayWorld) -> None:
    """Lengths that are seen on the way must not tell the lengths of short answers apart."""
    for form in Form:
        for answer in (sized(_content(10)), sized(_content(600)), unsized(_content(5), _content(900))):
            world.router.answer = answer
            reply = await world.ask(compute(b"content"), form)
            lengths = [len(chunk) for chunk in reply.chunks]
            total = sum(lengths)
            whole = reply.form is Form.UNCHUNKED or set(lengths) == {_BLOCK}
            expect(
                total % _BLOCK == 0 and whole,
                expected="blocks of 532 plaintext bytes",
                observed=f"{total} bytes in chunks of {', '.join(map(str, sorted(set(lengths))))}",
            )


@check(
    id="gateway.responses.chunk-size",
    requirements=["OHT-031"],
    title="Response chunks have at most 16384 plaintext bytes",
)
async def chunk_size(world: GatewayWorld) -> None:
    """The service sends a hundred thousand bytes in one piece."""
    for answer in (unsized(_content(100_000)), sized(_content(100_000))):
        world.router.answer = answer
        reply = await world.ask(compute(b"content"), Form.CHUNKED)
        longest = max(len(chunk) for chunk in reply.chunks)
        fits = longest <= 16384 or reply.form is Form.UNCHUNKED
        expect(fits, expected="chunks of at most 16384 bytes", observed=f"one of {longest} bytes")


@check(
    id="gateway.responses.no-empty-chunk",
    requirements=["OHT-032"],
    title="No non-final response chunk is empty",
)
async def no_empty_chunk(world: GatewayWorld) -> None:
    """The service sends in small pieces and ends without content; an empty chunk would not open."""
    for answer in (unsized(), unsized(b"a", b"b", b"c"), unsized(_content(_BLOCK), _content(_BLOCK))):
        world.router.answer = answer
        await world.ask(compute(b"content"), Form.CHUNKED)


@check(
    id="gateway.responses.streamed",
    requirements=["OHT-089"],
    title="Response content is passed on before the service has finished",
)
async def streamed(world: GatewayWorld) -> None:
    """The service sends 3000 bytes and withholds the rest until the client has seen most of them."""
    seen = anyio.Event()

    async def answer(received: Received, responder: Responder) -> None:
        await received.end()
        await responder.send_head(200, (*_TEXT, (b"transfer-encoding", b"chunked")))
        await responder.send(_content(3000))
        await seen.wait()
        await responder.send(b"the rest")
        await responder.finish()

    for form in Form:
        seen = anyio.Event()
        world.router.answer = answer
        envelope = world.envelope(form)
        plaintext = encode_request(compute(b"content"), indeterminate=form is Form.CHUNKED, pad_to=532)
        content = envelope.sealed(plaintext)
        size = (b"content-length", str(len(content)).encode())
        framing = (size,) if isinstance(content, bytes) else ((b"transfer-encoding", b"chunked"),)
        async with world.exchange(form, fields=framing) as exchange:
            await exchange.send(*([content] if isinstance(content, bytes) else content))
            await exchange.finish()
            await exchange.inner_bytes(envelope.context, 3000 - _BLOCK)
            seen.set()
            reply = open_outer(await exchange.answer(), envelope.context)
        _expect_content(reply, _content(3000) + b"the rest", "a response in two parts")


@check(
    id="gateway.responses.concurrent",
    requirements=["OHT-024"],
    title="Exchanges side by side get their own answers",
)
async def concurrent(world: GatewayWorld) -> None:
    """Twelve clients ask at once; the service waits for all of them and then answers each with its own content."""
    count = 12
    together = anyio.Event()
    waiting = 0

    async def answer(received: Received, responder: Responder) -> None:
        nonlocal waiting
        await received.end()
        waiting += 1
        if waiting == count:
            together.set()
        await together.wait()
        await answer_after_request(received, responder, 200, _TEXT, b"to " + received.body)

    async def client(number: int) -> None:
        content = b"client %d" % number
        form = Form.CHUNKED if number % 2 else Form.UNCHUNKED
        _expect_content(await world.ask(compute(content), form), b"to " + content, "the client's own answer")

    world.router.answer = answer
    await side_by_side(partial(client, number) for number in range(count))


@check(
    id="gateway.responses.equal-sizes",
    requirements=["PRIV-010"],
    title="Responses of equal padded length have equal sizes outside",
)
async def equal_sizes(world: GatewayWorld) -> None:
    """Answers that differ in status and length; where their plaintexts are equally long, so is all that is outside."""
    for form in Form:
        sizes: dict[int, set[int]] = {}
        for status, length in ((200, 1), (200, 100), (404, 9), (500, 99), (200, 300)):
            world.router.answer = sized(_content(length), status)
            envelope = world.envelope(form)
            plaintext = encode_request(compute(b"content"), indeterminate=form is Form.CHUNKED, pad_to=532)
            outer = await world.post(envelope.sealed(plaintext), form)
            padded = sum(map(len, open_outer(outer, envelope.context).chunks))
            size = len(outer.content) + sum(len(name) + len(value) for name, value in outer.fields)
            sizes.setdefault(padded, set()).add(size)
        for padded, seen in sizes.items():
            what = f"one size for {padded} plaintext bytes"
            expect(len(seen) == 1, expected=what, observed=f"{', '.join(map(str, sorted(seen)))} bytes")
