"""Opening sealed requests: what opens, what must not, and that no failure can be told from another."""

from __future__ import annotations

from collections.abc import Set

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from conformance.peers.envelope import Content
from conformance.peers.node import NodeWorld
from conformance.peers.node_message import HEADER, Answer, SealedRequest, altered, expect_refused, open_answer
from conformance.registry import check
from conformance.verdicts import expect
from openpcc_ref.compute_messages import COMPUTE_SUITE, REQUEST_MEDIA_TYPES, Form
from openpcc_ref.hpke import KdfId, SenderContext, kdf, kem, key_schedule
from openpcc_ref.http1 import Fields

_ENC = slice(7, 72)


@check(
    id="node.opening.unchunked",
    requirements=["MSG-055", "MSG-041", "MSG-042", "MSG-057", "MSG-060", "MSG-070", "MSG-094", "NODE-001", "NODE-008"],
    title="An unchunked request is opened and answered",
)
async def unchunked(world: NodeWorld) -> None:
    """Honest requests with prompts of one byte up to 512 KiB; the sealed answers open with the context of the node's
    encapsulated key."""
    await world.control(Form.UNCHUNKED)
    for length in (1, 514, 2**14, 2**16, 2**19):
        prompt = "a" * length
        await world.accepted(world.request(body=world.body(prompt=prompt)), f"a prompt of {length} bytes")


@check(
    id="node.opening.chunked",
    requirements=["MSG-044", "MSG-045", "MSG-055", "MSG-077", "NODE-001", "NODE-008"],
    title="A chunked request is opened and answered",
)
async def chunked(world: NodeWorld) -> None:
    """An honest request of indeterminate length with the content-length field, in chunks of 514 bytes."""
    await world.control(Form.CHUNKED)


@check(
    id="node.opening.other-key",
    requirements=["NODE-006", "MSG-094", "MSG-086"],
    title="A request sealed for another node is not opened",
)
async def other_key(world: NodeWorld) -> None:
    """The encapsulated key is for another P-256 key; all else is honest."""
    await world.control()
    other = kem(COMPUTE_SUITE.kem_id).generate(world.random)
    for form in Form:
        sealed = world.sealed(form, public_key=other.public_key)
        await world.unopened(sealed.sealed(world.request(form)), sealed, "a request sealed for another node")


@check(
    id="node.opening.key-altered",
    requirements=["NODE-006", "MSG-057"],
    title="An altered encapsulated key is not opened",
)
async def key_altered(world: NodeWorld) -> None:
    """One bit changes in enc, in the sealed data encryption key and in its tag."""
    await world.control()
    for position, part in ((40, "enc"), (80, "the sealed DEK"), (-1, "its tag")):
        sealed = world.sealed()
        sealed.encapsulated_key = altered(sealed.encapsulated_key, position)
        await world.unopened(sealed.whole(world.request()), sealed, f"an altered bit in {part}")


@check(
    id="node.opening.key-length",
    requirements=["MSG-057", "NODE-006"],
    title="An encapsulated key of another length is not opened",
)
async def key_length(world: NodeWorld) -> None:
    """The honest one with bytes behind it, cut short, and cut to its header."""
    await world.control()
    for change in (1, 16, -1, -48, -113):
        sealed = world.sealed()
        honest = sealed.encapsulated_key
        sealed.encapsulated_key = honest + bytes(change) if change > 0 else honest[:change]
        what = f"an encapsulated key of {len(sealed.encapsulated_key)} bytes"
        await world.unopened(sealed.whole(world.request()), sealed, what)


@check(
    id="node.opening.key-header",
    requirements=["MSG-043", "MSG-040", "MSG-070"],
    title="Another key identifier or suite in the encapsulated key is refused",
)
async def key_header(world: NodeWorld) -> None:
    """Key identifier, KEM, KDF and AEAD are others; the sealing is bound to the header as stated, so that it opens for
    whoever does not look."""
    await world.control()
    for header, part in (
        ("01001000010001", "key identifier 1"),
        ("00002000010001", "KEM 0x0020"),
        ("00001000020001", "KDF 0x0002"),
        ("00001000010002", "AEAD 0x0002"),
        ("00001000010003", "AEAD 0x0003"),
        ("0000100001ffff", "AEAD 0xffff"),
    ):
        sealed = world.sealed(header=bytes.fromhex(header))
        await world.unopened(sealed.whole(world.request()), sealed, part)


@check(
    id="node.opening.info",
    requirements=["MSG-041", "MSG-086"],
    title="A key bound to anything but media type and header is not opened",
)
async def info(world: NodeWorld) -> None:
    """The HPKE info lacks the zero byte, the header, the media type, or everything."""
    await world.control()
    media_type = REQUEST_MEDIA_TYPES[Form.UNCHUNKED]
    for bound, what in (
        (media_type + HEADER, "without the zero byte"),
        (media_type, "without the header"),
        (b"\0" + HEADER, "without the media type"),
        (b"", "that is empty"),
    ):
        sealed = world.sealed(info=bound)
        await world.unopened(sealed.whole(world.request()), sealed, f"an info {what}")


