"""What a wallet asks for: one call of AuthBank or bank each. Chapter: ``spec/banking.md``.

Where a credit may go follows from where it comes from: only credits that the bank signed blindly pay for requests; what
was shown or made by an issuer alone is only ever exchanged. Requirements: PAY-035, PAY-036, PAY-130.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from openpcc_ref.banking.accounts import AccountToken
from openpcc_ref.credits.credit import AnyCredit, Credit
from openpcc_ref.credits.currency import CurrencyValue


@dataclass(frozen=True, slots=True)
class WithdrawFromSource:
    """Get one credit from the AuthBank. Ends with the credit."""

    value: CurrencyValue


@dataclass(frozen=True, slots=True)
class DepositCredit:
    """Put one credit into an account. Ends with nothing."""

    token: AccountToken
    credit: Credit


@dataclass(frozen=True, slots=True)
class WithdrawBatch:
    """Get credits of one value from an account. Ends with them."""

    token: AccountToken
    value: CurrencyValue
    count: int


@dataclass(frozen=True, slots=True)
class EmptyAccount:
    """Get all of an account. Ends with an unblinded credit."""

    token: AccountToken


@dataclass(frozen=True, slots=True)
class ExchangeCredit:
    """Swap a credit that was shown, or that its issuer knows. Ends with a credit of the same value."""

    credit: AnyCredit


@dataclass(frozen=True, slots=True)
class ReturnCredit:
    """Give one credit back to the AuthBank. Ends with nothing."""

    credit: Credit


Operation: TypeAlias = WithdrawFromSource | DepositCredit | WithdrawBatch | EmptyAccount | ExchangeCredit | ReturnCredit


@dataclass(frozen=True, slots=True)
class Task:
    """An operation and the moment, in Unix seconds, before which it must not happen."""

    number: int
    operation: Operation
    not_before: float
    tried: bool = False
    """Whether it was done before, without an answer: it may have succeeded, so only the same request may follow."""


class Failure(Enum):
    """How a task failed."""

    UNANSWERED = "no answer, or one that says to try again"
    REFUSED = "an answer that a repetition would get again"
