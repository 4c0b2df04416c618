"""Currency values: 512 amounts and the special values, in two bytes. Chapter: ``spec/credits.md``.

A value is a 9-bit code, a floating-point number of five significant bits, beside one bit that marks special values.
The two bytes are the public metadata of the blind signature, so they are coarse on purpose: few values, each shared
by many users. Requirements: PAY-001 to PAY-011.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from openpcc_ref.base64_text import from_text, to_text
from openpcc_ref.credits.errors import CreditRejected
from openpcc_ref.errors import require
from openpcc_ref.protobuf import parse
from openpcc_ref.protobuf.credit_pb2 import Currency
from openpcc_ref.sources import RandomSource

MAX_AMOUNT = 31 << 30
"""The largest amount, 33,285,996,544 (PAY-005)."""

CODES = 512
"""Number of codes, and of amounts."""

_SPECIAL = 0b01
_HIGHEST_BIT = 0b10


@dataclass(frozen=True, slots=True)
class CurrencyValue:
    """An amount, or a special value that is none. Requirements: PAY-005, PAY-010.

    ``code`` is between 0 and 511, ordered as the amounts. Raises ValueError for another code.
    """

    code: int
    special: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.code < CODES:
            raise ValueError(f"a code is between 0 and {CODES - 1}, not {self.code}")

    @property
    def amount(self) -> int:
        """The amount; a special value has none. Requirements: PAY-003, PAY-010.

        Raises :class:`CreditRejected` with ``currency.amount.special``.
        """
        require(
            not self.special,
            CreditRejected,
            "currency.amount.special",
            where="value",
            expected="an amount, not a special value",
        )
        exponent, mantissa = divmod(self.code, 16)
        return mantissa if exponent == 0 else (16 + mantissa) << (exponent - 1)

    @property
    def blind_bytes(self) -> bytes:
        """The two bytes: public metadata of the signature. Requirements: PAY-001."""
        return bytes(((self.code >> 8) * _HIGHEST_BIT | self.special * _SPECIAL, self.code & 0xFF))


ZERO = CurrencyValue(0)
"""The amount nothing; not the same as :data:`ATTESTATION`."""

ATTESTATION = CurrencyValue(0, special=True)
"""The value of an attestation token, ``01 00``: the one special value that is defined (PAY-011)."""


def exact(amount: int) -> CurrencyValue:
    """Return the value of ``amount``, if there is one. Requirements: PAY-006.

    Raises :class:`CreditRejected` with ``currency.amount.negative``, ``currency.amount.overflow`` or
    ``currency.amount.inexact``.
    """
    _require_in_range(amount)
    amount = min(max(amount, 0), MAX_AMOUNT)
    if amount < 16:
        return CurrencyValue(amount)
    dropped_bits = amount.bit_length() - 5
    mantissa = amount >> dropped_bits
    require(
        mantissa << dropped_bits == amount,
        CreditRejected,
        "currency.amount.inexact",
        where="amount",
        expected="at most five significant bits",
    )
    return CurrencyValue((dropped_bits + 1) << 4 | mantissa & 15)


def _require_in_range(amount: float) -> None:
    require(amount >= 0, CreditRejected, "currency.amount.negative", where="amount", expected="at least 0")
    require(
        amount <= MAX_AMOUNT,
        CreditRejected,
        "currency.amount.overflow",
        where="amount",
        expected=f"at most {MAX_AMOUNT}",
    )


@dataclass(frozen=True, slots=True)
class Rounding:
    """The representable neighbours of an amount and how likely each is; equal neighbours need no choice."""

    lower: int
    upper: int
    lower_probability: float

    def choose(self, factor: float) -> int:
        """Return the lower neighbour, or the upper one if ``factor`` lies above the lower one's probability."""
        return self.upper if factor > self.lower_probability else self.lower


