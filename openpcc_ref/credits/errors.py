"""The refusal of everything about money. Chapter: ``spec/credits.md``."""

from __future__ import annotations

from openpcc_ref.errors import Rejected


class CreditRejected(Rejected):
    """A value, nonce, key, blind signature or credit breaks the rules.

    Codes begin with what was refused: ``currency``, ``nonce``, ``blind-rsa`` or ``credit``.
    """