@check(
    id="node.opening.other-media-type",
    requirements=["NODE-007", "MSG-058", "MSG-086"],
    title="A request sealed for one media type is not opened under the other",
)
async def other_media_type(world: NodeWorld) -> None:
    """The content has the form that Content-Type says; the encapsulated key is bound to the other one."""
    for form, other in ((Form.UNCHUNKED, Form.CHUNKED), (Form.CHUNKED, Form.UNCHUNKED)):
        await world.control(form)
        sealed = world.sealed(form, bound_form=other)
        await world.unopened(sealed.sealed(world.request(form)), sealed, f"{form} content with a key for {other}")


@check(
    id="node.opening.wrap-aad",
    requirements=["MSG-057", "MSG-086"],
    title="A data encryption key sealed under another AAD is not opened",
)
async def wrap_aad(world: NodeWorld) -> None:
    """The AAD is empty, and one byte longer than it must be."""
    await world.control()
    for aad in (b"", b"multi-encap-key\0"):
        sealed = world.sealed(wrap_aad=aad)
        await world.unopened(sealed.whole(world.request()), sealed, f"a DEK sealed under {aad!r}")


@check(
    id="node.opening.dek-length",
    requirements=["MSG-056"],
    title="A data encryption key of 16 bytes is refused",
)
async def dek_length(world: NodeWorld) -> None:
    """The request is sealed under it with AES-128-GCM, as a node might that lets the length decide."""
    await world.control()
    sealed = world.sealed(dek=world.random(16))
    answer = await world.post(sealed.whole(world.request()), sealed)
    expect(
        answer.status == 400 and answer.form is None,
        expected="status 400 in clear for a DEK of 16 bytes",
        observed=str(answer),
        deployed="MSG-D17" if answer.form is not None and open_answer(answer, sealed.context) else None,
    )


@check(
    id="node.opening.aes-128",
    requirements=["MSG-055", "MSG-086"],
    title="A request sealed with AES-128-GCM is not opened",
)
async def aes_128(world: NodeWorld) -> None:
    """The body is sealed under the first 16 of the 32 bytes, as the name of the suite suggests."""
    await world.control()
    sealed = world.sealed()
    content = sealed.nonce + AESGCM(sealed.dek[:16]).encrypt(sealed.nonce, world.request(), b"")
    await world.unopened(content, sealed, "a request sealed with AES-128-GCM")


@check(
    id="node.opening.enc-form",
    requirements=["MSG-090"],
    title="An enc that is no uncompressed point of P-256 is refused",
)
async def enc_form(world: NodeWorld) -> None:
    """A point off the curve, zeros, coordinates beyond the field, and the honest point in compressed and in hybrid
    form. The last two are sealed as they would be for a node that takes them."""
    await world.control()
    for what in (
        "a point off the curve",
        "zeros",
        "coordinates beyond the field",
        "a compressed point",
        "a hybrid one",
    ):
        sealed = _with_enc(world, what)
        await world.unopened(sealed.whole(world.request()), sealed, f"{what} as enc")


def _with_enc(world: NodeWorld, what: str) -> SealedRequest:
    ephemeral = kem(COMPUTE_SUITE.kem_id).generate(world.random)
    x, y = ephemeral.public_key[1:33], ephemeral.public_key[33:]
    odd = y[-1] & 1
    enc = {
        "a point off the curve": b"\4" + x + altered(y, -1),
        "zeros": bytes(65),
        "coordinates beyond the field": b"\4" + b"\xff" * 64,
        "a compressed point": bytes([2 + odd]) + x,
        "a hybrid one": bytes([6 + odd]) + x + y,
    }[what]
    public_key = world.material.public_key
    suite_id = b"KEM" + COMPUTE_SUITE.kem_id.to_bytes(2, "big")
    prk = kdf.labeled_extract(KdfId.HKDF_SHA256, suite_id, b"", b"eae_prk", _x(ephemeral.secret_key, public_key))
    secret = kdf.labeled_expand(KdfId.HKDF_SHA256, suite_id, prk, b"shared_secret", enc + public_key, 32)
    bound = REQUEST_MEDIA_TYPES[Form.UNCHUNKED] + b"\0" + HEADER
    return world.sealed(encapsulation=(enc, SenderContext(COMPUTE_SUITE, *key_schedule(COMPUTE_SUITE, secret, bound))))


def _x(secret_key: bytes, public_key: bytes) -> bytes:
    """Return the x-coordinate of the shared point."""
    curve = ec.SECP256R1()
    public = ec.EllipticCurvePublicKey.from_encoded_point(curve, public_key)
    return ec.derive_private_key(int.from_bytes(secret_key, "big"), curve).exchange(ec.ECDH(), public)


