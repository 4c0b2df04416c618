"""How much a wallet withdraws. Chapter: ``spec/banking.md``.

The amounts follow from the credit size alone, never from a request. Requirements: PAY-009, PAY-135.
"""

from __future__ import annotations

from dataclasses import dataclass

from openpcc_ref.client.wallet.errors import WalletRejected
from openpcc_ref.credits.currency import CurrencyValue, round_up
from openpcc_ref.credits.nonce import QUANTUM
from openpcc_ref.errors import require

SOURCE_MULTIPLE = 10
"""Credits that one withdrawal from the AuthBank is meant for."""

REFILL_MULTIPLE = 40
"""Of which the amount asked for is a multiple, before it is rounded to a value."""

MAX_DELAY_S = 5.0
"""Waits are uniform below this many seconds (PAY-134)."""

RELIED_ON_S = QUANTUM
"""Seconds after its stamp for which a credit is relied on (PAY-031)."""

EVICTION_MARGIN_S = 300
"""Seconds before that at which an unused credit goes back into an account (PAY-138)."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a wallet aims at. Made by :func:`plan_for`."""

    credit_size: CurrencyValue
    """Of every credit that pays for a request."""
    source_value: CurrencyValue
    """Of every credit from the AuthBank."""
    target: int
    """Credits that are ready or on their way, at least."""
    max_delay_s: float = MAX_DELAY_S


def plan_for(credit_size: CurrencyValue, *, target: int = 20, max_delay_s: float = MAX_DELAY_S) -> Plan:
    """Return the plan for credits of one size, an amount above zero. Requirements: PAY-009, PAY-135."""
    needed = round_up(SOURCE_MULTIPLE * credit_size.amount).amount
    asked = -(-needed // REFILL_MULTIPLE) * REFILL_MULTIPLE
    return Plan(credit_size, round_up(asked), target, max_delay_s)


def require_payable(amount: int, credit_size: CurrencyValue) -> None:
    """Refuse a payment that one credit does not cover; a smaller one gets the whole credit and a refund.

    Requirements: PAY-135. Raises :class:`WalletRejected` with ``wallet.payment.amount``.
    """
    require(
        0 < amount <= credit_size.amount,
        WalletRejected,
        "wallet.payment.amount",
        where="amount",
        expected=f"1 to {credit_size.amount}, the size of a credit",
    )
