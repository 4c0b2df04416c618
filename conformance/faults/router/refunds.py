"""Routers that refund wrongly."""

from __future__ import annotations

from typing import Any

from conformance.faults import fault
from conformance.faults.router.base import CollectingProxied, LenientRouter, PartsRouter, ProxyingRouter
from conformance.peers.mint import Mint
from openpcc_ref.base64_text import from_text, to_text
from openpcc_ref.credits import Credit, Transaction, UnblindedCredit, blind_rsa, currency
from openpcc_ref.credits import credit as credit_format
from openpcc_ref.credits.currency import CurrencyValue
from openpcc_ref.errors import Rejected, without_check
from openpcc_ref.http1 import Fields, IncomingResponse, field_value, field_values
from openpcc_ref.protobuf.credit_pb2 import Credit as CreditMessage
from openpcc_ref.routing import Candidate, RoutingRejected
from openpcc_ref.services.nonce_lock_client import NonceLockUnavailable
from openpcc_ref.services.router import Proxied, Router


@fault(
    id="router.refunds.halved",
    breaks=["RTR-061"],
    trips=["router.refunds.issued", "router.refunds.side-by-side"],
)
class Halved(Router):
    """Keeps half of the code of what is left."""

    def unspent(self, response: IncomingResponse, credit: Credit) -> CurrencyValue | None:
        reported = super().unspent(response, credit)
        return None if reported is None else CurrencyValue(max(1, reported.code // 2))


@fault(
    id="router.refunds.unsigned",
    breaks=["RTR-061", "PAY-125"],
    trips=["router.refunds.issued"],
    also=[
        "router.refunds.repeated-amount",
        "router.refunds.side-by-side",
        "router.refunds.above-payment",
        "router.refunds.after-consumption",
        "router.refunds.fresh",
        "router.refunds.no-length",
        "router.refunds.no-salt",
        "router.refunds.special",
    ],
)
class Unsigned(Router):
    """Sends refunds with a signature that is none."""

    async def refund(self, transaction: Transaction, unspent: CurrencyValue | None) -> Fields:
        trailers = await super().refund(transaction, unspent)
        if not trailers:
            return ()
        refund = credit_format.decode_text(UnblindedCredit, trailers[0][1].decode())
        blank = UnblindedCredit(refund.value, refund.nonce, bytes(len(refund.signature)))
        return ((b"X-Refund", credit_format.encode_text(blank).encode()),)


@fault(
    id="router.refunds.all-of-it",
    breaks=["RTR-062"],
    trips=["router.refunds.none"],
    also=["router.refunds.zero"],
)
class AllOfIt(Router):
    """Refunds the whole payment when the node says nothing of it."""

    def unspent(self, response: IncomingResponse, credit: Credit) -> CurrencyValue | None:
        reported = super().unspent(response, credit)
        return credit.value if reported is None and response.status == 500 else reported


@fault(
    id="router.refunds.twice",
    breaks=["PAY-125", "RTR-064"],
    trips=["router.refunds.trailer-only", "router.refunds.repeated-amount"],
    also=[
        "router.refunds.side-by-side",
        "router.refunds.after-consumption",
        "router.refunds.fresh",
        "router.refunds.issued",
        "router.refunds.no-length",
        "router.refunds.no-salt",
    ],
)
class Twice(Router):
    """Sends every refund twice."""

    async def refund(self, transaction: Transaction, unspent: CurrencyValue | None) -> Fields:
        return await super().refund(transaction, unspent) * 2


@fault(id="router.refunds.amount-passed", breaks=["RTR-063"], trips=["router.refunds.amount-hidden"])
class AmountPassed(PartsRouter):
    """Passes the node's trailer on beside the refund."""

    async def refund(self, transaction: Transaction, unspent: CurrencyValue | None) -> Fields:
        trailers = await super().refund(transaction, unspent)
        reported = self.responses[transaction.credit.nonce.random].trailers
        return (*trailers, *(line for line in reported if line[0] == b"x-refund-amount"))


@fault(id="router.refunds.amount-in-head-passed", breaks=["RTR-063"], trips=["router.refunds.amount-hidden"])
class AmountInHeadPassed(Router):
    """Looks for the node's amount in the trailer only, and passes one in the head on."""

    def client_fields(self, response: IncomingResponse, candidate: Candidate) -> Fields:
        fields = super().client_fields(response, candidate)
        return (*fields, *(line for line in response.fields if line[0] == b"x-refund-amount"))


@fault(id="router.refunds.any-amount", breaks=["RTR-064", "PAY-123"], trips=["router.refunds.above-payment"])
class AnyAmount(LenientRouter):
    """Signs what the node reports, however much."""

    without = ("routing.refund.above-credit", "credit.unspent.above-payment")


@fault(
    id="router.refunds.largest-amount",
    breaks=["RTR-064", "PAY-123"],
    trips=["router.refunds.above-payment"],
    also=["router.refunds.malformed"],
)
class Capped(Router):
    """Refunds the whole payment where the node reports more."""

    def unspent(self, response: IncomingResponse, credit: Credit) -> CurrencyValue | None:
        try:
            return super().unspent(response, credit)
        except Rejected as rejected:
            if rejected.code != "routing.refund.above-credit":
                raise
            return credit.value


@fault(id="router.refunds.special", breaks=["PAY-123"], trips=["router.refunds.special"])
class Special(LenientRouter):
    """Signs special values that a node reports."""

    without = ("currency.amount.special",)

    def unspent(self, response: IncomingResponse, credit: Credit) -> CurrencyValue | None:
        text = field_value(response.trailers, b"x-refund-amount")
        value = None if text is None else currency.decode_text(text.decode("latin-1"))
        return value if value is not None and value.special else super().unspent(response, credit)


@fault(id="router.refunds.nonsense-is-all", breaks=["RTR-062"], trips=["router.refunds.malformed"])
class NonsenseIsAll(Router):
    """Refunds the whole payment when it does not understand the amount."""

    def unspent(self, response: IncomingResponse, credit: Credit) -> CurrencyValue | None:
        try:
            return super().unspent(response, credit)
        except Rejected as rejected:
            if rejected.code in ("routing.refund.above-credit", "currency.amount.special"):
                raise
            return credit.value


@fault(id="router.refunds.nothing", breaks=["PAY-124"], trips=["router.refunds.zero"])
class Nothing(Router):
    """Sends refunds of zero."""

    def unspent(self, response: IncomingResponse, credit: Credit) -> CurrencyValue | None:
        reported = super().unspent(response, credit)
        if reported is None and field_value(response.trailers, b"x-refund-amount") is not None:
            return currency.ZERO
        return reported


@fault(id="router.refunds.nodes-trailer", breaks=["RTR-065"], trips=["router.refunds.forged-trailer"])
class NodesTrailer(PartsRouter):
    """Passes a refund of the node's own on."""

    async def refund(self, transaction: Transaction, unspent: CurrencyValue | None) -> Fields:
        trailers = await super().refund(transaction, unspent)
        reported = self.responses[transaction.credit.nonce.random].trailers
        return (*trailers, *(line for line in reported if line[0] == b"x-refund"))


@fault(id="router.refunds.nodes-field", breaks=["RTR-065"], trips=["router.refunds.forged-field"])
class NodesField(Router):
    """Passes a refund in the head of the node's response on."""

    def client_fields(self, response: IncomingResponse, candidate: Candidate) -> Fields:
        fields = super().client_fields(response, candidate)
        return (*fields, *(line for line in response.fields if line[0] == b"x-refund"))


class _InHead(CollectingProxied):
    async def reply(self, response: IncomingResponse, content: bytes, trailers: Fields, *, complete: bool) -> None:
        if not trailers:
            await super().reply(response, content, trailers, complete=complete)
            return
        length = (b"content-length", str(len(content)).encode())
        fields = self.router.client_fields(response, self.candidate)
        await self.responder.send_head(response.status, (*fields, *trailers, length))
        await self.responder.send(content)
        await self.responder.finish()


@fault(
    id="router.refunds.in-head",
    breaks=["PAY-125", "RTR-067"],
    trips=["router.refunds.trailer-only", "router.refunds.no-length", "router.refunds.issued"],
    also=[
        "router.refunds.side-by-side",
        "router.refunds.after-consumption",
        "router.refunds.fresh",
        "router.refunds.no-salt",
        "router.responses.both-ways",
        "router.responses.streaming",
        "router.settlement.client-gone",
    ],
)
class InHead(ProxyingRouter):
    """Collects the response and sends the refund in its head, with a length."""

    proxied_class = _InHead


class _RefundFirst(Proxied):
    async def run(self) -> None:
        await super().run()
        try:
            await self.transaction.commit()
        except (Rejected, NonceLockUnavailable, ValueError):
            return


@fault(
    id="router.refunds.before-consumption",
    breaks=["PAY-110", "PAY-125"],
    trips=["router.refunds.after-consumption", "router.refunds.not-consumed"],
    also=[
        "router.refunds.consumption-fails",
        "router.requests.simultaneous",
        "router.requests.spent-once",
        "router.settlement.consumed",
    ],
)
class BeforeConsumption(ProxyingRouter):
    """Hands the refund out and consumes the nonce then."""

    proxied_class = _RefundFirst

    async def refund(self, transaction: Transaction, unspent: CurrencyValue | None) -> Fields:
        if unspent is None:
            return await super().refund(transaction, unspent)
        credit, _ = self.issuer.issue_unblinded(unspent)
        return ((b"X-Refund", credit_format.encode_text(credit).encode()),)


@fault(
    id="router.refunds.always-the-same",
    breaks=["PAY-020"],
    trips=["router.refunds.fresh"],
)
class AlwaysTheSame(PartsRouter):
    """Makes one refund of each value and hands it out again and again."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.made: dict[CurrencyValue | None, Fields] = {}

    async def refund(self, transaction: Transaction, unspent: CurrencyValue | None) -> Fields:
        trailers = await super().refund(transaction, unspent)
        return self.made.setdefault(unspent, trailers)


@fault(id="router.refunds.with-fractions", breaks=["PAY-027"], trips=["router.refunds.fresh"])
class WithFractions(Router):
    """Stamps refunds with nanoseconds."""

    async def refund(self, transaction: Transaction, unspent: CurrencyValue | None) -> Fields:
        trailers = await super().refund(transaction, unspent)
        if not trailers:
            return ()
        message = CreditMessage.FromString(from_text(trailers[0][1].decode(), RoutingRejected, "fault"))
        message.nonce.timestamp.nanos = 1
        return ((b"X-Refund", to_text(message.SerializeToString()).encode()),)


@fault(id="router.refunds.salted", breaks=["PAY-046"], trips=["router.refunds.no-salt"])
class Salted(PartsRouter):
    """Signs refunds with a salt of its own."""

    async def refund(self, transaction: Transaction, unspent: CurrencyValue | None) -> Fields:
        trailers = await super().refund(transaction, unspent)
        if not trailers:
            return ()
        refund = credit_format.decode_text(UnblindedCredit, trailers[0][1].decode())
        framed = blind_rsa.frame(refund.nonce.blind_bytes, refund.value.blind_bytes)
        mint = Mint(self.key)
        signature = mint.sign(framed, mint.exponent(refund.value.blind_bytes), salt=self.random(48))
        salted = UnblindedCredit(refund.value, refund.nonce, signature)
        return ((b"X-Refund", credit_format.encode_text(salted).encode()),)


@fault(id="router.refunds.mixed-up", breaks=["RTR-061"], trips=["router.refunds.side-by-side"])
class MixedUp(PartsRouter):
    """Keeps one place for what is left, whoever reports it."""

    latest: CurrencyValue | None = None

    def unspent(self, response: IncomingResponse, credit: Credit) -> CurrencyValue | None:
        self.latest = super().unspent(response, credit)
        return self.latest

    async def refund(self, transaction: Transaction, unspent: CurrencyValue | None) -> Fields:
        if unspent is None or self.latest is None:
            return await super().refund(transaction, unspent)
        await transaction.commit()
        credit, _ = self.issuer.issue_unblinded(self.latest)
        return ((b"X-Refund", credit_format.encode_text(credit).encode()),)


@fault(id="router.refunds.sum", breaks=["RTR-064", "PAY-123"], trips=["router.refunds.repeated-amount"])
class Sum(Router):
    """Adds up the amounts that a node reports, each of which is within the payment."""

    def unspent(self, response: IncomingResponse, credit: Credit) -> CurrencyValue | None:
        lines = field_values(response.trailers, b"x-refund-amount")
        if len(lines) < 2:
            return super().unspent(response, credit)
        return currency.round_up(sum(currency.decode_text(line.decode("latin-1")).amount for line in lines))

    async def refund(self, transaction: Transaction, unspent: CurrencyValue | None) -> Fields:
        with without_check("credit.unspent.above-payment"):
            return await super().refund(transaction, unspent)
