"""Routers that leave the nonce in a wrong state."""

from __future__ import annotations

from conformance.faults import fault
from conformance.faults.router.base import PartsRouter, ProxyingRouter
from openpcc_ref.credits import Credit, Transaction
from openpcc_ref.credits.currency import CurrencyValue
from openpcc_ref.http1 import Failure, Fields
from openpcc_ref.services.forwarding import UpstreamFailed
from openpcc_ref.services.router import Proxied, Router


@fault(
    id="router.settlement.free-of-charge",
    breaks=["RTR-060"],
    trips=["router.settlement.consumed", "router.requests.spent-once"],
    also=["router.settlement.side-by-side", "router.requests.nanos", "router.requests.simultaneous"],
)
class FreeOfCharge(Router):
    """Releases the nonce when a response without a refund has ended."""

    async def refund(self, transaction: Transaction, unspent: CurrencyValue | None) -> Fields:
        if unspent is None:
            await transaction.rollback()
            return ()
        return await super().refund(transaction, unspent)


class _Paid(Transaction):
    """A transaction whose nonce is consumed already."""

    async def commit(self) -> None:
        return

    async def rollback(self) -> None:
        return


@fault(
    id="router.settlement.paid-in-advance",
    breaks=["RTR-070", "RTR-071", "RTR-073", "PAY-111"],
    trips=[
        "router.settlement.not-before",
        "router.settlement.unreachable",
        "router.settlement.accepted-again",
        "router.settlement.no-response",
    ],
    also=[
        "router.settlement.side-by-side",
        "router.settlement.no-tls",
        "router.refunds.after-consumption",
        "router.refunds.not-consumed",
    ],
)
class PaidInAdvance(PartsRouter):
    """Consumes the nonce before it asks the node."""

    async def begin(self, credit: Credit) -> Transaction:
        transaction = await super().begin(credit)
        await transaction.commit()
        return _Paid(self.issuer, self.nonce_lock, credit, "")


@fault(
    id="router.settlement.never-released",
    breaks=["RTR-070", "RTR-071", "RTR-073", "PAY-111"],
    trips=["router.settlement.unreachable", "router.settlement.accepted-again", "router.settlement.no-response"],
    also=["router.settlement.side-by-side", "router.settlement.no-tls", "router.settlement.client-gone-before"],
)
class NeverReleased(Router):
    """Leaves locks to end by themselves when nothing was delivered."""

    async def settle(self, transaction: Transaction, *, delivered: bool) -> None:
        if delivered:
            await super().settle(transaction, delivered=delivered)


class _Unavailable(Proxied):
    async def answer_unreachable(self) -> None:
        length = (b"content-length", b"0")
        await self.responder.send_head(503, (length,))
        await self.responder.finish()


@fault(
    id="router.settlement.unavailable",
    breaks=["RTR-070"],
    trips=["router.settlement.unreachable"],
    also=["router.settlement.no-tls"],
)
class Unavailable(ProxyingRouter):
    """Says 503 when a node cannot be reached."""

    proxied_class = _Unavailable


class _Careless(Proxied):
    async def run(self) -> None:
        try:
            await self.exchange()
        except UpstreamFailed:
            if self.responder.started:
                await self.responder.abort()
            else:
                await self.settle()
                await self.answer_unreachable()


@fault(
    id="router.settlement.breaks-leave-locks",
    breaks=["RTR-096"],
    trips=[
        "router.settlement.client-gone",
        "router.settlement.client-gone-before",
        "router.settlement.cut-response",
    ],
)
class BreaksLeaveLocks(ProxyingRouter):
    """Leaves the lock when client or node break off."""

    proxied_class = _Careless


@fault(
    id="router.settlement.errors-leave-locks",
    breaks=["RTR-096"],
    trips=["router.settlement.node-error"],
)
class ErrorsLeaveLocks(PartsRouter):
    """Leaves the lock when a node answers with an error."""

    async def refund(self, transaction: Transaction, unspent: CurrencyValue | None) -> Fields:
        if self.responses[transaction.credit.nonce.random].status >= 400:
            return ()
        return await super().refund(transaction, unspent)


class _PayingForClosing(Proxied):
    closed = False

    async def settle(self) -> None:
        if self.closed and not self.settled:
            self.settled = True
            await self.router.settle(self.transaction, delivered=True)
        await super().settle()

    async def exchange(self) -> None:
        try:
            await super().exchange()
        except UpstreamFailed as failed:
            self.closed = failed.error.failure is Failure.CLOSED and not self.responder.started
            raise


@fault(
    id="router.settlement.closing-costs",
    breaks=["RTR-073", "PAY-111"],
    trips=["router.settlement.no-response"],
)
class ClosingCosts(ProxyingRouter):
    """Consumes the nonce when a node closes its connection without an answer, and releases it after a reset."""

    proxied_class = _PayingForClosing


class _Blind(Proxied):
    async def exchange(self) -> None:
        if self.node.url.startswith("https"):
            self.settled = True  # so that nobody does
        await super().exchange()


@fault(id="router.settlement.tls-leaves-locks", breaks=["RTR-070"], trips=["router.settlement.no-tls"])
class TlsLeavesLocks(ProxyingRouter):
    """Leaves the lock when TLS with a node fails."""

    proxied_class = _Blind


@fault(
    id="router.settlement.mixed-up",
    breaks=["RTR-060", "RTR-070"],
    trips=["router.settlement.side-by-side"],
)
class LatestTransaction(PartsRouter):
    """Keeps one place for the transaction that is released when a node fails."""

    latest: Transaction | None = None

    async def begin(self, credit: Credit) -> Transaction:
        self.latest = await super().begin(credit)
        return self.latest

    async def settle(self, transaction: Transaction, *, delivered: bool) -> None:
        latest = transaction if delivered or self.latest is None else self.latest
        await super().settle(latest, delivered=delivered)
