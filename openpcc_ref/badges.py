"""Badges: which models an account may use, signed by the AuthBank. Chapter: ``spec/badges.md``.

A badge names models and nothing else: no user, no expiry, no number, so that equal lists give equal badges. Whoever
holds it may use it; it travels only inside the sealed request.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from openpcc_ref.base64_text import from_text, to_text
from openpcc_ref.errors import Rejected, require
from openpcc_ref.protobuf import authbank_pb2, parse

FIELD_NAME = b"x-confsec-badge"
"""The field of the inner request that carries the badge. Requirements: AUTH-039, NODE-020."""

MAX_BADGE = 768
"""Bytes of a serialized badge whose text form still fits into the 1024 that a node accepts. Requirements: AUTH-037."""

SIGNATURE_LENGTH = 64

_LENGTH = 4
_PRINTABLE = range(0x20, 0x7F)


class BadgeRejected(Rejected):
    """A badge is malformed, forged, or not for this model."""


@dataclass(frozen=True, slots=True)
class Badge:
    """Model names in ascending order of their bytes, and the AuthBank's signature over them."""

    models: tuple[str, ...]
    signature: bytes


def encode_models(models: Iterable[str]) -> bytes:
    """Return the models' encoding, sorted: for each a little-endian length of four bytes and the name.

    Requirements: AUTH-032, AUTH-035. Raises ValueError for a repeated name and for one that cannot be encoded.
    """
    names = sorted(name.encode() for name in models)
    if any(not name or set(name) - set(_PRINTABLE) for name in names):
        raise ValueError("a model name is printable ASCII and not empty")
    if len(set(names)) != len(names):
        raise ValueError("a badge names each model once")
    return b"".join(len(name).to_bytes(_LENGTH, "little") + name for name in names)


def decode_models(data: bytes) -> tuple[str, ...]:
    """Return the model names. A length is compared with what is left before anything is taken.

    Requirements: AUTH-032, AUTH-033, AUTH-035, NODE-022, NODE-023. Raises :class:`BadgeRejected` with
    ``badge.models.truncated``, ``….empty-name``, ``….character``, ``….order`` or ``….duplicate``.
    """
    names: list[bytes] = []
    offset = 0
    while offset < len(data):
        where = f"models, offset {offset}"
        length = int.from_bytes(data[offset : offset + _LENGTH], "little")
        left = len(data) - offset - _LENGTH
        _require(left >= 0, "models.truncated", where, f"{_LENGTH} bytes of length")
        _require(length <= max(left, 0), "models.truncated", where, f"at most {max(left, 0)} bytes of name")
        _require(length > 0, "models.empty-name", where, "a name of at least one byte")
        name = data[offset + _LENGTH : offset + _LENGTH + length]
        _require(not set(name) - set(_PRINTABLE), "models.character", where, "bytes 20 to 7e")
        _require(not names or names[-1] <= name, "models.order", where, "names in ascending order")
        _require(not names or names[-1] != name, "models.duplicate", where, "each name once")
        names.append(name)
        offset += _LENGTH + length
    return tuple(name.decode("latin-1") for name in names)


def signed_bytes(models: Iterable[str]) -> bytes:
    """Return what is signed: the serialized ``Credentials``, empty without models. Requirements: AUTH-034, NODE-021."""
    return _credentials(models).SerializeToString()


def sign_badge(models: Iterable[str], secret_key: bytes) -> Badge:
    """Return the badge for these models under an Ed25519 seed of 32 bytes. Requirements: AUTH-034, AUTH-036."""
    names = tuple(sorted(models, key=str.encode))
    return Badge(names, Ed25519PrivateKey.from_private_bytes(secret_key).sign(signed_bytes(names)))


def require_signature(badge: Badge, public_key: bytes) -> None:
    """Refuse a badge that the holder of ``public_key`` (Ed25519, 32 bytes) did not sign.

    Requirements: AUTH-034, AUTH-038. Raises :class:`BadgeRejected` with ``badge.signature``.
    """
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(badge.signature, signed_bytes(badge.models))
        genuine = True
    except InvalidSignature:
        genuine = False
    _require(genuine, "signature", "signature", "the AuthBank's signature over the credentials")


def require_model(badge: Badge, model: str) -> None:
    """Refuse a model that the badge does not name. Requirements: AUTH-038, NODE-024.

    Raises :class:`BadgeRejected` with ``badge.model``.
    """
    _require(model in badge.models, "model", "model", "a model that the badge names")


def encode_badge(badge: Badge) -> bytes:
    """Return the serialized badge."""
    return authbank_pb2.Badge(credentials=_credentials(badge.models), signature=badge.signature).SerializeToString()


def decode_badge(data: bytes) -> Badge:
    """Return the badge of a serialized message; its signature is not checked. Requirements: AUTH-033.

    Raises :class:`BadgeRejected` with ``badge.malformed`` and as :func:`decode_models` does.
    """
    message = parse(authbank_pb2.Badge, data, BadgeRejected, "badge.malformed")
    return Badge(decode_models(message.credentials.models), message.signature)


def encode_text(badge: Badge) -> str:
    """Return the value of ``X-Confsec-Badge``."""
    return to_text(encode_badge(badge))


def decode_text(text: str) -> Badge:
    """Return the badge in a value of ``X-Confsec-Badge``.

    Raises :class:`BadgeRejected` with ``badge.text.base64`` and as :func:`decode_badge` does.
    """
    return decode_badge(from_text(text, BadgeRejected, "badge.text.base64"))


def _credentials(models: Iterable[str]) -> authbank_pb2.Credentials:
    encoded = encode_models(models)
    return authbank_pb2.Credentials(models=encoded) if encoded else authbank_pb2.Credentials()


def _require(holds: bool, fault: str, where: str, expected: str) -> None:
    require(holds, BadgeRejected, f"badge.{fault}", where=where, expected=expected)
