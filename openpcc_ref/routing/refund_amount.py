"""What a node reports as refund, and how much of that a router believes. Requirements: RTR-061, RTR-062, RTR-064."""

from __future__ import annotations

from openpcc_ref.credits import currency
from openpcc_ref.credits.currency import CurrencyValue
from openpcc_ref.routing.errors import require_routing


def decode_refund_amount(text: str | None, credit_amount: int) -> CurrencyValue | None:
    """Return the value to refund for a trailer ``X-Refund-Amount``; None when it is absent or zero (PAY-124).

    Requirements: RTR-061, RTR-062, RTR-064, NODE-010. Raises :class:`~openpcc_ref.credits.CreditRejected` for a text
    that is no value, with ``currency.amount.special`` for a special value, and
    :class:`~openpcc_ref.routing.RoutingRejected` with ``routing.refund.above-credit``.
    """
    if text is None:
        return None
    value = currency.decode_text(text)
    above = value.amount > credit_amount
    require_routing(not above, "refund.above-credit", "X-Refund-Amount", "at most the amount of the credit")
    return value if value.amount else None
