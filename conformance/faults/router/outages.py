"""Routers that go on when the nonce lock fails."""

from __future__ import annotations

from conformance.faults import fault
from conformance.faults.router.base import PartsRouter
from openpcc_ref.credits import Credit, Transaction
from openpcc_ref.credits import credit as credit_format
from openpcc_ref.credits.currency import CurrencyValue
from openpcc_ref.errors import Rejected
from openpcc_ref.http1 import Fields
from openpcc_ref.services.nonce_lock_client import NonceLockUnavailable
from openpcc_ref.services.router import Refused


class _Unlocked(Transaction):
    """A transaction without a lock."""

    async def commit(self) -> None:
        return

    async def rollback(self) -> None:
        return


@fault(
    id="router.requests.fails-open",
    breaks=["RTR-012", "RTR-038"],
    trips=["router.requests.lock-fails", "router.tokens.lock-fails"],
)
class FailsOpen(PartsRouter):
    """Serves without a lock when the nonce lock cannot be asked."""

    async def begin(self, credit: Credit) -> Transaction:
        try:
            return await self.processor.begin(credit)
        except NonceLockUnavailable:
            return _Unlocked(self.issuer, self.nonce_lock, credit, "")
        except Rejected as rejected:
            raise Refused(400, "unprocessable credit") from rejected


@fault(
    id="router.refunds.whatever-the-lock-says",
    breaks=["PAY-110", "PAY-125"],
    trips=["router.refunds.consumption-fails"],
)
class RefundsAnyway(PartsRouter):
    """Refunds although it could not ask the nonce lock to consume."""

    async def refund(self, transaction: Transaction, unspent: CurrencyValue | None) -> Fields:
        try:
            return await super().refund(transaction, unspent)
        except NonceLockUnavailable:
            if unspent is None:
                return ()
            credit, _ = self.issuer.issue_unblinded(unspent)
            return ((b"X-Refund", credit_format.encode_text(credit).encode()),)


@fault(
    id="router.refunds.ends-anyway",
    breaks=["PAY-110", "RTR-060"],
    trips=["router.refunds.consumption-fails"],
)
class EndsAnyway(PartsRouter):
    """Ends responses cleanly, without a refund, when it could not ask the nonce lock to consume."""

    async def refund(self, transaction: Transaction, unspent: CurrencyValue | None) -> Fields:
        try:
            return await super().refund(transaction, unspent)
        except NonceLockUnavailable:
            return ()
