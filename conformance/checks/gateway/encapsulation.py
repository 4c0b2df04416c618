"""Encapsulated requests that are cut, altered, or sealed to something else than the standard says."""

from __future__ import annotations

from collections.abc import Iterator

from conformance.peers.envelope import Envelope, zero_shared_secret
from conformance.peers.gateway import PING, GatewayWorld
from conformance.registry import check
from openpcc_ref.binary_http import encode_request
from openpcc_ref.hpke import AeadId, KdfId, KemId, SenderContext, Suite, kem, key_schedule
from openpcc_ref.oblivious_http import Form, KeyConfig
from openpcc_ref.sources import RandomSource

_PLAINTEXT = encode_request(PING, pad_to=532)
_HEADER = 7


def _flipped(data: bytes, position: int) -> bytes:
    """Return ``data`` with one bit changed at ``position``, which may count from the end."""
    changed = bytearray(data)
    changed[position] ^= 0x01
    return bytes(changed)


def _parts_of_enc(key: KeyConfig) -> Iterator[tuple[int, str]]:
    """Yield a position in each part of the encapsulated key."""
    yield 0, "the start of enc"
    if key.kem_id == KemId.X25519_KYBER768_DRAFT00:
        yield 30, "the X25519 part of enc"
        yield 32, "the Kyber part of enc"
    yield kem(KemId(key.kem_id)).nenc - 2, "the end of enc"


@check(
    id="gateway.encapsulation.empty",
    requirements=["OHT-063"],
    title="A request without content is refused",
)
async def empty(world: GatewayWorld) -> None:
    """Both media types, with content-length 0 and with an empty chunked body."""
    for form in Form:
        await world.control(form)
        await world.refusal(b"", form, "empty content")
        await world.refusal([], form, "an empty chunked body")


@check(
    id="gateway.encapsulation.header-truncated",
    requirements=["OHT-063"],
    title="Content that ends inside the header is refused",
)
async def header_truncated(world: GatewayWorld) -> None:
    """An honest request is cut after 1, 3 and 6 bytes."""
    for form in Form:
        await world.control(form)
        start = world.envelope(form).start
        for length in (1, 3, 6):
            await world.refusal(start[:length], form, f"{length} bytes of content")


