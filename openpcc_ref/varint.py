"""QUIC variable-length integers (RFC 9000 section 16). Chapter: ``spec/binary_http.md``.

The two top bits of the first byte give the length: 1, 2, 4 or 8 bytes. Requirements: MSG-001 to MSG-003.
"""

from __future__ import annotations

from openpcc_ref.errors import Rejected, require

MAX_VARINT = 2**62 - 1
"""The largest value eight bytes can carry (RFC 9000 section 16)."""


class VarintRejected(Rejected):
    """An integer cannot be decoded."""


def encode_varint(value: int) -> bytes:
    """Encode ``value`` in the shortest form. Requirements: MSG-002.

    Raises ValueError outside 0..2^62-1.
    """
    if not 0 <= value <= MAX_VARINT:
        raise ValueError(f"a QUIC integer is between 0 and 2^62-1, not {value}")
    prefix = next(prefix for prefix in range(4) if value < 1 << (8 * 2**prefix - 2))
    length = 1 << prefix
    return (value | prefix << (8 * length - 2)).to_bytes(length, "big")


def varint_length(first_byte: int) -> int:
    """Return how many bytes an integer takes, given its first byte (0..255)."""
    return 1 << (first_byte >> 6)


def decode_varint(data: bytes, offset: int = 0) -> tuple[int, int]:
    """Decode the integer at ``offset`` and return it with the offset behind it.

    All four lengths are accepted for every value. Requirements: MSG-001, MSG-003.
    Raises :class:`VarintRejected` with ``varint.truncated`` when the input ends inside the integer.
    """
    encoded = data[offset : offset + 1]
    length = varint_length(encoded[0]) if encoded else 1
    encoded = data[offset : offset + length]
    require(
        len(encoded) == length,
        VarintRejected,
        "varint.truncated",
        where=f"offset {offset}",
        expected=f"{length} bytes, {len(encoded)} left",
    )
    return int.from_bytes(encoded, "big") & (1 << (8 * length - 2)) - 1, offset + len(encoded)
