"""What a service writes down about a credit before it consumes the nonce. Chapter: ``spec/banking.md``.

Nonces and balances live in two services, and either may stop at any moment. The record, durable before the nonce is
consumed and booked after, tells a service that comes back what it had begun; the nonce lock tells how far it came.
Requirements: PAY-085, PAY-087, PAY-092, PAY-093, PAY-110.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from openpcc_ref.banking.messages import Exchange
from openpcc_ref.credits.credit import AnyCredit, encode_credit
from openpcc_ref.credits.nonce import Nonce

NOBODY = b""
"""The account of a spend that changes no balance."""


@dataclass(frozen=True, slots=True)
class Spend:
    """One credit on its way from spendable to spent."""

    nonce: Nonce
    purpose: bytes
    """Equal for identical requests and for no others."""
    account_id: bytes
    """Whose balance grows by ``amount`` when the nonce is consumed."""
    amount: int
    blind_signature: bytes = field(default=b"", repr=False)
    """What is handed out when the nonce is consumed."""
    ticket: str = field(default="", repr=False)
    settled: bool = False
    """Whether the nonce is known to be consumed and the amount is booked."""


def crediting(account_id: bytes, credit: AnyCredit) -> Spend:
    """Return the spend of a credit whose amount goes into an account."""
    return Spend(credit.nonce, digest(b"credit", account_id, encode_credit(credit)), account_id, credit.value.amount)


def exchanging(exchange: Exchange, blind_signature: bytes) -> Spend:
    """Return the spend of a credit that a new one replaces. Requirements: PAY-085, PAY-087."""
    purpose = digest(b"exchange", encode_credit(exchange.credit), exchange.blinded_message)
    return Spend(exchange.credit.nonce, purpose, NOBODY, 0, blind_signature)


def digest(*parts: bytes) -> bytes:
    """Return a name for a request, made of its parts, that no other request has."""
    framed = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    return hashlib.sha256(framed).digest()
