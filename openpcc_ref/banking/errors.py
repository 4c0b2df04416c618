"""The refusal of everything about accounts and locks. Chapter: ``spec/banking.md``."""

from __future__ import annotations

from openpcc_ref.credits.errors import CreditRejected


class BankingRejected(CreditRejected):
    """A request that the rules of accounts or of nonce locks forbid; as such, a credit or a request for one.

    Codes begin with what was refused: ``account``, ``batch``, ``config``, ``message`` or ``nonce-lock``.
    """
