"""Routers that list other nodes than they should, or sell their lists badly."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from google.protobuf.message import Message

from conformance.faults import fault
from conformance.faults.router.base import LenientRouter, PartsRouter
from openpcc_ref.credits import ATTESTATION, Credit, Transaction
from openpcc_ref.errors import Rejected
from openpcc_ref.http1 import IncomingRequest, Responder
from openpcc_ref.protobuf import parse
from openpcc_ref.protobuf.evidence_pb2 import SignedEvidenceList
from openpcc_ref.protobuf.router_pb2 import ComputeManifestRequest, NodeEvent
from openpcc_ref.routing import (
    Manifest,
    ManifestRequest,
    NodeTable,
    RoutingInfo,
    RoutingRejected,
    decode_event,
    decode_manifest_request,
    encode_manifests,
    select_manifests,
)
from openpcc_ref.services.nonce_lock_client import NonceLockUnavailable
from openpcc_ref.services.router import Refused, Router


class SelectingRouter(PartsRouter):
    """Lists what ``select`` says."""

    async def answer_manifests(self, request: IncomingRequest, content: bytes) -> bytes:
        self.require_media_type(request)
        query = decode_manifest_request(content)
        nodes = [Manifest(node_id, info.tags, info.evidence) for node_id, info in self.known().items()]
        return encode_manifests(self.select(query, nodes))

    def known(self) -> dict[str, RoutingInfo]:
        """Return the nodes to select from."""
        return self.routable()

    def select(self, query: ManifestRequest, nodes: list[Manifest]) -> tuple[Manifest, ...]:
        """Return what is listed."""
        return select_manifests(query, nodes)


@fault(
    id="router.manifests.no-tags-no-nodes",
    breaks=["RTR-018"],
    trips=["router.manifests.all-nodes"],
    also=[
        "router.events.first-info",
        "router.events.repeated",
        "router.manifests.evidence",
        "router.manifests.large-evidence",
        "router.manifests.limit",
        "router.manifests.unknown-evidence",
    ],
)
class NoTagsNoNodes(SelectingRouter):
    """Lists nothing for a query without tags."""

    def select(self, query: ManifestRequest, nodes: list[Manifest]) -> tuple[Manifest, ...]:
        return super().select(query, nodes) if query.tags else ()


@fault(id="router.manifests.any-tag", breaks=["RTR-017"], trips=["router.manifests.tags"])
class AnyTag(SelectingRouter):
    """Lists nodes that have one of the requested tags."""

    def select(self, query: ManifestRequest, nodes: list[Manifest]) -> tuple[Manifest, ...]:
        return tuple(node for node in nodes if not query.tags or query.tags & node.tags)[: query.limit]


@fault(
    id="router.manifests.generous",
    breaks=["RTR-016"],
    trips=["router.manifests.limit", "router.manifests.field-order"],
)
class Generous(SelectingRouter):
    """Lists all nodes as soon as one is asked for."""

    def select(self, query: ManifestRequest, nodes: list[Manifest]) -> tuple[Manifest, ...]:
        return super().select(replace(query, limit=500 if query.limit else 0), nodes)


@fault(id="router.manifests.zero-means-all", breaks=["RTR-015"], trips=["router.manifests.limit-zero"])
class ZeroMeansAll(SelectingRouter):
    """Takes the limit 0 for none."""

    def select(self, query: ManifestRequest, nodes: list[Manifest]) -> tuple[Manifest, ...]:
        return super().select(replace(query, limit=query.limit or 500), nodes)


@fault(
    id="router.manifests.any-limit",
    breaks=["RTR-014"],
    trips=["router.manifests.limit-range"],
    also=["router.tokens.malformed-query"],
)
class AnyLimit(LenientRouter):
    """Takes every limit."""

    without = ("routing.manifest-request.limit",)


@fault(
    id="router.manifests.any-tag-length",
    breaks=["RTR-095"],
    trips=["router.manifests.long-tag", "router.events.long-tag"],
)
class AnyTagLength(LenientRouter):
    """Takes tags of any length."""

    without = ("routing.tag.long",)


@fault(
    id="router.manifests.tags-by-character",
    breaks=["RTR-095"],
    trips=["router.manifests.long-tag"],
)
class TagsByCharacter(LenientRouter):
    """Counts the characters of the tags of a query, and not the bytes."""

    async def answer_manifests(self, request: IncomingRequest, content: bytes) -> bytes:
        message = parse(ComputeManifestRequest, content, RoutingRejected, "routing.manifest-request.malformed")
        short = [tag for tag in message.tags if not len(tag) <= 512 < len(tag.encode())]
        if len(short) < len(message.tags):
            content = ComputeManifestRequest(tags=short, limit=message.limit).SerializeToString()
        return await super().answer_manifests(request, content)


def _require_known(message: Message, content: bytes) -> None:
    if len(message.SerializeToString()) != len(content) or content[:1] not in (b"", b"\x0a", b"\x10"):
        raise RoutingRejected("fault.unknown-field", where="message", expected="known fields only")
    message.DiscardUnknownFields()
    if len(message.SerializeToString()) != len(content):
        raise RoutingRejected("fault.unknown-field", where="message", expected="known fields only")


@fault(
    id="router.manifests.known-fields-only",
    breaks=["RTR-008"],
    trips=["router.manifests.field-order", "router.events.field-order"],
)
class KnownFieldsOnly(Router):
    """Refuses messages with fields that it does not know."""

    async def answer_manifests(self, request: IncomingRequest, content: bytes) -> bytes:
        answer = await super().answer_manifests(request, content)
        _require_known(ComputeManifestRequest.FromString(content), content)
        return answer

    async def answer_event(self, request: IncomingRequest, content: bytes) -> bytes:
        decode_event(content)
        _require_known(NodeEvent.FromString(content), content)
        return await super().answer_event(request, content)


class EvidenceRouter(SelectingRouter):
    """Lists evidence as ``changed`` says."""

    def select(self, query: ManifestRequest, nodes: list[Manifest]) -> tuple[Manifest, ...]:
        return super().select(query, [replace(node, evidence=self.changed(node.evidence)) for node in nodes])

    def changed(self, evidence: bytes) -> bytes:
        """Return what becomes of a serialized list."""
        return evidence


@fault(id="router.manifests.sorted-evidence", breaks=["RTR-020"], trips=["router.manifests.evidence"])
class SortedEvidence(EvidenceRouter):
    """Sorts evidence by type."""

    def changed(self, evidence: bytes) -> bytes:
        pieces = sorted(SignedEvidenceList.FromString(evidence).items, key=lambda piece: piece.type)
        return SignedEvidenceList(items=pieces).SerializeToString()


@fault(id="router.manifests.zeroed-types", breaks=["RTR-020"], trips=["router.manifests.unknown-evidence"])
class ZeroedTypes(EvidenceRouter):
    """Turns types of evidence that it does not know into 0."""

    def changed(self, evidence: bytes) -> bytes:
        message = SignedEvidenceList.FromString(evidence)
        for piece in message.items:
            piece.type = piece.type if piece.type < 20 else 0
        return message.SerializeToString()


@fault(id="router.manifests.whoever-was-there", breaks=["RTR-019"], trips=["router.manifests.routable-only"])
class WhoeverWasThere(SelectingRouter):
    """Lists every node that it has ever heard of."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.heard_of: dict[str, RoutingInfo] = {}

    async def answer_event(self, request: IncomingRequest, content: bytes) -> bytes:
        answer = await super().answer_event(request, content)
        event = decode_event(content)
        if event.routing_info is not None:
            self.heard_of.setdefault(event.node_id, event.routing_info)
        return answer

    def known(self) -> dict[str, RoutingInfo]:
        return self.heard_of


