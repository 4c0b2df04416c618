"""The refusal of everything about accounts and locks. Chapter: ``spec/banking.md``."""

from __future__ import annotations

from openpcc_ref.errors import Rejected


class BankingRejected(Rejected):
    """A request that the rules of accounts or of nonce locks forbid.

    Codes begin with what was refused: ``account``, ``batch``, ``message`` or ``nonce-lock``.
    """
