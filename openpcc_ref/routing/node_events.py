"""Node events: heartbeats and shutdowns that nodes send to their router. Requirements: RTR-081 to RTR-088."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from openpcc_ref.protobuf import evidence_pb2, parse, router_pb2
from openpcc_ref.routing.errors import RoutingRejected, require_routing
from openpcc_ref.routing.node_id import decode_node_id
from openpcc_ref.routing.tags import decode_tags

_NANOSECONDS = 10**9


@dataclass(frozen=True, slots=True)
class RoutingInfo:
    """Where a node is, what it serves, and its evidence as serialized by the node."""

    url: str
    healthcheck_url: str
    tags: frozenset[str]
    evidence: bytes


@dataclass(frozen=True, slots=True)
class NodeEvent:
    """One event of a node; without ``routing_info`` a heartbeat only shows that the node is alive."""

    node_id: str
    index: int
    at: float
    """The node's clock, in Unix seconds."""
    shutdown: bool = False
    routing_info: RoutingInfo | None = None


def encode_event(event: NodeEvent) -> bytes:
    """Return the serialized event; index 0 is written. Requirements: RTR-007, RTR-087, RTR-088."""
    message = router_pb2.NodeEvent(node_id=event.node_id, event_index=event.index)
    nanoseconds = round(event.at * _NANOSECONDS)
    message.timestamp.seconds, nanos = divmod(nanoseconds, _NANOSECONDS)
    if nanos:
        message.timestamp.nanos = nanos
    if event.shutdown:
        message.shutdown.SetInParent()
    elif event.routing_info is not None:
        info = event.routing_info
        message.heartbeat.routing_info.CopyFrom(
            router_pb2.RoutingInfo(
                url=info.url,
                healthcheck_url=info.healthcheck_url,
                tags=sorted(info.tags),
                evidence=evidence_pb2.SignedEvidenceList.FromString(info.evidence),
            )
        )
    else:
        raise ValueError("a heartbeat carries routing info")
    return message.SerializeToString()


def decode_event(data: bytes) -> NodeEvent:
    """Return the event of a serialized message. Requirements: RTR-081, RTR-082, RTR-095.

    Raises :class:`RoutingRejected` with ``routing.event.malformed``, ``….index``, ``….timestamp``, ``….payload``,
    ``….url`` or ``….tags``, with ``routing.tag.long``, and as :func:`~openpcc_ref.routing.decode_node_id` does.
    """
    message = parse(router_pb2.NodeEvent, data, RoutingRejected, "routing.event.malformed")
    node_id = decode_node_id(message.node_id)
    require_routing(message.event_index >= 0, "event.index", "event_index", "at least 0")
    require_routing(message.HasField("timestamp"), "event.timestamp", "timestamp", "a time stamp")
    at = message.timestamp.seconds + message.timestamp.nanos / _NANOSECONDS
    payload = message.WhichOneof("payload")
    require_routing(payload is not None, "event.payload", "payload", "a heartbeat or a shutdown")
    if payload != "heartbeat":
        return NodeEvent(node_id, message.event_index, at, shutdown=True)
    heartbeat = message.heartbeat
    kind = heartbeat.WhichOneof("payload")
    require_routing(kind is not None, "event.payload", "heartbeat", "routing info or its URL")
    if kind == "routing_info":
        return NodeEvent(node_id, message.event_index, at, routing_info=_routing_info(heartbeat.routing_info))
    if kind == "routing_info_url":
        _require_absolute(heartbeat.routing_info_url, "routing_info_url")
    return NodeEvent(node_id, message.event_index, at)


def _routing_info(message: router_pb2.RoutingInfo) -> RoutingInfo:
    _require_absolute(message.url, "url")
    _require_absolute(message.healthcheck_url, "healthcheck_url")
    require_routing(bool(message.tags), "event.tags", "tags", "at least one tag")
    tags = decode_tags(message.tags, "tags")
    return RoutingInfo(message.url, message.healthcheck_url, tags, message.evidence.SerializeToString())


def _require_absolute(url: str, where: str) -> None:
    try:
        parts = urlsplit(url)
        absolute = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        absolute = False
    require_routing(absolute, "event.url", where, "an absolute http or https URL")
