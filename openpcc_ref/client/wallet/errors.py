"""The refusal of what a wallet cannot do. Chapter: ``spec/banking.md``."""

from __future__ import annotations

from openpcc_ref.errors import Rejected


class WalletRejected(Rejected):
    """A payment or a refund that the wallet does not take. Codes begin with ``wallet``."""
