"""Nonces: stamps around the hour, encodings, expiry."""

from __future__ import annotations

import math
from random import Random
from statistics import NormalDist

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openpcc_ref.credits import CreditRejected, Expiry, Nonce, nonce
from openpcc_ref.protobuf.credit_pb2 import Nonce as Message

HOUR = 1735689600
"""2025-01-01T00:00:00Z."""

moments = st.integers(0, 1 << 40)
nonces = st.builds(Nonce, st.integers(-(1 << 63), (1 << 63) - 1), st.binary(min_size=16, max_size=16))


@given(now=moments, factor=st.floats(0, 1, exclude_max=True))
def test_a_stamp_is_this_hour_or_the_next(now: int, factor: float) -> None:
    stamp = nonce.choose_stamp(now, factor)
    assert stamp.timestamp % 3600 == 0
    assert -3600 < stamp.timestamp - now <= 3600
    assert now <= stamp.usable_from < now + 30
    if stamp.usable_from != now:
        assert stamp.timestamp > now
        assert stamp.usable_from % 3600 == 30


@pytest.mark.parametrize(
    ("second", "factor", "timestamp", "usable_from"),
    [
        (0, 1 - 2**-53, 0, 0),
        (1, 1 - 1 / 3600, 0, 1),
        (1, math.nextafter(1 - 1 / 3600, 1), 3600, 30),
        (29, 0.9999, 3600, 30),
        (30, 0.9999, 3600, 30),
        (31, 0.9999, 3600, 31),
        (1800, 0.5, 0, 1800),
        (1800, math.nextafter(0.5, 1), 3600, 1800),
        (3599, 0.0, 0, 3599),
        (3599, 0.00028, 3600, 3599),
    ],
)
def test_the_edges_of_an_hour(second: int, factor: float, timestamp: int, usable_from: int) -> None:
    stamp = nonce.choose_stamp(HOUR + second, factor)
    assert (stamp.timestamp - HOUR, stamp.usable_from - HOUR) == (timestamp, usable_from)


@pytest.mark.parametrize("second", [60, 900, 2700])
def test_the_next_hour_is_as_likely_as_the_hour_is_old(second: int) -> None:
    draws, source = 20_000, Random(second).randbytes
    later = sum(nonce.draw_nonce(HOUR + second, source)[0].timestamp > HOUR for _ in range(draws))
    probability = second / 3600
    spread = NormalDist(draws * probability, math.sqrt(draws * probability * (1 - probability)))
    assert abs(spread.zscore(later)) < 5


def test_no_two_nonces_share_their_random_part() -> None:
    source = Random(16).randbytes
    drawn = [nonce.draw_nonce(HOUR, source)[0] for _ in range(1000)]
    assert len({made.random for made in drawn}) == 1000


@given(made=nonces)
def test_a_nonce_survives_its_encoding(made: Nonce) -> None:
    assert nonce.decode_nonce(nonce.encode_nonce(made)) == made
    assert len(made.blind_bytes) == 24
    assert int.from_bytes(made.blind_bytes[:8], "big", signed=True) == made.timestamp


@given(made=nonces, nanos=st.integers(0, 999_999_999))
def test_nanoseconds_are_neither_read_nor_signed_nor_sent(made: Nonce, nanos: int) -> None:
    message = nonce.to_message(made)
    assert not message.timestamp.nanos
    message.timestamp.nanos = nanos
    assert nonce.from_message(message) == made


@given(data=st.binary(max_size=80))
def test_arbitrary_octets_are_a_nonce_or_refused_in_one_way(data: bytes) -> None:
    try:
        assert nonce.decode_nonce(data).random in data
    except CreditRejected as rejected:
        assert rejected.code.startswith("nonce.")  # noqa: PT017 - either outcome is fine


def test_every_truncation_is_refused() -> None:
    data = nonce.encode_nonce(Nonce(HOUR, bytes(16)))
    for length in range(len(data)):
        with pytest.raises(CreditRejected, match=r"^nonce\."):
            nonce.decode_nonce(data[:length])


@pytest.mark.parametrize("length", [0, 1, 15, 17, 24, 1 << 16])
def test_a_random_part_of_another_length_is_refused(length: int) -> None:
    message = nonce.to_message(Nonce(HOUR, bytes(16)))
    message.nonce = bytes(length)
    with pytest.raises(
        CreditRejected, match=rf"nonce\.random\.length at nonce\.nonce: expected 16 bytes, {length} given"
    ):
        nonce.from_message(message)
    with pytest.raises(ValueError, match="16 random bytes"):
        Nonce(HOUR, bytes(length))


def test_an_absent_timestamp_is_refused_and_one_of_zero_is_not() -> None:
    with pytest.raises(CreditRejected, match=r"nonce\.timestamp\.absent"):
        nonce.from_message(Message(nonce=bytes(16)))
    assert nonce.decode_nonce(bytes.fromhex("0a00" + "1210") + bytes(16)).timestamp == 0


@pytest.mark.parametrize("timestamp", [1 << 63, -(1 << 63) - 1])
def test_a_timestamp_has_64_bits(timestamp: int) -> None:
    with pytest.raises(ValueError, match="signed 64-bit"):
        Nonce(timestamp, bytes(16))


def test_a_nonce_never_shows_its_random_part() -> None:
    assert "7a7a" not in repr(Nonce(HOUR, b"z" * 16))
    assert "zz" not in repr(Nonce(HOUR, b"z" * 16))


@given(now=st.integers(1 << 20, 1 << 40), hours=st.integers(-60, 60), expiry=st.sampled_from(Expiry))
def test_a_stamp_is_accepted_exactly_inside_the_window(now: int, hours: int, expiry: Expiry) -> None:
    stamp = Nonce(now - now % 3600 + hours * 3600, bytes(16))
    oldest, newest = nonce.accepted_stamps(now, expiry)
    assert oldest % 3600 == newest % 3600 == 0
    if oldest <= stamp.timestamp <= newest:
        nonce.require_unexpired(stamp, now, expiry)
    else:
        code = "expired" if stamp.timestamp < oldest else "too-early"
        with pytest.raises(CreditRejected, match=rf"nonce\.{code}"):
            nonce.require_unexpired(stamp, now, expiry)


@given(now=st.integers(1 << 20, 1 << 40), expiry=st.sampled_from(Expiry))
def test_both_readings_accept_this_hour_and_the_next_and_refuse_28_hours(now: int, expiry: Expiry) -> None:
    oldest, newest = nonce.accepted_stamps(now, expiry)
    hour = now - now % 3600
    assert oldest <= hour < hour + 3600 <= newest
    assert hour - 28 * 3600 < oldest
    assert newest < hour + 28 * 3600


@given(now=moments, factor=st.floats(0, 1, exclude_max=True), expiry=st.sampled_from(Expiry))
def test_a_credit_is_accepted_as_soon_as_it_may_be_shown(now: int, factor: float, expiry: Expiry) -> None:
    stamp = nonce.choose_stamp(now, factor)
    nonce.require_unexpired(Nonce(stamp.timestamp, bytes(16)), stamp.usable_from, expiry)
