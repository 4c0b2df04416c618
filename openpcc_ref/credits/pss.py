"""EMSA-PSS with SHA-384 and MGF1-SHA-384 (RFC 8017 section 9.1), written out.

The exponents of the scheme are half as long as the modulus. OpenSSL verifies such signatures up to 3072 bits and
refuses exponents of more than 64 bits above that, so a library cannot do this for 4096-bit keys. Requirements: PAY-045.
"""

from __future__ import annotations

from hashlib import sha384

HASH_LENGTH = 48
"""Bytes of a SHA-384 digest, and of the salt of every credit (PAY-045, PAY-046)."""

_TRAILER = b"\xbc"


def encode(message: bytes, em_bits: int, salt: bytes) -> bytes:
    """Return EMSA-PSS-ENCODE of ``message`` (RFC 8017 section 9.1.1). Raises ValueError if it does not fit."""
    length = (em_bits + 7) // 8
    padding = length - len(salt) - HASH_LENGTH - 2
    if padding < 0:
        raise ValueError(f"{em_bits} bits are too few for a digest and a salt of {len(salt)} bytes")
    digest = _salted_digest(message, salt)
    data_block = bytes(padding) + b"\x01" + salt
    masked = bytearray(_xor(data_block, _mgf1(digest, len(data_block))))
    masked[0] &= 0xFF >> (8 * length - em_bits)
    return bytes(masked) + digest + _TRAILER


def verify(message: bytes, encoded: bytes, em_bits: int, salt_length: int = HASH_LENGTH) -> bool:
    """Tell whether EMSA-PSS-VERIFY finds ``encoded`` consistent with ``message`` (RFC 8017 section 9.1.2).

    The salt is recovered, so any salt of that length is accepted. Requirements: PAY-047.
    """
    length = (em_bits + 7) // 8
    padding = length - salt_length - HASH_LENGTH - 2
    if len(encoded) != length or padding < 0 or encoded[-1:] != _TRAILER:
        return False
    split = length - HASH_LENGTH - 1
    masked, digest = encoded[:split], encoded[split:-1]
    unused = 8 * length - em_bits
    if masked[0] >> (8 - unused):
        return False
    data_block = bytearray(_xor(masked, _mgf1(digest, split)))
    data_block[0] &= 0xFF >> unused
    if data_block[: padding + 1] != bytes(padding) + b"\x01":
        return False
    return _salted_digest(message, bytes(data_block[padding + 1 :])) == digest


def _salted_digest(message: bytes, salt: bytes) -> bytes:
    return sha384(bytes(8) + sha384(message).digest() + salt).digest()


def _mgf1(seed: bytes, length: int) -> bytes:
    """Return the mask of RFC 8017 appendix B.2.1."""
    blocks = (sha384(seed + counter.to_bytes(4, "big")).digest() for counter in range(-(-length // HASH_LENGTH)))
    return b"".join(blocks)[:length]


def _xor(left: bytes, right: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(left, right, strict=True))