@fault(id="router.manifests.small-events", breaks=["RTR-020"], trips=["router.manifests.large-evidence"])
class SmallEvents(Router):
    """Refuses events of more than 100 kB."""

    async def answer_event(self, request: IncomingRequest, content: bytes) -> bytes:
        if len(content) > 100_000:
            raise RoutingRejected("fault.size", where="event", expected="at most 100 kB")
        return await super().answer_event(request, content)


@fault(id="router.manifests.once-well", breaks=["RTR-019"], trips=["router.manifests.routable-only"])
class OnceWell(SelectingRouter):
    """Lists every node that was routable once."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.seen: dict[str, RoutingInfo] = {}

    def routable(self) -> dict[str, RoutingInfo]:
        routable = super().routable()
        self.seen |= routable
        return routable

    def known(self) -> dict[str, RoutingInfo]:
        return self.seen


class _Eager(NodeTable):
    def eager(self, now: float) -> dict[str, RoutingInfo]:
        """Return the nodes whose latest check succeeded."""
        return {
            node_id: node.state.routing_info
            for node_id, node in self._nodes.items()
            if node.state.routing_info is not None
            and self._alive(node, now)
            and node.history[-1:]
            and node.history[-1].healthy
        }


@fault(id="router.manifests.after-one-check", breaks=["RTR-019"], trips=["router.manifests.routable-only"])
class AfterOneCheck(SelectingRouter):
    """Lists nodes whose latest check succeeded, before requests may go to them."""

    table_class = _Eager

    def known(self) -> dict[str, RoutingInfo]:
        assert isinstance(self.table, _Eager)
        return self.table.eager(self.now())


@fault(
    id="router.tokens.not-needed",
    breaks=["RTR-010"],
    trips=["router.tokens.required"],
    also=["router.interface.error-messages"],
)
class NotNeeded(Router):
    """Answers queries without a token that decodes."""

    async def sell_manifests(self, request: IncomingRequest, responder: Responder) -> None:
        try:
            self.credit_of(request)
        except Refused:
            await self.send(responder, await self.answer(request))
            return
        await super().sell_manifests(request, responder)


class SellingRouter(PartsRouter):
    """Sells its lists step by step, as ``sell_manifests`` does."""

    async def sell_manifests(self, request: IncomingRequest, responder: Responder) -> None:
        token = self.token_of(request)
        transaction = await self.begin(token)
        answer = await self.answer(request)
        await self.send(responder, answer)
        await self.settle(transaction, delivered=self.is_spent(answer.status))

    def token_of(self, request: IncomingRequest) -> Credit:
        """Return the token."""
        token = self.credit_of(request)
        if token.value != ATTESTATION:
            raise Refused(400, "invalid credit value")
        return token

    def is_spent(self, status: int) -> bool:
        """Say whether a token is spent by an answer."""
        return True


@fault(id="router.tokens.any-value", breaks=["RTR-011", "PAY-120"], trips=["router.tokens.value"])
class AnyValue(SellingRouter):
    """Takes credits of every value for tokens."""

    def token_of(self, request: IncomingRequest) -> Credit:
        return self.credit_of(request)


@fault(id="router.tokens.ordinary-zero", breaks=["RTR-011", "PAY-120"], trips=["router.tokens.value"])
class OrdinaryZero(SellingRouter):
    """Takes a credit of nothing for a token."""

    def token_of(self, request: IncomingRequest) -> Credit:
        token = self.credit_of(request)
        return super().token_of(request) if token.value.code else token


@fault(
    id="router.tokens.returned",
    breaks=["RTR-013", "PAY-121"],
    trips=["router.tokens.consumed", "router.tokens.malformed-query"],
    also=["router.tokens.once"],
)
class Returned(SellingRouter):
    """Releases tokens after the query."""

    def is_spent(self, status: int) -> bool:
        return False


@fault(id="router.tokens.returned-for-nonsense", breaks=["RTR-013"], trips=["router.tokens.malformed-query"])
class ReturnedForNonsense(SellingRouter):
    """Releases the token of a query that it refuses."""

    def is_spent(self, status: int) -> bool:
        return status == 200


@fault(
    id="router.tokens.only-looked-at",
    breaks=["RTR-012", "RTR-013"],
    trips=["router.tokens.lock-first", "router.tokens.once", "router.tokens.consumed", "router.tokens.malformed-query"],
    also=["router.tokens.lock-fails"],
)
class OnlyLookedAt(SellingRouter):
    """Verifies tokens and never asks the nonce lock."""

    async def sell_manifests(self, request: IncomingRequest, responder: Responder) -> None:
        try:
            self.issuer.verify(self.token_of(request))
        except Rejected as rejected:
            raise Refused(400, "unprocessable credit") from rejected
        await self.send(responder, await self.answer(request))


@fault(
    id="router.tokens.locked-first",
    breaks=["RTR-012", "RTR-038", "PAY-109"],
    trips=["router.tokens.signature", "router.requests.forged-credit"],
)
class LockedFirst(PartsRouter):
    """Locks the nonce before it verifies the credit."""

    async def begin(self, credit: Credit) -> Transaction:
        try:
            ticket = await self.nonce_lock.lock(credit.nonce)
        except (Rejected, NonceLockUnavailable) as failure:
            raise Refused(400, "unprocessable credit") from failure
        transaction = Transaction(self.issuer, self.nonce_lock, credit, ticket)
        try:
            self.issuer.verify(credit)
        except Rejected as rejected:
            await transaction.rollback()
            raise Refused(400, "unprocessable credit") from rejected
        return transaction


@fault(
    id="router.tokens.never-verified",
    breaks=["RTR-038", "PAY-034"],
    trips=["router.tokens.signature", "router.requests.forged-credit"],
    also=["router.requests.any-salt", "router.requests.large-signature"],
)
class NeverVerified(PartsRouter):
    """Takes whatever the nonce lock knows nothing of."""

    async def begin(self, credit: Credit) -> Transaction:
        try:
            ticket = await self.nonce_lock.lock(credit.nonce)
        except (Rejected, NonceLockUnavailable) as failure:
            raise Refused(400, "unprocessable credit") from failure
        return Transaction(self.issuer, self.nonce_lock, credit, ticket)
