"""Accounts: a token that is also the password, and a balance. Chapter: ``spec/banking.md``.

Balances are whole amounts without upper bound; each function takes the balance before and returns the one after.
Requirements: PAY-070, PAY-073, PAY-074, PAY-077 to PAY-084.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from openpcc_ref.banking.errors import BankingRejected
from openpcc_ref.credits.currency import MAX_AMOUNT, CurrencyValue, round_stochastically
from openpcc_ref.credits.issuer import BlindSignRequest, require_positive_amount
from openpcc_ref.errors import require

TOKEN_LENGTH = 32
"""Bytes of an account token (PAY-070)."""

MAX_BATCH = 15
"""Signatures of one withdrawal (PAY-078)."""


@dataclass(frozen=True, slots=True)
class AccountToken:
    """What its holder draws from a cryptographic generator and whoever knows it may use. Requirements: PAY-070.

    Raises ValueError unless it has 32 bytes.
    """

    octets: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.octets) != TOKEN_LENGTH:
            raise ValueError(f"an account token has {TOKEN_LENGTH} bytes, not {len(self.octets)}")

    @property
    def account_id(self) -> bytes:
        """What a bank stores in its place: a hash that opens no account. Requirements: PAY-073."""
        return hashlib.sha256(b"openpcc account" + self.octets).digest()


def require_batch(requests: Sequence[BlindSignRequest]) -> int:
    """Return what a batch costs in sum. Requirements: PAY-010, PAY-078, PAY-079.

    Raises :class:`BankingRejected` with ``batch.size`` or ``batch.repeated-message``, and
    :class:`CreditRejected` for a value that is no amount above zero.
    """
    require(
        1 <= len(requests) <= MAX_BATCH,
        BankingRejected,
        "batch.size",
        where="requests",
        expected=f"1 to {MAX_BATCH} requests, {len(requests)} given",
    )
    require(
        len({request.blinded_message for request in requests}) == len(requests),
        BankingRejected,
        "batch.repeated-message",
        where="requests",
        expected="blinded messages that differ",
    )
    return sum(require_positive_amount(request.value) for request in requests)


def debit(balance: int, amount: int) -> int:
    """Return the balance after a withdrawal. Requirements: PAY-080 to PAY-082.

    Raises :class:`BankingRejected` with ``account.uncovered``, which tells unknown, empty and poor accounts in no way
    apart.
    """
    require(
        0 < amount <= balance,
        BankingRejected,
        "account.uncovered",
        where="account",
        expected="a balance that covers the withdrawal",
    )
    return balance - amount


def value_of_all(balance: int, factor: float) -> CurrencyValue:
    """Return the value of the credit that empties an account. Requirements: PAY-081, PAY-083, PAY-084.

    ``factor`` is that of :func:`round_stochastically`; what rounding loses or gains is the bank's. Raises
    :class:`BankingRejected` with ``account.uncovered`` or ``account.above-maximum``.
    """
    debit(balance, balance)
    require(
        balance <= MAX_AMOUNT,
        BankingRejected,
        "account.above-maximum",
        where="account",
        expected=f"a balance of at most {MAX_AMOUNT}",
    )
    return round_stochastically(min(balance, MAX_AMOUNT), factor)
