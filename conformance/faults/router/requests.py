"""Routers that forward what they should refuse, refuse what they should forward, or choose badly."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from conformance.faults import fault
from conformance.faults.router.base import LenientRouter, PartsRouter, ProxyingRouter
from openpcc_ref.base64_text import from_text
from openpcc_ref.credits import Credit, Transaction, blind_rsa, pss
from openpcc_ref.errors import Rejected
from openpcc_ref.http1 import IncomingRequest, IncomingResponse, Responder, field_value
from openpcc_ref.protobuf.credit_pb2 import Credit as CreditMessage
from openpcc_ref.protobuf.router_pb2 import ComputeRequestInfo
from openpcc_ref.routing import Candidate, RoutingInfo, RoutingRejected, decode_node_id, pick_candidate, uniform_index
from openpcc_ref.services.forwarding import Upstream, UpstreamFailed, open_upstream, path_of
from openpcc_ref.services.nonce_lock_client import NonceLockUnavailable
from openpcc_ref.services.router import Proxied, Refused, Router


@fault(id="router.requests.skips-bad-candidates", breaks=["RTR-031"], trips=["router.requests.routing-info"])
class SkipsBadCandidates(Router):
    """Leaves out candidates that it cannot use, and takes the others."""

    def candidates_of(self, request: IncomingRequest) -> tuple[Candidate, ...]:
        text = (field_value(request.fields, b"x-routing-info") or b"").decode("latin-1")
        try:
            rows = ComputeRequestInfo.FromString(from_text(text, RoutingRejected, "fault")).candidates
        except Exception as error:
            raise Refused(400, "invalid routing info") from error
        usable = []
        for row in rows:
            try:
                usable.append(Candidate(decode_node_id(row.id), row.encapsulated_key))
            except Rejected:
                continue
        if not usable:
            raise Refused(400, "no candidate")
        return tuple(usable)


@fault(
    id="router.requests.old-keys",
    breaks=["RTR-032"],
    trips=["router.requests.unused-fields"],
)
class OldKeys(Router):
    """Prefers the key in a field that is out of use."""

    def candidates_of(self, request: IncomingRequest) -> tuple[Candidate, ...]:
        candidates = super().candidates_of(request)
        data = from_text((field_value(request.fields, b"x-routing-info") or b"").decode(), RoutingRejected, "fault")
        return (Candidate(candidates[0].node_id, b"other"),) if b"\x12\x05other" in data else candidates


@fault(id="router.requests.few-candidates", breaks=["RTR-033"], trips=["router.requests.ten-candidates"])
class FewCandidates(Router):
    """Refuses more than five candidates."""

    def candidates_of(self, request: IncomingRequest) -> tuple[Candidate, ...]:
        candidates = super().candidates_of(request)
        if len(candidates) > 5:
            raise Refused(400, "too many candidates")
        return candidates


@fault(
    id="router.requests.special-money",
    breaks=["RTR-035", "PAY-122"],
    trips=["router.requests.special-value"],
    also=["router.refunds.special"],
)
class SpecialMoney(LenientRouter):
    """Takes special values for the amounts that they would be without being special."""

    without = ("currency.amount.special",)

    def payment_of(self, request: IncomingRequest) -> Credit:
        return self.credit_of(request)


@fault(
    id="router.requests.blames-itself",
    breaks=["RTR-039", "RTR-010"],
    trips=["router.requests.malformed-credit", "router.requests.random-fields"],
    also=["router.tokens.required", "router.requests.long-value", "router.responses.no-node-id"],
)
class BlamesItself(Router):
    """Answers 500 to credits that do not decode."""

    def credit_of(self, request: IncomingRequest) -> Credit:
        try:
            return super().credit_of(request)
        except Refused as refusal:
            raise Refused(500, "internal server error") from refusal


class _Unlocked(Transaction):
    """A transaction that never asks the nonce lock."""

    async def commit(self) -> None:
        return

    async def rollback(self) -> None:
        return


@fault(
    id="router.requests.lock-ignored",
    breaks=["RTR-039", "RTR-040", "PAY-100"],
    trips=["router.requests.lock-refused", "router.requests.spent-once", "router.requests.simultaneous"],
    also=[
        "router.requests.lock-fails",
        "router.requests.nanos",
        "router.tokens.lock-first",
        "router.tokens.consumed",
        "router.tokens.once",
    ],
)
class LockIgnored(PartsRouter):
    """Asks the nonce lock, and goes on whatever it says."""

    async def begin(self, credit: Credit) -> Transaction:
        try:
            self.issuer.verify(credit)
        except Rejected as rejected:
            raise Refused(400, "unprocessable credit") from rejected
        try:
            ticket = await self.nonce_lock.lock(credit.nonce)
        except (Rejected, NonceLockUnavailable):
            return _Unlocked(self.issuer, self.nonce_lock, credit, "")
        return Transaction(self.issuer, self.nonce_lock, credit, ticket)


class _Late(Transaction):
    """A transaction that locks when it commits."""

    def __init__(self, parts: PartsRouter, credit: Credit) -> None:
        super().__init__(parts.issuer, parts.nonce_lock, credit, "")
        self._parts = parts

    async def commit(self) -> None:
        self._ticket = await self._parts.nonce_lock.lock(self.credit.nonce)
        await super().commit()

    async def rollback(self) -> None:
        return


@fault(
    id="router.requests.locked-late",
    breaks=["RTR-038", "RTR-039", "RTR-040"],
    trips=[
        "router.requests.lock-first",
        "router.requests.lock-refused",
        "router.requests.simultaneous",
        "router.requests.spent-once",
    ],
    also=[
        "router.requests.lock-fails",
        "router.requests.nanos",
        "router.settlement.not-before",
        "router.tokens.lock-first",
        "router.tokens.consumed",
        "router.tokens.malformed-query",
        "router.tokens.once",
        "router.refunds.after-consumption",
    ],
)
class LockedLate(PartsRouter):
    """Locks the nonce when the response is over, to consume it at once."""

    async def begin(self, credit: Credit) -> Transaction:
        try:
            self.issuer.verify(credit)
        except Rejected as rejected:
            raise Refused(400, "unprocessable credit") from rejected
        return _Late(self, credit)


@fault(id="router.requests.locked-before-choice", breaks=["RTR-036"], trips=["router.requests.none-routable"])
class LockedBeforeChoice(Router):
    """Locks the nonce before it looks for a node, and releases it when there is none."""

    async def compute(self, request: IncomingRequest, responder: Responder) -> None:
        candidates = self.candidates_of(request)
        credit = self.payment_of(request)
        transaction = await self.begin(credit)
        routable = self.routable()
        candidate = self.pick(candidates, routable)
        if candidate is None:
            await transaction.rollback()
            raise Refused(404, "all candidate nodes unavailable")
        await self.proxied(request, responder, candidate, routable[candidate.node_id], transaction).run()


@fault(id="router.requests.zero-salt-only", breaks=["PAY-047"], trips=["router.requests.any-salt"])
class ZeroSaltOnly(PartsRouter):
    """Takes only credits with a salt of zeros."""

    async def begin(self, credit: Credit) -> Transaction:
        try:
            found = self.issuer.verify(credit)
        except Rejected as rejected:
            raise Refused(400, "unprocessable credit") from rejected
        bits = self.issuer.key.bits
        if found.encoded_message != pss.encode(found.framed_message, bits - 1, blind_rsa.ZERO_SALT):
            raise Refused(400, "unprocessable credit")
        return await super().begin(credit)


@fault(id="router.requests.short-salt", breaks=["PAY-047"], trips=["router.requests.any-salt"])
class ShortSalt(PartsRouter):
    """Takes salts of 32 bytes, too."""

    async def begin(self, credit: Credit) -> Transaction:
        key = self.issuer.key
        framed = blind_rsa.frame(credit.nonce.blind_bytes, credit.value.blind_bytes)
        exponent = blind_rsa.derive_exponent(key, credit.value.blind_bytes)
        number = pow(int.from_bytes(credit.signature, "big"), exponent, key.modulus)
        bits = key.bits - 1
        if pss.verify(framed, number.to_bytes((bits + 7) // 8, "big"), bits, 32):
            ticket = await self.nonce_lock.lock(credit.nonce)
            return Transaction(self.issuer, self.nonce_lock, credit, ticket)
        return await super().begin(credit)


@fault(id="router.requests.any-number", breaks=["PAY-054"], trips=["router.requests.large-signature"])
class AnyNumber(LenientRouter):
    """Takes signatures above the modulus."""

    without = ("blind-rsa.signature.range",)


@fault(id="router.requests.any-length", breaks=["PAY-004"], trips=["router.requests.long-value"])
class AnyLength(LenientRouter):
    """Ignores what follows the two bytes of a value."""

    without = ("currency.bytes.trailing",)


@fault(id="router.requests.whole-seconds", breaks=["PAY-027"], trips=["router.requests.nanos"])
class WholeSeconds(Router):
    """Refuses nonces with fractions of seconds."""

    def credit_of(self, request: IncomingRequest) -> Credit:
        credit = super().credit_of(request)
        text = (field_value(request.fields, b"x-credit") or b"").decode("latin-1")
        if CreditMessage.FromString(from_text(text, RoutingRejected, "fault")).nonce.timestamp.nanos:
            raise Refused(400, "invalid credit")
        return credit


# -- the choice ------------------------------------------------------------------------------------------------------


@fault(
    id="router.choice.first",
    breaks=["RTR-037"],
    trips=["router.choice.uniform", "router.choice.every-place", "router.choice.not-steered"],
    also=["router.choice.same-connection"],
)
class First(Router):
    """Takes the first routable candidate."""

    def pick(self, candidates: tuple[Candidate, ...], routable: Mapping[str, RoutingInfo]) -> Candidate | None:
        return next((candidate for candidate in candidates if candidate.node_id in routable), None)


@fault(id="router.choice.turns", breaks=["RTR-037"], trips=["router.choice.uniform"])
class Turns(Router):
    """Takes the candidates in turn."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.turn = 0

    def pick(self, candidates: tuple[Candidate, ...], routable: Mapping[str, RoutingInfo]) -> Candidate | None:
        self.turn += 1
        eligible = [candidate for candidate in candidates if candidate.node_id in routable]
        return eligible[self.turn % len(eligible)] if eligible else None


