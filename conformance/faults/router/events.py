"""Routers that misunderstand what nodes say."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from conformance.faults import fault
from conformance.faults.router.base import LenientRouter, PartsRouter
from openpcc_ref.errors import Rejected
from openpcc_ref.http1 import IncomingRequest
from openpcc_ref.protobuf import parse
from openpcc_ref.protobuf.router_pb2 import NodeEvent as EventMessage
from openpcc_ref.routing import NodeEvent, NodeTable, RoutingInfo, RoutingRejected, decode_event
from openpcc_ref.services.router import Router


@fault(id="router.events.anything", breaks=["RTR-081"], trips=["router.events.malformed"])
class Anything(LenientRouter):
    """Takes heartbeats without time, payload or tags, with any index and any URL."""

    without = (
        "routing.event.index",
        "routing.event.timestamp",
        "routing.event.payload",
        "routing.event.url",
        "routing.event.tags",
    )


@fault(id="router.events.any-identifier", breaks=["RTR-081", "RTR-031"], trips=["router.events.malformed"])
class AnyIdentifier(Router):
    """Takes events of identifiers of every kind."""

    async def answer_event(self, request: IncomingRequest, content: bytes) -> bytes:
        try:
            return await super().answer_event(request, content)
        except RoutingRejected as rejected:
            if not rejected.code.startswith("routing.node-id"):
                raise
            return b""


@fault(
    id="router.events.never-refused",
    breaks=["RTR-081", "RTR-005"],
    trips=["router.events.malformed", "router.events.random"],
    also=["router.events.long-tag", "router.interface.error-messages", "router.interface.event-content-type"],
)
class NeverRefused(Router):
    """Says 200 to events that it does not take."""

    async def answer_event(self, request: IncomingRequest, content: bytes) -> bytes:
        try:
            return await super().answer_event(request, content)
        except Rejected:
            return b""


@fault(id="router.events.shutdowns-unchecked", breaks=["RTR-081"], trips=["router.events.malformed"])
class ShutdownsUnchecked(PartsRouter):
    """Refuses malformed shutdowns, but heeds them."""

    async def answer_event(self, request: IncomingRequest, content: bytes) -> bytes:
        try:
            return await super().answer_event(request, content)
        except RoutingRejected:
            event = parse(EventMessage, content, RoutingRejected, "fault")
            if event.HasField("shutdown") and event.node_id in self.table._nodes:
                self.table.add_event(NodeEvent(event.node_id, 1 << 50, self.now(), shutdown=True))
            raise


@fault(id="router.events.index-required", breaks=["RTR-082"], trips=["router.events.missing-index"])
class IndexRequired(Router):
    """Refuses events without an index."""

    async def answer_event(self, request: IncomingRequest, content: bytes) -> bytes:
        decode_event(content)
        if not EventMessage.FromString(content).HasField("event_index"):
            raise RoutingRejected("routing.event.index", where="event_index", expected="an index")
        return await super().answer_event(request, content)


class _ByTime(NodeTable):
    """Orders events by their time stamps."""

    def __init__(self) -> None:
        super().__init__()
        self._latest: dict[str, float] = {}
        self._count = 0

    def add_event(self, event: NodeEvent) -> None:
        if event.at > self._latest.get(event.node_id, 0.0):
            self._latest[event.node_id] = event.at
            self._count += 1
            super().add_event(replace(event, index=self._count))


@fault(
    id="router.events.by-time",
    breaks=["RTR-083"],
    trips=["router.events.order"],
    also=["router.events.missing-index", "router.events.ages", "router.events.gap"],
)
class ByTime(PartsRouter):
    """Orders events by their time stamps."""

    table_class = _ByTime


class _ThirtyTwoBits(NodeTable):
    def add_event(self, event: NodeEvent) -> None:
        super().add_event(replace(event, index=event.index & 0xFFFFFFFF))


@fault(id="router.events.32-bits", breaks=["RTR-083"], trips=["router.events.large-index"])
class ThirtyTwoBits(PartsRouter):
    """Keeps the low 32 bits of indexes."""

    table_class = _ThirtyTwoBits


class _FloatingPoint(NodeTable):
    def add_event(self, event: NodeEvent) -> None:
        super().add_event(replace(event, index=int(float(event.index))))


@fault(id="router.events.floating-point", breaks=["RTR-083"], trips=["router.events.large-index"])
class FloatingPoint(PartsRouter):
    """Keeps indexes as floating-point numbers."""

    table_class = _FloatingPoint


class _NewerOnly(NodeTable):
    def __init__(self) -> None:
        super().__init__()
        self._highest: dict[str, int] = {}

    def add_event(self, event: NodeEvent) -> None:
        if event.index > self._highest.get(event.node_id, -1):
            self._highest[event.node_id] = event.index
            super().add_event(event)


@fault(id="router.events.gap-stays", breaks=["RTR-083"], trips=["router.events.gap"])
class GapStays(PartsRouter):
    """Ignores older events altogether."""

    table_class = _NewerOnly


class _LatestInfo(NodeTable):
    def add_event(self, event: NodeEvent) -> None:
        super().add_event(event)
        node = self._nodes[event.node_id]
        if event.routing_info is not None and event.index == node.state.last_index:
            node.state = replace(node.state, routing_info=event.routing_info)


@fault(id="router.events.latest-info", breaks=["RTR-084", "RTR-093"], trips=["router.events.first-info"])
class LatestInfo(PartsRouter):
    """Replaces routing info by that of later heartbeats."""

    table_class = _LatestInfo


@fault(
    id="router.events.counted",
    breaks=["RTR-093"],
    trips=["router.events.repeated"],
    also=["router.manifests.all-nodes"],
)
class Counted(Router):
    """Lists a node once for each heartbeat."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.heartbeats: dict[str, int] = {}

    async def answer_event(self, request: IncomingRequest, content: bytes) -> bytes:
        answer = await super().answer_event(request, content)
        node_id = decode_event(content).node_id
        self.heartbeats[node_id] = self.heartbeats.get(node_id, 0) + 1
        return answer

    def shuffled(self, nodes: list[tuple[str, RoutingInfo]]) -> list[tuple[str, RoutingInfo]]:
        return super().shuffled([row for row in nodes for _ in range(self.heartbeats[row[0]])])


