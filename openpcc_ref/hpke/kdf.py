"""HKDF (RFC 5869), plain and labelled (RFC 9180 section 4)."""

from __future__ import annotations

import hmac

from openpcc_ref.hpke.suites import KdfId


def extract(kdf: KdfId, salt: bytes, ikm: bytes) -> bytes:
    """Return HKDF-Extract(salt, ikm)."""
    return hmac.digest(salt or bytes(kdf.nh), ikm, kdf.hash_name)


def expand(kdf: KdfId, prk: bytes, info: bytes, length: int) -> bytes:
    """Return HKDF-Expand(prk, info, length). Raises ValueError beyond 255 blocks."""
    if length > 255 * kdf.nh:
        raise ValueError(f"HKDF expands to at most {255 * kdf.nh} bytes")
    okm = block = b""
    counter = 1
    while len(okm) < length:
        block = hmac.digest(prk, block + info + bytes([counter]), kdf.hash_name)
        okm += block
        counter += 1
    return okm[:length]


def labeled_extract(kdf: KdfId, suite_id: bytes, salt: bytes, label: bytes, ikm: bytes) -> bytes:
    """Return LabeledExtract(salt, label, ikm) under ``suite_id``."""
    return extract(kdf, salt, b"HPKE-v1" + suite_id + label + ikm)


def labeled_expand(kdf: KdfId, suite_id: bytes, prk: bytes, label: bytes, info: bytes, length: int) -> bytes:
    """Return LabeledExpand(prk, label, info, length) under ``suite_id``."""
    labeled_info = length.to_bytes(2, "big") + b"HPKE-v1" + suite_id + label + info
    return expand(kdf, prk, labeled_info, length)
