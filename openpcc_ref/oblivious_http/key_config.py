"""Key configurations and lists of them, as a gateway publishes them (RFC 9458 section 3).

A list that is wrong in any place is refused whole: clients that recovered different parts of it could be told
apart. Requirements: OHT-006, OHT-007.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from openpcc_ref.errors import require
from openpcc_ref.hpke import AeadId, KdfId, KemId, kem
from openpcc_ref.oblivious_http.media_types import ObliviousHttpRejected

PUBLIC_KEY_LENGTH = {0x0010: 65, 0x0011: 97, 0x0012: 133, 0x0020: 32, 0x0021: 56, 0x0030: 1216, 0x647A: 1216}
"""Npk of the registered mechanisms in bytes: also of those that this reference can read but not use."""

KDFS = frozenset(KdfId)
AEADS = frozenset(AeadId)


@dataclass(frozen=True, slots=True)
class SymmetricAlgorithm:
    """A pair of code points that a key may be used with."""

    kdf_id: int
    aead_id: int


@dataclass(frozen=True, slots=True)
class KeyConfig:
    """One key configuration (RFC 9458 section 3.1). Requirements: OHT-006."""

    key_id: int
    kem_id: int
    public_key: bytes
    algorithms: tuple[SymmetricAlgorithm, ...]


def encode_key_config(config: KeyConfig) -> bytes:
    """Encode one configuration. Raises ValueError for a value that the format cannot carry."""
    if not config.algorithms:
        raise ValueError("a key configuration offers at least one algorithm")
    if len(config.public_key) != PUBLIC_KEY_LENGTH.get(config.kem_id):
        raise ValueError(f"KEM {config.kem_id:#06x} has no public key of {len(config.public_key)} bytes")
    algorithms = b"".join(_u16(pair.kdf_id) + _u16(pair.aead_id) for pair in config.algorithms)
    return bytes([config.key_id]) + _u16(config.kem_id) + config.public_key + _u16(len(algorithms)) + algorithms


def decode_key_config(data: bytes) -> KeyConfig:
    """Decode exactly one configuration. Raises :class:`ObliviousHttpRejected`. Requirements: OHT-006, OHT-007."""
    kem_id = int.from_bytes(data[1:3], "big")
    _require(len(data) >= 3, "truncated", "offset 0", f"at least 3 bytes, {len(data)} present")
    _require(kem_id in PUBLIC_KEY_LENGTH, "kem", "offset 1", "a registered KEM")
    key_end = 3 + PUBLIC_KEY_LENGTH.get(kem_id, 0)
    _require(len(data) >= key_end + 2, "truncated", f"offset {len(data)}", f"at least {key_end + 2} bytes")
    public_key = data[3:key_end]
    _require(_is_usable(kem_id, public_key), "public-key", "offset 3", "an encoded public key of the KEM")
    length = int.from_bytes(data[key_end : key_end + 2], "big")
    pairs = data[key_end + 2 : key_end + 2 + length]
    _require(
        0 < length == len(pairs) and length % 4 == 0,
        "algorithms-length",
        f"offset {key_end}",
        f"a positive multiple of 4, at most the {len(data) - key_end - 2} bytes left",
    )
    algorithms = tuple(_decode_pair(pairs[start : start + 4]) for start in range(0, len(pairs), 4))
    for index, pair in enumerate(algorithms):
        known = pair.kdf_id in KDFS and pair.aead_id in AEADS
        _require(known, "algorithm", f"offset {key_end + 2 + 4 * index}", "a registered KDF and AEAD")
    end = key_end + 2 + length
    _require(len(data) <= end, "trailing", f"offset {end}", "the end of the configuration")
    return KeyConfig(int.from_bytes(data[:1], "big"), kem_id, public_key, algorithms)


def encode_key_configs(configs: Iterable[KeyConfig]) -> bytes:
    """Encode a list, each entry behind its two-byte length. Requirements: OHT-007."""
    entries = [encode_key_config(config) for config in configs]
    return b"".join(_u16(len(entry)) + entry for entry in entries)


def decode_key_configs(data: bytes) -> tuple[KeyConfig, ...]:
    """Decode a whole list, which may be empty, or refuse all of it. Requirements: OHT-007."""
    configs = []
    offset = 0
    while offset < len(data):
        length = int.from_bytes(data[offset : offset + 2], "big")
        end = offset + 2 + length
        require(
            end <= len(data),
            ObliviousHttpRejected,
            "oblivious-http.key-configs.truncated",
            where=f"offset {offset}",
            expected=f"a length and as many bytes, {len(data) - offset} left",
        )
        configs.append(decode_key_config(data[offset + 2 : end]))
        offset = end
    return tuple(configs)


def _decode_pair(data: bytes) -> SymmetricAlgorithm:
    return SymmetricAlgorithm(int.from_bytes(data[:2], "big"), int.from_bytes(data[2:], "big"))


def _is_usable(kem_id: int, public_key: bytes) -> bool:
    return kem_id not in set(KemId) or kem(KemId(kem_id)).is_public_key(public_key)


def _require(holds: bool, fault: str, where: str, expected: str) -> None:
    require(holds, ObliviousHttpRejected, f"oblivious-http.key-config.{fault}", where=where, expected=expected)


def _u16(value: int) -> bytes:
    return value.to_bytes(2, "big")
