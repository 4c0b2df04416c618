"""Rotation periods: their edges, their JSON form, and which key client and gateway take."""

from __future__ import annotations

import calendar
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openpcc_ref.hpke import KemId
from openpcc_ref.oblivious_http import (
    GatewayKey,
    KeyConfig,
    ObliviousHttpRejected,
    PeriodState,
    RequestHeader,
    RotationPeriod,
    SymmetricAlgorithm,
    decode_rotation_periods,
    decode_timestamp,
    encode_rotation_periods,
    encode_timestamp,
    find_key,
    period_from_creation,
    period_starting_at,
    select_key,
)

TICK = timedelta(microseconds=1)
START = datetime(2026, 1, 1, tzinfo=UTC)
END = datetime(2026, 7, 1, tzinfo=UTC)
PAIR = SymmetricAlgorithm(1, 1)

moments = st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))
periods = st.builds(RotationPeriod, st.integers(0, 255), moments, moments)


def config(key_id: int) -> KeyConfig:
    return KeyConfig(key_id, KemId.DHKEM_X25519, bytes(32), (PAIR,))


def refusal(data: bytes) -> str:
    with pytest.raises(ObliviousHttpRejected) as refused:
        decode_rotation_periods(data)
    return refused.value.code.removeprefix("oblivious-http.rotation.")


@pytest.mark.parametrize(
    ("now", "state"),
    [
        (START - timedelta(days=1), PeriodState.NOT_YET_ACTIVE),
        (START - TICK, PeriodState.NOT_YET_ACTIVE),
        (START, PeriodState.NOT_YET_ACTIVE),
        (START + TICK, PeriodState.ACTIVE),
        (END - TICK, PeriodState.ACTIVE),
        (END, PeriodState.ACTIVE),
        (END + TICK, PeriodState.EXPIRED),
    ],
)
def test_period_is_open_at_its_start_and_closed_at_its_end(now: datetime, state: PeriodState) -> None:
    period = RotationPeriod(1, START, END)
    assert period.state(now) is state
    assert period.is_active(now) is (state is PeriodState.ACTIVE)


@given(period=periods, now=moments)
def test_expiry_comes_before_the_start(period: RotationPeriod, now: datetime) -> None:
    assert (period.state(now) is PeriodState.EXPIRED) == (now > period.active_until)
    assert period.is_active(now) == (period.active_from < now <= period.active_until)


@given(rows=st.lists(periods, max_size=5))
def test_what_is_encoded_is_decoded(rows: list[RotationPeriod]) -> None:
    data = encode_rotation_periods(rows)
    assert decode_rotation_periods(data) == tuple(rows)
    assert b" " not in data


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (START, "2026-01-01T00:00:00Z"),
        (START + TICK, "2026-01-01T00:00:00.000001Z"),
        (START + timedelta(milliseconds=500), "2026-01-01T00:00:00.5Z"),
        (START + timedelta(microseconds=132670), "2026-01-01T00:00:00.13267Z"),
    ],
)
def test_fraction_has_no_trailing_zeros(moment: datetime, text: str) -> None:
    assert encode_timestamp(moment) == text
    assert decode_timestamp(text) == moment


@pytest.mark.parametrize(
    "text", ["2026-01-01T01:00:00+01:00", "2025-12-31T19:00:00-05:00", "2026-01-01T00:00:00.0000009Z"]
)
def test_other_spellings_of_a_moment(text: str) -> None:
    assert decode_timestamp(text) == START


@given(text=st.text(max_size=40))
def test_arbitrary_text_is_no_time_stamp(text: str) -> None:
    moment = decode_timestamp(text)
    assert moment is None or moment.tzinfo is UTC


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
)


@given(value=json_values)
def test_arbitrary_json_is_refused_or_empty(value: Any) -> None:
    data = json.dumps(value).encode()
    try:
        assert decode_rotation_periods(data) == ()
    except ObliviousHttpRejected:
        return
    assert value == []