class _Deathless(NodeTable):
    def add_event(self, event: NodeEvent) -> None:
        if not event.shutdown:
            super().add_event(event)


@fault(
    id="router.events.deathless",
    breaks=["RTR-085"],
    trips=["router.events.shutdown"],
    also=[
        "router.events.heartbeat-after-shutdown",
        "router.events.large-index",
        "router.events.missing-index",
        "router.events.order",
        "router.events.revival",
        "router.manifests.routable-only",
        "router.manifests.tags",
    ],
)
class Deathless(PartsRouter):
    """Does not heed shutdowns."""

    table_class = _Deathless


class _Forgetful(NodeTable):
    def add_event(self, event: NodeEvent) -> None:
        super().add_event(event)
        if self._nodes[event.node_id].state.shutdown_at is not None:
            del self._nodes[event.node_id]


@fault(
    id="router.events.forgetful",
    breaks=["RTR-086"],
    trips=["router.events.revival", "router.events.heartbeat-after-shutdown"],
)
class Forgetful(PartsRouter):
    """Forgets nodes that have shut down."""

    table_class = _Forgetful


class _Ageless(NodeTable):
    def _alive(self, node: Any, now: float) -> bool:
        return node.state.shutdown_at is None


@fault(id="router.events.ageless", breaks=["RTR-089"], trips=["router.events.too-old", "router.events.ages"])
class Ageless(PartsRouter):
    """Does not care how old the last event of a node is."""

    table_class = _Ageless
