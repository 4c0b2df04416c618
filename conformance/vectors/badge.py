"""The cases of ``vectors/badge.json``. Chapter: ``spec/badges.md``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from conformance.operations import badge as operations
from conformance.vectors.case import Case, Json
from conformance.vectors.coins import coins
from conformance.vectors.making import beside
from openpcc_ref.badges import Badge, decode_text, encode_badge, encode_models, encode_text, sign_badge, signed_bytes
from openpcc_ref.base64_text import to_text

_NAMES = ["llama3.2:1b", "qwen2:1.5b-instruct", "gemma3:1b"]


def cases() -> Iterator[Case]:
    """Return the cases, every negative after its control."""
    yield from _encodings()
    yield from _decodings()
    yield from _signatures()
    yield from _verifications()


def _encodings() -> Iterator[Case]:
    for name, comment, names in (
        ("sorted", "three models, sorted by their bytes", _NAMES),
        ("one", "one model", ["llama3.2:1b"]),
        ("none", "no model", []),
        ("prefix", "a name that another one begins with", ["ab", "a", "a b"]),
        ("case", "capitals sort before small letters", ["a", "B", "~", " "]),
        ("long", "a name of 300 bytes", ["m" * 300]),
    ):
        value: Json = {"names": names}
        yield Case(
            id=f"badge.encode.{name}",
            comment=comment,
            operation="badge.encode-models",
            requirements=("AUTH-032", "AUTH-036", "NODE-022"),
            input=value,
            expected=operations.encode_models(value),
        )


def _entry(name: bytes, length: int | None = None) -> bytes:
    return (len(name) if length is None else length).to_bytes(4, "little") + name


def _decodings() -> Iterator[Case]:
    models = encode_models(_NAMES)
    value: Json = {"models": models.hex()}
    control = Case(
        id="badge.decode.valid",
        comment="three models in ascending order",
        operation="badge.decode-models",
        requirements=("AUTH-032", "NODE-022"),
        input=value,
        expected=operations.decode_models(value),
    )
    yield control
    yield replace(control, id="badge.decode.none", comment="no model", input={"models": ""}, expected={"names": []})
    low, high = _entry(b"aa"), _entry(b"bb")
    for fault, comment, code, requirement, data in (
        ("length-zero", "a name of no bytes", "empty-name", "NODE-022", _entry(b"") + low),
        ("length-cut", "two bytes of a length and no more", "truncated", "AUTH-033", b"\1\0"),
        ("name-cut", "a name one byte shorter than its length", "truncated", "NODE-023", low + _entry(b"bb", 3)),
        ("length-huge", "a length of 4 GiB less one byte", "truncated", "NODE-023", low + _entry(b"bb", 0xFFFFFFFF)),
        ("length-big-endian", "a length with its bytes reversed", "truncated", "NODE-022", b"\0\0\0\x02aa"),
        ("tab", "a tab in a name", "character", "AUTH-033", low + _entry(b"b\t")),
        ("delete", "a byte 7f in a name", "character", "AUTH-033", low + _entry(b"b\x7f")),
        ("utf-8", "a letter outside ASCII in a name", "character", "AUTH-033", low + _entry("bé".encode())),
        ("unsorted", "names in descending order", "order", "AUTH-033", high + low),
        ("duplicate", "one name twice", "duplicate", "AUTH-035", low + low + high),
    ):
        yield replace(
            control,
            id=f"badge.decode.{fault}",
            comment=comment,
            requirements=(requirement,),
            input={"models": data.hex()},
            expected=None,
            error=f"badge.models.{code}",
            control=control.id,
        )


def _signatures() -> Iterator[Case]:
    for name, comment, names in (
        ("three", "three models", _NAMES),
        ("reordered", "the same three in another order: the same badge", list(reversed(_NAMES))),
        ("none", "no model: the signed message is empty", []),
    ):
        value: Json = {"names": names, "secret_key": coins("badge.sign", "secret key", 32).hex()}
        result = operations.sign(value)
        yield Case(
            id=f"badge.sign.{name}",
            comment=comment,
            operation="badge.sign",
            requirements=("AUTH-034", "AUTH-036", "NODE-021"),
            input=value,
            steps={"signed": result.pop("signed"), "signature": result.pop("signature")},
            expected=result,
        )


def _verifications() -> Iterator[Case]:
    secret_key, other = coins("badge.verify", "secret key", 32), coins("badge.verify", "other key", 32)
    public_key = Ed25519PrivateKey.from_private_bytes(secret_key).public_key().public_bytes_raw()
    badge = sign_badge(_NAMES, secret_key)
    value: Json = {"text": encode_text(badge), "public_key": public_key.hex(), "model": "gemma3:1b"}
    control = Case(
        id="badge.verify.valid",
        comment="a badge for the requested model",
        operation="badge.verify",
        requirements=("AUTH-034", "AUTH-038", "NODE-020", "NODE-021", "NODE-024"),
        input=value,
        expected=operations.verify(value),
    )
    yield control
    # Fields that nobody knows are skipped, and are not covered by the signature.
    extended = encode_badge(badge) + b"\x7a\x01x"
    yield replace(
        control,
        id="badge.verify.unknown-field",
        comment="a field with an unknown number behind the others",
        requirements=("RTR-008",),
        input={**value, "text": to_text(extended)},
    )
    signing = Ed25519PrivateKey.from_private_bytes(secret_key).sign
    models = encode_models(_NAMES)
    flipped = bytes([badge.signature[0] ^ 1]) + badge.signature[1:]
    for fault, comment, signature in (
        ("signature-missing", "no signature", b""),
        ("signature-flip", "a bit flipped in the signature", flipped),
        ("signature-short", "a signature of 63 bytes", badge.signature[:-1]),
        ("other-key", "signed by somebody else", sign_badge(_NAMES, other).signature),
        ("signed-models", "signed over the models without the message around them", signing(models)),
        ("signed-badge", "signed over a whole badge", signing(encode_badge(Badge(badge.models, b"")))),
        ("other-models", "the signature of a shorter list", sign_badge(_NAMES[:2], secret_key).signature),
        ("signed-with-field", "signed over credentials with a field more", signing(signed_bytes(_NAMES) + b"\x7a\0")),
    ):
        forged = encode_text(Badge(badge.models, signature))
        yield beside(control, fault, comment, "badge.signature", ("AUTH-034", "AUTH-038"), text=forged)
    added = Badge(decode_text(encode_text(sign_badge([*_NAMES, "z"], other))).models, badge.signature)
    edit = encode_text(added)
    yield beside(control, "model-added", "a model added after signing", "badge.signature", ("AUTH-038",), text=edit)
    text = value["text"]
    for fault, comment, damaged in (
        ("url-safe", "the URL-safe alphabet", text.replace("+", "-").replace("/", "_")),
        ("unpadded", "no padding", text.rstrip("=")),
        ("blank", "a blank in the text", text[:8] + " " + text[8:]),
    ):
        if damaged != text:
            yield beside(control, fault, comment, "badge.text.base64", ("NODE-020",), text=damaged)
    for fault, comment, model in (
        ("model-other", "a model that is not in the badge", "qwen2:72b"),
        ("model-case", "a model in another case", "Gemma3:1b"),
        ("model-prefix", "the beginning of a model's name", "gemma3"),
        ("model-empty", "no model", ""),
    ):
        yield beside(control, fault, comment, "badge.model", ("NODE-024", "AUTH-038"), model=model)