@given(data=st.binary(max_size=60))
def test_arbitrary_bytes_are_refused(data: bytes) -> None:
    if data.strip() != b"[]":
        assert refusal(data) in ("json", "shape", "key-id", "timestamp")


def test_metadata_cut_at_any_byte_is_refused() -> None:
    data = encode_rotation_periods([RotationPeriod(1, START, END)])
    for cut in range(len(data)):
        assert refusal(data[:cut]) == "json"


def test_deeply_nested_json_is_refused() -> None:
    assert refusal(b"[" * 100_000) == "json"


@pytest.mark.parametrize("name", ["key_id", "active_from", "active_until"])
def test_each_member_is_needed(name: str) -> None:
    (row,) = json.loads(encode_rotation_periods([RotationPeriod(1, START, END)]))
    del row[name]
    assert refusal(json.dumps([row]).encode()) == ("key-id" if name == "key_id" else "timestamp")


@given(start=moments)
def test_six_months_keep_the_day_or_run_over(start: datetime) -> None:
    end = period_starting_at(1, start).active_until
    year, month = divmod(start.year * 12 + start.month - 1 + 6, 12)
    missing = max(0, start.day - calendar.monthrange(year, month + 1)[1])
    if missing:
        assert (end.month, end.day) == ((month + 1) % 12 + 1, missing)
    else:
        assert (end.year, end.month, end.day) == (year, month + 1, start.day)
    assert end.timetz() == start.timetz()


def test_key_starts_seven_days_after_its_secret_was_made() -> None:
    period = period_from_creation(3, START)
    assert (period.key_id, period.active_from, period.active_until) == (
        3,
        datetime(2026, 1, 8, tzinfo=UTC),
        datetime(2026, 7, 8, tzinfo=UTC),
    )


@given(rows=st.lists(periods, max_size=6), now=moments)
def test_client_takes_the_active_key_that_started_last(rows: list[RotationPeriod], now: datetime) -> None:
    active = [row for row in rows if row.active_from < now <= row.active_until]
    configs = [config(key_id) for key_id in range(256)]
    if not active:
        with pytest.raises(ObliviousHttpRejected) as refused:
            select_key(configs, rows, now)
        assert refused.value.code == "oblivious-http.key-selection.none-active"
        return
    latest = max(row.active_from for row in active)
    first = next(row for row in active if row.active_from == latest)
    assert select_key(configs, rows, now).key_id == first.key_id


def test_client_fails_rather_than_take_an_older_key_that_is_configured() -> None:
    rows = [RotationPeriod(1, START, END), RotationPeriod(2, START + TICK, END)]
    with pytest.raises(ObliviousHttpRejected) as refused:
        select_key([config(1)], rows, END)
    assert refused.value.code == "oblivious-http.key-selection.no-configuration"


def test_gateway_takes_every_active_key_and_names_why_not() -> None:
    old = GatewayKey(config(1), b"", RotationPeriod(1, START, END))
    new = GatewayKey(config(2), b"", RotationPeriod(2, END - timedelta(days=30), END + timedelta(days=150)))
    again = GatewayKey(config(1), b"", RotationPeriod(1, END + timedelta(days=30), END + timedelta(days=180)))
    keys = [old, new, again]
    header = RequestHeader(1, KemId.DHKEM_X25519, 1, 1)
    assert find_key(keys, header, END) is old
    assert find_key(keys, replace(header, key_id=2), END) is new
    assert find_key(keys, header, END + timedelta(days=31)) is again
    for changed, now, code in (
        (header, START, "key-inactive"),
        (header, END + TICK, "key-inactive"),
        (replace(header, key_id=3), END, "key-unknown"),
        (replace(header, kem_id=0x0030), END, "key-unknown"),
        (replace(header, aead_id=2), END, "algorithm"),
    ):
        with pytest.raises(ObliviousHttpRejected) as refused:
            find_key(keys, changed, now)
        assert refused.value.code == f"oblivious-http.request.{code}"


def test_gateway_without_keys_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="at least one key"):
        find_key([], RequestHeader(1, 0x0020, 1, 1), START)
