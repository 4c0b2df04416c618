"""Sealing and opening one message with an AEAD (RFC 9180 section 7.3)."""

from __future__ import annotations

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

from openpcc_ref.hpke.suites import AeadId


def cipher(aead_id: AeadId, key: bytes) -> AESGCM | ChaCha20Poly1305:
    """Return the cipher under ``key``. Raises ValueError for a key of another length."""
    if len(key) != aead_id.nk:
        raise ValueError(f"{aead_id.name} takes a key of {aead_id.nk} bytes")
    return ChaCha20Poly1305(key) if aead_id is AeadId.CHACHA20_POLY1305 else AESGCM(key)


def seal(aead_id: AeadId, key: bytes, nonce: bytes, aad: bytes, plaintext: bytes) -> bytes:
    """Return ciphertext and tag."""
    return cipher(aead_id, key).encrypt(nonce, plaintext, aad)


def open_sealed(aead_id: AeadId, key: bytes, nonce: bytes, aad: bytes, sealed: bytes) -> bytes | None:
    """Return the plaintext, or None when the tag does not verify (or is not even there)."""
    return open_with(cipher(aead_id, key), nonce, aad, sealed)


def open_with(keyed: AESGCM | ChaCha20Poly1305, nonce: bytes, aad: bytes, sealed: bytes) -> bytes | None:
    """Do as :func:`open_sealed` with a cipher that is already there, for many messages under one key."""
    try:
        return keyed.decrypt(nonce, sealed, aad)
    except InvalidTag:
        return None