@check(
    id="node.opening.short-coordinate",
    requirements=["MSG-091", "MSG-042"],
    title="A shared x-coordinate with leading zeros keeps its 32 bytes",
)
async def short_coordinate(world: NodeWorld) -> None:
    """The ephemeral key is one of the 256th part whose exchange with the node's key begins with a zero byte."""
    mechanism, public_key = kem(COMPUTE_SUITE.kem_id), world.material.public_key
    seed = world.random(mechanism.nseed)
    while _x(mechanism.derive_key_pair(seed).secret_key, public_key)[0]:
        seed = world.random(mechanism.nseed)
    drawn = iter((world.random(32), world.random(12), seed))
    sealed = SealedRequest(public_key, Form.UNCHUNKED, random=lambda _: next(drawn))
    await world.answered(sealed.whole(world.request()), sealed, "a shared secret with a leading zero")


@check(
    id="node.opening.body-altered",
    requirements=["NODE-006", "MSG-055"],
    title="An altered unchunked request is not opened",
)
async def body_altered(world: NodeWorld) -> None:
    """One bit changes in the nonce, in the body and in the tag."""
    await world.control()
    for position in (0, 100, -1):
        sealed = world.sealed()
        await world.unopened(altered(sealed.whole(world.request()), position), sealed, f"an altered byte {position}")


@check(
    id="node.opening.body-truncated",
    requirements=["NODE-006", "MSG-047"],
    title="A truncated request is not opened",
)
async def body_truncated(world: NodeWorld) -> None:
    """Nothing, a part of the nonce, the nonce alone, and all but one byte, in both forms."""
    for form in Form:
        await world.control(form)
        for length in (0, 5, 12, 300):
            sealed = world.sealed(form)
            content = sealed.sealed(world.request(form))
            cut: Content = (content if isinstance(content, bytes) else b"".join(content))[:length]
            await world.unopened(cut, sealed, f"{length} bytes of a {form} request")


@check(
    id="node.opening.not-binary-http",
    requirements=["NODE-006"],
    title="Well-sealed bytes that are no Binary HTTP request are refused",
)
async def not_binary_http(world: NodeWorld) -> None:
    """A framing indicator that is unknown, that of a response, a head that is cut, HTTP/1.1 as text, and nothing."""
    for form in Form:
        await world.control(form)
        for plaintext, what in (
            (b"\x04" + world.request(form)[1:], "framing indicator 4"),
            (b"\x01" + world.request(form)[1:], "the framing indicator of a response"),
            (world.request(form)[:20], "a head that is cut"),
            (b"POST /v1/completions HTTP/1.1\r\n\r\n", "HTTP/1.1"),
        ):
            sealed = world.sealed(form)
            await world.not_taken(sealed.sealed(plaintext), sealed, what)


@check(
    id="node.opening.one-message",
    requirements=["MSG-082", "NODE-006"],
    title="Every failure to open a request gets one and the same answer",
)
async def one_message(world: NodeWorld) -> None:
    """Another node's key, an altered enc, DEK, body and chunk, another media type, another suite, off the curve."""
    refusals: list[tuple[str, Answer]] = []
    for what, sealed, content in _failures(world):
        answer = await world.post(content, sealed)
        expect_refused(answer, what)
        refusals.append((what, answer))
    sealed = world.sealed()
    alike = [await world.post(b"short", sealed) for _ in range(2)]
    passing = {name for name, _ in set(alike[0].fields) ^ set(alike[1].fields)}
    answers: dict[tuple[int, Fields, bytes], str] = {}
    for what, answer in refusals:
        answers.setdefault(_told(answer, passing), what)
    expect(
        len(answers) == 1,
        expected="one answer to all failures",
        observed=f"another answer to each of: {', '.join(answers.values())}",
    )


def _failures(world: NodeWorld) -> list[tuple[str, SealedRequest, Content]]:
    other = kem(COMPUTE_SUITE.kem_id).generate(world.random).public_key
    honest, late = world.sealed(), world.sealed(Form.CHUNKED)
    damaged = world.sealed()
    damaged.encapsulated_key = altered(damaged.encapsulated_key, -1)
    first = late.chunked(world.request(Form.CHUNKED))
    made = [
        ("another node", world.sealed(public_key=other)),
        ("another media type", world.sealed(bound_form=Form.CHUNKED)),
        ("another suite", world.sealed(header=bytes.fromhex("00001000010003"))),
        ("a point off the curve", _with_enc(world, "a point off the curve")),
        ("an altered DEK", damaged),
    ]
    rows: list[tuple[str, SealedRequest, Content]] = [(what, it, it.whole(world.request())) for what, it in made]
    rows.append(("an altered body", honest, altered(honest.whole(world.request()), -1)))
    rows.append(("an altered chunk", late, [first[0], altered(first[1], -1), *first[2:]]))
    rows.append(("too short a body", world.sealed(), b"short"))
    return rows


def _told(answer: Answer, passing: Set[bytes]) -> tuple[int, Fields, bytes]:
    """Return what an answer tells, but for when it was given, and fields that change although nothing else does."""
    untold = {b"date", b"connection", *passing}
    fields = tuple(line for line in answer.fields if line[0] not in untold)
    return answer.status, tuple(sorted(fields)), answer.content
