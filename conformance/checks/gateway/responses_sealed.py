"""Encapsulated responses as they are sealed: form, freshness, chunks and sizes."""

from __future__ import annotations

from conformance.checks.gateway.responses import BLOCK, content_of, sized, unsized
from conformance.peers.envelope import open_outer
from conformance.peers.gateway import GatewayWorld, compute
from conformance.registry import check
from conformance.verdicts import expect
from openpcc_ref.binary_http import encode_request, field_values
from openpcc_ref.oblivious_http import Form


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
        for answer in (sized(content_of(10)), sized(content_of(600)), unsized(content_of(5), content_of(900))):
            world.router.answer = answer
            reply = await world.ask(compute(b"content"), form)
            lengths = [len(chunk) for chunk in reply.chunks]
            total = sum(lengths)
            whole = reply.form is Form.UNCHUNKED or set(lengths) == {BLOCK}
            expect(
                total % BLOCK == 0 and whole,
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
    for answer in (unsized(content_of(100_000)), sized(content_of(100_000))):
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
    for answer in (unsized(), unsized(b"a", b"b", b"c"), unsized(content_of(BLOCK), content_of(BLOCK))):
        world.router.answer = answer
        await world.ask(compute(b"content"), Form.CHUNKED)


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
            world.router.answer = sized(content_of(length), status)
            envelope = world.envelope(form)
            plaintext = encode_request(compute(b"content"), indeterminate=form is Form.CHUNKED, pad_to=532)
            outer = await world.post(envelope.sealed(plaintext), form)
            padded = sum(map(len, open_outer(outer, envelope.context).chunks))
            size = len(outer.content) + sum(len(name) + len(value) for name, value in outer.fields)
            sizes.setdefault(padded, set()).add(size)
        for padded, seen in sizes.items():
            what = f"one size for {padded} plaintext bytes"
            expect(len(seen) == 1, expected=what, observed=f"{', '.join(map(str, sorted(seen)))} bytes")