@check(
    id="gateway.encapsulation.enc-truncated",
    requirements=["OHT-062"],
    title="Content that ends inside the encapsulated key is refused",
)
async def enc_truncated(world: GatewayWorld) -> None:
    """An honest request is cut after the header, inside enc, and one byte before its end, for every KEM."""
    for key in world.keys.by_kem:
        for form in Form:
            await world.control(form, key)
            start = world.envelope(form, key).start
            for length in (_HEADER, _HEADER + 1, len(start) // 2, len(start) - 1):
                await world.refusal(start[:length], form, f"content cut after {length} of {len(start)} bytes")


@check(
    id="gateway.encapsulation.ciphertext-truncated",
    requirements=["OHT-062"],
    title="An unchunked ciphertext that is cut is refused",
)
async def ciphertext_truncated(world: GatewayWorld) -> None:
    """An honest request is cut before the ciphertext, inside what could be a tag, in the middle, and by one byte."""
    await world.control(Form.UNCHUNKED)
    envelope = world.envelope(Form.UNCHUNKED)
    content = envelope.whole(_PLAINTEXT)
    start = len(envelope.start)
    for length in (start, start + 1, start + 15, start + 16, (start + len(content)) // 2, len(content) - 1):
        await world.refusal(content[:length], Form.UNCHUNKED, f"a ciphertext of {length - start} bytes")


@check(
    id="gateway.encapsulation.ciphertext-altered",
    requirements=["OHT-062"],
    title="An unchunked ciphertext with one bit changed is refused",
)
async def ciphertext_altered(world: GatewayWorld) -> None:
    """One bit changes at the start, in the middle and in the tag; padding is as protected as anything else."""
    await world.control(Form.UNCHUNKED)
    envelope = world.envelope(Form.UNCHUNKED)
    content = envelope.whole(_PLAINTEXT)
    start = len(envelope.start)
    for position in (start, start + 300, len(content) - 16, len(content) - 1):
        what = f"a ciphertext altered at byte {position - start}"
        await world.refusal(_flipped(content, position), Form.UNCHUNKED, what)


@check(
    id="gateway.encapsulation.trailing-byte",
    requirements=["OHT-062"],
    title="A byte behind an unchunked ciphertext is refused",
)
async def trailing_byte(world: GatewayWorld) -> None:
    """The ciphertext extends to the end of the content, so that one byte more changes it."""
    await world.control(Form.UNCHUNKED)
    for extra in (b"\0", b"\0" * 16):
        content = world.envelope(Form.UNCHUNKED).whole(_PLAINTEXT) + extra
        await world.refusal(content, Form.UNCHUNKED, f"{len(extra)} bytes behind the ciphertext")


@check(
    id="gateway.encapsulation.enc-altered",
    requirements=["OHT-062"],
    title="An encapsulated key with one bit changed is refused",
)
async def enc_altered(world: GatewayWorld) -> None:
    """One bit changes in each part of enc, for every KEM and both forms."""
    for key in world.keys.by_kem:
        for form in Form:
            await world.control(form, key)
            for position, part in _parts_of_enc(key):
                content = world.envelope(form, key).sealed(_PLAINTEXT)
                start = content if isinstance(content, bytes) else content[0]
                altered = _flipped(start, _HEADER + position)
                rest = [] if isinstance(content, bytes) else content[1:]
                await world.refusal(altered if not rest else [altered, *rest], form, f"one bit changed at {part}")


@check(
    id="gateway.encapsulation.enc-zero",
    requirements=["OHT-062"],
    title="An X25519 key whose shared secret is zero is refused",
)
async def enc_zero(world: GatewayWorld) -> None:
    """The X25519 part of enc is all zero, so that everyone knows the shared secret; the request is sealed with it."""
    for key in world.keys.by_kem:
        if key.kem_id == KemId.DHKEM_P256:
            continue
        for form in Form:
            await world.control(form, key)
            encapsulation = _zero_encapsulation(key, form, world.random)
            envelope = Envelope(key, form, random=world.random, encapsulation=encapsulation)
            await world.refusal(envelope.sealed(_PLAINTEXT), form, "an all-zero X25519 key")


def _zero_encapsulation(key: KeyConfig, form: Form, random: RandomSource) -> tuple[bytes, SenderContext]:
    """Encapsulate as somebody does who sends zeros: the Diffie-Hellman result is zero (RFC 9180 section 7.1.4)."""
    enc, secret = bytes(32), zero_shared_secret(key.public_key[:32])
    if key.kem_id == KemId.X25519_KYBER768_DRAFT00:
        honest_secret, honest_enc = kem(KemId(key.kem_id)).encapsulate(key.public_key, random)
        secret, enc = secret + honest_secret[32:], enc + honest_enc[32:]
    pair = key.algorithms[0]
    suite = Suite(KemId(key.kem_id), KdfId(pair.kdf_id), AeadId(pair.aead_id))
    info = (
        form.request_label
        + b"\0"
        + b"".join(
            [bytes([key.key_id]), *(code.to_bytes(2, "big") for code in (key.kem_id, pair.kdf_id, pair.aead_id))]
        )
    )
    return enc, SenderContext(suite, *key_schedule(suite, secret, info))


@check(
    id="gateway.encapsulation.info",
    requirements=["OHT-020", "OHT-062", "MSG-041"],
    title="A request sealed to another info is refused",
)
async def info(world: GatewayWorld) -> None:
    """The info lacks the zero byte behind the label, lacks the header, or is empty."""
    for form in Form:
        await world.control(form)
        header = world.envelope(form).header.encode()
        for value, what in (
            (form.request_label + header, "info without the zero byte"),
            (form.request_label + b"\0", "info without the header"),
            (form.request_label, "info that is the label alone"),
            (b"", "empty info"),
        ):
            envelope = Envelope(world.key, form, random=world.random, info=value)
            await world.refusal(envelope.sealed(_PLAINTEXT), form, what)


@check(
    id="gateway.encapsulation.label",
    requirements=["OHT-020", "OHT-062"],
    title="A request sealed under the label of the other form is refused",
)
async def label(world: GatewayWorld) -> None:
    """Framing and media type are those of one form, the label in the info that of the other."""
    for form in Form:
        await world.control(form)
        other = Form.CHUNKED if form is Form.UNCHUNKED else Form.UNCHUNKED
        header = world.envelope(form).header
        envelope = Envelope(world.key, form, random=world.random, info=header.info(other))
        await world.refusal(envelope.sealed(_PLAINTEXT), form, f"the label of the {other} form")


@check(
    id="gateway.encapsulation.other-form",
    requirements=["OHT-062", "OHT-020"],
    title="A request under the media type of the other form is refused",
)
async def other_form(world: GatewayWorld) -> None:
    """Unchunked content goes out as chunked and the reverse."""
    for form in Form:
        await world.control(form)
        other = Form.CHUNKED if form is Form.UNCHUNKED else Form.UNCHUNKED
        content = world.envelope(form).sealed(_PLAINTEXT)
        await world.refusal(content, other, f"{form} content sent as {other}")


@check(
    id="gateway.encapsulation.aad",
    requirements=["OHT-062"],
    title="An unchunked request sealed with an AAD is refused",
)
async def aad(world: GatewayWorld) -> None:
    """The AAD of an unchunked request is empty; here it is that of a final chunk, and the header."""
    await world.control(Form.UNCHUNKED)
    for value in (b"final", world.envelope(Form.UNCHUNKED).header.encode()):
        content = world.envelope(Form.UNCHUNKED).whole(_PLAINTEXT, aad=value)
        await world.refusal(content, Form.UNCHUNKED, f"an AAD of {len(value)} bytes")


@check(
    id="gateway.encapsulation.media-type",
    requirements=["OHT-063"],
    title="Another media type, or none, is refused",
)
async def media_type(world: GatewayWorld) -> None:
    """An honest request goes out under media types that announce something else, and under none."""
    for form in Form:
        await world.control(form)
        for value in (b"application/octet-stream", b"message/bhttp", form.response_media_type, None):
            what = f"media type {value.decode()}" if value else "no media type"
            await world.refusal(world.envelope(form).sealed(_PLAINTEXT), value, what)


@check(
    id="gateway.encapsulation.bits",
    requirements=["OHT-062"],
    title="A request with any one bit changed is refused",
)
async def bits(world: GatewayWorld) -> None:
    """Bits at 30 arbitrary places of an honest request are changed, one at a time."""
    await world.control(Form.UNCHUNKED)
    junk = world.junk("bits")
    for _ in range(30):
        envelope = world.envelope(Form.UNCHUNKED)
        content = bytearray(envelope.whole(_PLAINTEXT))
        place = junk.randrange(8 * len(content))
        content[place // 8] ^= 1 << place % 8
        await world.refusal(bytes(content), Form.UNCHUNKED, f"bit {place} changed")


@check(
    id="gateway.encapsulation.unbounded",
    requirements=["OHT-079", "MSG-061"],
    title="Unchunked content is not taken without a bound",
    costly=True,
)
async def unbounded(world: GatewayWorld) -> None:
    """A request that never ends is sent piece by piece; by 256 MiB it must have been refused."""
    async with world.exchange(Form.UNCHUNKED) as exchange:
        await exchange.send(world.envelope(Form.UNCHUNKED).start)
        await exchange.answer_while_sending(bytes(2**20), times=256)