@fault(id="router.choice.favourite", breaks=["RTR-037"], trips=["router.choice.uniform"])
class Favourite(Router):
    """Gives the first candidate three of five requests."""

    def pick(self, candidates: tuple[Candidate, ...], routable: Mapping[str, RoutingInfo]) -> Candidate | None:
        eligible = [candidate for candidate in candidates if candidate.node_id in routable]
        if len(eligible) == 3 and uniform_index(5, self.random) < 2:
            return eligible[0]
        return pick_candidate(candidates, routable, random=self.random)


@fault(id="router.choice.by-hash", breaks=["RTR-037"], trips=["router.choice.not-steered"])
class ByHash(Router):
    """Computes the choice from the candidates and their keys."""

    def pick(self, candidates: tuple[Candidate, ...], routable: Mapping[str, RoutingInfo]) -> Candidate | None:
        eligible = [candidate for candidate in candidates if candidate.node_id in routable]
        number = int.from_bytes(sha256(repr(eligible).encode()).digest(), "big")
        return eligible[number % len(eligible)] if eligible else None


@fault(
    id="router.choice.spreads-load",
    breaks=["RTR-037"],
    trips=["router.choice.only-candidates"],
    also=["router.events.shutdown", "router.robustness.slow-node"],
)
class SpreadsLoad(Router):
    """Gives a node at most four requests in a row, and then one to a node that was not asked for."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.last = ("", 0)

    def pick(self, candidates: tuple[Candidate, ...], routable: Mapping[str, RoutingInfo]) -> Candidate | None:
        picked = super().pick(candidates, routable)
        if picked is None:
            return None
        node_id, times = self.last
        self.last = (picked.node_id, times + 1 if node_id == picked.node_id else 1)
        if self.last[1] <= 4:
            return picked
        others = [other for other in routable if other != picked.node_id]
        return Candidate(others[0], picked.encapsulated_key) if others else picked


@fault(
    id="router.choice.all-or-none",
    breaks=["RTR-036"],
    trips=["router.choice.routable-candidate"],
    also=["router.requests.ten-candidates", "router.events.shutdown"],
)
class AllOrNone(Router):
    """Wants all candidates to be routable."""

    def pick(self, candidates: tuple[Candidate, ...], routable: Mapping[str, RoutingInfo]) -> Candidate | None:
        whole = all(candidate.node_id in routable for candidate in candidates)
        return super().pick(candidates, routable) if whole else None


class _Retrying(Proxied):
    """Asks another candidate when the first cannot be reached."""

    async def exchange(self) -> None:
        try:
            await super().exchange()
        except UpstreamFailed:
            routable = self.router.routable()
            others = [
                candidate
                for candidate in self.router.candidates_of(self.request)
                if candidate.node_id in routable and candidate.node_id != self.candidate.node_id
            ]
            if self.responder.started or not others:
                raise
            self.candidate, self.node = others[0], routable[others[0].node_id]
            await super().exchange()


@fault(id="router.choice.goes-on", breaks=["RTR-072"], trips=["router.settlement.one-node-only"])
class GoesOn(ProxyingRouter):
    """Goes on to another candidate when a node cannot be reached."""

    proxied_class = _Retrying


class _Answered(Upstream):
    """A node whose response head is known already."""

    def __init__(self, node: Upstream, response: IncomingResponse) -> None:
        super().__init__(node._connection)
        self._response = response

    async def response(self) -> IncomingResponse:
        return self._response


class _AskingAgain(Proxied):
    """Asks the node once more when it has said that it failed."""

    async def forward_response(self, node: Upstream) -> None:
        response = await node.response()
        if response.status >= 500:
            async with open_upstream(self.node.url, self.router.step_s) as again:
                await again.send_head(b"POST", path_of(self.node.url), ((b"content-length", b"0"),))
                await again.finish()
                await again.response()
        await super().forward_response(_Answered(node, response))


@fault(id="router.choice.asks-again", breaks=["RTR-072"], trips=["router.choice.one-node"])
class AsksAgain(ProxyingRouter):
    """Asks a node once more that has answered with a failure."""

    proxied_class = _AskingAgain
