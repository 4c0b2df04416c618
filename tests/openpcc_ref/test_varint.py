"""QUIC integers: published values, borders, every form, every cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openpcc_ref.varint import MAX_VARINT, VarintRejected, decode_varint, encode_varint, varint_length

PUBLISHED = {
    151288809941952652: "c2197c5eff14e88c",
    494878333: "9d7f3e7d",
    15293: "7bbd",
    37: "25",
}
"""RFC 9000 appendix A.1."""

values = st.integers(0, MAX_VARINT)


def in_form(value: int, prefix: int) -> bytes:
    """Return ``value`` in 2^prefix bytes, the shortest form or not."""
    length = 1 << prefix
    return (value | prefix << (8 * length - 2)).to_bytes(length, "big")


@pytest.mark.parametrize(("value", "encoded"), PUBLISHED.items())
def test_published_values(value: int, encoded: str) -> None:
    assert encode_varint(value).hex() == encoded
    assert decode_varint(bytes.fromhex(encoded)) == (value, len(encoded) // 2)


def test_published_longer_form_of_37() -> None:
    assert decode_varint(bytes.fromhex("4025")) == (37, 2)


@pytest.mark.parametrize(
    ("value", "length"),
    [(0, 1), (63, 1), (64, 2), (16383, 2), (16384, 4), (2**30 - 1, 4), (2**30, 8), (MAX_VARINT, 8)],
)
def test_shortest_form_at_the_borders(value: int, length: int) -> None:
    assert len(encode_varint(value)) == length == varint_length(encode_varint(value)[0])


@pytest.mark.parametrize("value", [-1, MAX_VARINT + 1, 2**64])
def test_value_without_a_form_is_refused(value: int) -> None:
    with pytest.raises(ValueError, match="between 0 and 2"):
        encode_varint(value)


@given(value=values, before=st.binary(max_size=9), behind=st.binary(max_size=9))
def test_round_trip_at_any_offset(value: int, before: bytes, behind: bytes) -> None:
    encoded = encode_varint(value)
    assert decode_varint(before + encoded + behind, len(before)) == (value, len(before + encoded))


@given(prefix=st.integers(0, 3), data=st.data())
def test_every_form_of_a_value_decodes(prefix: int, data: st.DataObject) -> None:
    value = data.draw(st.integers(0, (1 << (8 * 2**prefix - 2)) - 1))
    assert decode_varint(in_form(value, prefix)) == (value, 2**prefix)
    assert len(encode_varint(value)) <= 2**prefix


@pytest.mark.parametrize("encoded", [in_form(1, prefix) for prefix in range(4)], ids=lambda encoded: encoded.hex())
def test_cut_at_every_byte_is_refused(encoded: bytes) -> None:
    for cut in range(len(encoded)):
        with pytest.raises(VarintRejected) as refused:
            decode_varint(b"\0" + encoded[:cut], 1)
        assert refused.value.code == "varint.truncated"
        assert refused.value.where == "offset 1"


@given(data=st.binary(max_size=20), offset=st.integers(0, 25))
def test_arbitrary_bytes_decode_or_are_refused(data: bytes, offset: int) -> None:
    whole = offset < len(data) and offset + varint_length(data[offset]) <= len(data)
    if whole:
        value, end = decode_varint(data, offset)
        assert 0 <= value <= MAX_VARINT
        assert end == offset + varint_length(data[offset])
    else:
        with pytest.raises(VarintRejected, match="truncated"):
            decode_varint(data, offset)
