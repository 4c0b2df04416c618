"""Currency values: codes, rounding and refusals."""

from __future__ import annotations

import math
from itertools import pairwise
from random import Random
from statistics import NormalDist

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openpcc_ref.credits import ATTESTATION, MAX_AMOUNT, CreditRejected, CurrencyValue, currency
from openpcc_ref.credits.issuer import require_attestation, require_positive_amount
from openpcc_ref.protobuf.credit_pb2 import Currency

AMOUNTS = [CurrencyValue(code).amount for code in range(currency.CODES)]

values = st.builds(CurrencyValue, st.integers(0, currency.CODES - 1), st.booleans())
representable = st.sampled_from(AMOUNTS)
amounts = st.one_of(
    st.floats(0, MAX_AMOUNT, allow_nan=False), st.floats(0, 100, allow_nan=False), st.integers(0, MAX_AMOUNT).map(float)
)


def test_each_code_has_an_amount_of_its_own_and_back() -> None:
    assert len(set(AMOUNTS)) == currency.CODES
    assert sorted(AMOUNTS) == AMOUNTS
    assert [currency.exact(amount).code for amount in AMOUNTS] == list(range(currency.CODES))
    assert AMOUNTS[:33] == list(range(33))
    assert AMOUNTS[-1] == MAX_AMOUNT == 33_285_996_544


def test_neighbours_differ_by_a_sixteenth_at_most() -> None:
    assert max((high - low) / low for low, high in pairwise(AMOUNTS[16:])) == 1 / 16


def test_only_the_amounts_of_codes_are_encoded() -> None:
    known = set(AMOUNTS)
    for amount in range(1 << 12):
        if amount in known:
            assert currency.exact(amount).amount == amount
        else:
            with pytest.raises(CreditRejected, match=r"currency\.amount\.inexact"):
                currency.exact(amount)


@given(value=values)
def test_a_value_survives_all_its_forms(value: CurrencyValue) -> None:
    assert currency.decode_blind_bytes(value.blind_bytes) == value
    assert currency.decode_value(currency.encode_value(value)) == value
    assert currency.decode_text(currency.encode_text(value)) == value
    assert len(currency.encode_text(value)) == 8


def test_of_all_two_bytes_1024_are_values() -> None:
    decoded = set()
    for first in range(256):
        for second in range(256):
            data = bytes((first, second))
            if first > 3:
                with pytest.raises(CreditRejected, match=r"currency\.bytes\.unknown-bits"):
                    currency.decode_blind_bytes(data)
            else:
                value = currency.decode_blind_bytes(data)
                assert value.blind_bytes == data
                assert value.special == bool(first & 1)
                decoded.add(value)
    assert len(decoded) == 1024


@given(data=st.binary(max_size=64))
def test_arbitrary_octets_are_a_value_or_refused_in_one_way(data: bytes) -> None:
    for decode in (currency.decode_blind_bytes, currency.decode_value):
        try:
            value = decode(data)
        except CreditRejected:
            continue
        assert value.blind_bytes in data


@given(text=st.text(max_size=16))
def test_arbitrary_text_is_a_value_or_refused_in_one_way(text: str) -> None:
    try:
        assert len(currency.decode_text(text).blind_bytes) == 2
    except CreditRejected as rejected:
        assert rejected.code.startswith("currency.")  # noqa: PT017 - either outcome is fine


def test_an_oversized_value_is_refused() -> None:
    with pytest.raises(CreditRejected, match=r"currency\.bytes\.trailing at currency: expected 2 bytes, 1048576 given"):
        currency.decode_value(Currency(currency=bytes(1 << 20)).SerializeToString())


def test_an_absent_field_and_an_empty_one_are_refused_alike() -> None:
    for message in (Currency(), Currency(currency=b"")):
        with pytest.raises(CreditRejected, match=r"currency\.bytes\.truncated"):
            currency.from_message(message)


@pytest.mark.parametrize("code", [-1, 512, 1 << 20])
def test_there_are_no_other_codes(code: int) -> None:
    with pytest.raises(ValueError, match="between 0 and 511"):
        CurrencyValue(code)


def test_a_special_value_has_no_amount() -> None:
    assert ATTESTATION != currency.ZERO
    for code in (0, 10, 511):
        value = CurrencyValue(code, special=True)
        with pytest.raises(CreditRejected, match=r"currency\.amount\.special"):
            _ = value.amount
        with pytest.raises(CreditRejected, match=r"currency\.amount\.special"):
            require_positive_amount(value)