def neighbours(amount: float) -> Rounding:
    """Return between which representable amounts ``amount`` lies. Requirements: PAY-007, PAY-008.

    Raises :class:`CreditRejected` with ``currency.amount.not-a-number``, ``currency.amount.negative`` or
    ``currency.amount.overflow``.
    """
    require(
        not math.isnan(amount),
        CreditRejected,
        "currency.amount.not-a-number",
        where="amount",
        expected="a number",
    )
    amount = 0.0 if math.isnan(amount) else amount
    _require_in_range(amount)
    amount = min(max(amount, 0.0), float(MAX_AMOUNT))
    lower, upper = math.floor(amount), math.ceil(amount)
    if upper > 32:
        dropped_bits = lower.bit_length() - 5
        mantissa = lower >> dropped_bits
        if mantissa << dropped_bits != amount:
            lower, upper = mantissa << dropped_bits, (mantissa + 1) << dropped_bits
    if lower == upper:
        return Rounding(lower, upper, 1.0)
    return Rounding(lower, upper, (upper - amount) / (upper - lower))


def round_stochastically(amount: float, factor: float) -> CurrencyValue:
    """Return a representable neighbour of ``amount`` such that the mean over uniform factors is ``amount``.

    ``factor`` comes from :func:`rounding_factor`. Requirements: PAY-007, PAY-008. Raises :class:`CreditRejected` as
    :func:`neighbours` does.
    """
    return exact(neighbours(amount).choose(factor))


def round_up(amount: float) -> CurrencyValue:
    """Return the smallest value that covers ``amount``. Requirements: PAY-009. Raises as :func:`neighbours` does."""
    return exact(neighbours(amount).upper)


def rounding_factor(random: RandomSource) -> float:
    """Return a number uniform in [0, 1) with 53 bits. Requirements: PAY-008."""
    return (int.from_bytes(random(7), "big") >> 3) / (1 << 53)


def decode_blind_bytes(data: bytes) -> CurrencyValue:
    """Return the value of two bytes. Requirements: PAY-001 to PAY-004.

    Raises :class:`CreditRejected` with ``currency.bytes.truncated``, ``currency.bytes.trailing`` or
    ``currency.bytes.unknown-bits``.
    """
    require(
        len(data) >= 2,
        CreditRejected,
        "currency.bytes.truncated",
        where="currency",
        expected=f"2 bytes, {len(data)} given",
    )
    require(
        len(data) <= 2,
        CreditRejected,
        "currency.bytes.trailing",
        where="currency",
        expected=f"2 bytes, {len(data)} given",
    )
    first, second = data[:2].ljust(2, b"\0")
    require(
        first <= _SPECIAL | _HIGHEST_BIT,
        CreditRejected,
        "currency.bytes.unknown-bits",
        where="currency byte 0",
        expected="six zero bits",
    )
    return CurrencyValue((first & _HIGHEST_BIT) << 7 | second, special=bool(first & _SPECIAL))


def to_message(value: CurrencyValue) -> Currency:
    """Return the protobuf message of a value."""
    return Currency(currency=value.blind_bytes)


def from_message(message: Currency) -> CurrencyValue:
    """Return the value of a protobuf message; an absent field counts as no bytes. Requirements: PAY-002.

    Raises :class:`CreditRejected` as :func:`decode_blind_bytes` does.
    """
    return decode_blind_bytes(message.currency)


def encode_value(value: CurrencyValue) -> bytes:
    """Return the serialized message of a value."""
    return to_message(value).SerializeToString()


def decode_value(data: bytes) -> CurrencyValue:
    """Return the value of a serialized message. Requirements: PAY-002.

    Raises :class:`CreditRejected` with ``currency.malformed`` and as :func:`decode_blind_bytes` does.
    """
    return from_message(parse(Currency, data, CreditRejected, "currency.malformed"))


def encode_text(value: CurrencyValue) -> str:
    """Return the text form of a value, as in the trailer ``X-Refund-Amount``."""
    return to_text(encode_value(value))


def decode_text(text: str) -> CurrencyValue:
    """Return the value of a text form.

    Raises :class:`CreditRejected` with ``currency.text.base64`` and as :func:`decode_value` does.
    """
    return decode_value(from_text(text, CreditRejected, "currency.text.base64"))