def test_what_can_be_booked_and_what_is_a_token() -> None:
    assert require_positive_amount(CurrencyValue(1)) == 1
    with pytest.raises(CreditRejected, match=r"currency\.amount\.zero"):
        require_positive_amount(currency.ZERO)
    require_attestation(ATTESTATION)
    for value in (currency.ZERO, CurrencyValue(1), CurrencyValue(1, special=True), CurrencyValue(256, special=True)):
        with pytest.raises(CreditRejected, match=r"currency\.special\.not-attestation"):
            require_attestation(value)


@given(amount=amounts)
def test_neighbours_enclose_an_amount_and_nothing_lies_between(amount: float) -> None:
    found = currency.neighbours(amount)
    assert found.lower <= amount <= found.upper
    assert found.upper in AMOUNTS
    index = AMOUNTS.index(found.lower)
    if found.lower == found.upper:
        assert amount == found.lower
    else:
        assert AMOUNTS[index + 1] == found.upper


@given(amount=amounts)
def test_the_mean_of_both_neighbours_is_the_amount(amount: float) -> None:
    found = currency.neighbours(amount)
    mean = found.lower * found.lower_probability + found.upper * (1 - found.lower_probability)
    assert mean == pytest.approx(amount, rel=1e-12, abs=1e-12)
    assert 0 <= found.lower_probability <= 1


@given(amount=amounts, factor=st.floats(0, 1, exclude_max=True))
def test_a_factor_above_the_probability_rounds_up(amount: float, factor: float) -> None:
    found = currency.neighbours(amount)
    rounded = currency.round_stochastically(amount, factor).amount
    assert rounded == (found.upper if factor > found.lower_probability else found.lower)
    assert found.lower <= currency.round_stochastically(amount, 0.0).amount == found.lower
    assert currency.round_up(amount).amount == found.upper


@given(amount=representable, factor=st.floats(0, 1))
def test_an_amount_that_has_a_value_is_never_changed(amount: int, factor: float) -> None:
    assert currency.round_stochastically(amount, factor).amount == amount
    assert currency.round_up(amount).amount == amount


@pytest.mark.parametrize(
    ("amount", "lower", "upper"), [(0.25, 0, 1), (33, 32, 34), (145.3, 144, 152), (1000, 992, 1024)]
)
def test_rounding_is_fair(amount: float, lower: int, upper: int) -> None:
    """The count of roundings up lies within five standard deviations of what the probability says."""
    draws, source = 20_000, Random(int(amount)).randbytes
    rounded = [currency.round_stochastically(amount, currency.rounding_factor(source)).amount for _ in range(draws)]
    assert set(rounded) == {lower, upper}
    probability = (amount - lower) / (upper - lower)
    spread = NormalDist(draws * probability, math.sqrt(draws * probability * (1 - probability)))
    assert abs(spread.zscore(rounded.count(upper))) < 5


def test_factors_have_53_bits_and_stay_below_one() -> None:
    assert currency.rounding_factor(lambda length: b"\xff" * length) == 1 - 2**-53
    assert currency.rounding_factor(bytes) == 0
    assert currency.rounding_factor(lambda length: bytes(length - 1) + b"\x08") == 2**-53


@pytest.mark.parametrize(
    ("amount", "code"),
    [
        (math.nan, "not-a-number"),
        (math.inf, "overflow"),
        (-math.inf, "negative"),
        (-0.5, "negative"),
        (-5e-324, "negative"),
        (MAX_AMOUNT + 0.5, "overflow"),
        (math.nextafter(MAX_AMOUNT, math.inf), "overflow"),
    ],
)
def test_what_cannot_be_rounded_is_refused(amount: float, code: str) -> None:
    for refuse in (currency.neighbours, currency.round_up):
        with pytest.raises(CreditRejected, match=rf"currency\.amount\.{code}"):
            refuse(amount)


def test_the_edges_of_rounding() -> None:
    assert currency.round_stochastically(-0.0, 0.5) == currency.ZERO
    assert currency.round_stochastically(5e-324, 0.999).amount == 0
    assert currency.round_up(5e-324).amount == 1
    assert currency.round_up(math.nextafter(MAX_AMOUNT, 0)).amount == MAX_AMOUNT
