"""Routing as operations. Chapter: ``spec/routing.md``. Times are Unix seconds."""

from __future__ import annotations

from typing import Any

from conformance.operations import operation
from conformance.vectors.case import Json
from openpcc_ref.routing import (
    Candidate,
    Check,
    Grading,
    Manifest,
    NodeEvent,
    NodeState,
    RoutingInfo,
    decode_event,
    decode_manifest_request,
    decode_manifests,
    decode_node_id,
    decode_request_info,
    encode_event,
    encode_manifests,
    encode_request_info,
    merge_event,
    pick_candidate,
    ring,
)


@operation("routing.decode-node-id")
def node_id(value: Json) -> Json:
    """Decode the text of a node identifier."""
    return {"node_id": decode_node_id(value["text"])}


@operation("routing.encode-request-info")
def encode_info(value: Json) -> Json:
    """Encode candidates into a value of ``X-Routing-Info``."""
    return {"text": encode_request_info([_candidate(row) for row in value["candidates"]])}


@operation("routing.decode-request-info")
def decode_info(value: Json) -> Json:
    """Decode a value of ``X-Routing-Info``."""
    rows = decode_request_info(value["text"])
    return {"candidates": [{"id": row.node_id, "encapsulated_key": row.encapsulated_key.hex()} for row in rows]}


@operation("routing.pick-candidate")
def pick(value: Json) -> Json:
    """Pick a candidate with the given randomness, eight octets a draw; null when none is routable."""
    drawn = iter([bytes.fromhex(draw) for draw in value["draws"]])
    candidates = [_candidate(row) for row in value["candidates"]]
    picked = pick_candidate(candidates, value["routable"], random=lambda length: next(drawn)[:length])
    return {
        "id": picked.node_id if picked else None,
        "encapsulated_key": picked.encapsulated_key.hex() if picked else None,
    }


@operation("routing.decode-manifest-request")
def manifest_request(value: Json) -> Json:
    """Decode a query for manifests."""
    request = decode_manifest_request(bytes.fromhex(value["message"]))
    return {"tags": sorted(request.tags), "limit": request.limit}


@operation("routing.encode-manifests")
def encode_list(value: Json) -> Json:
    """Encode a list of manifests."""
    rows = [Manifest(row["id"], frozenset(row["tags"]), bytes.fromhex(row["evidence"])) for row in value["manifests"]]
    return {"message": encode_manifests(rows).hex()}


@operation("routing.decode-manifests")
def decode_list(value: Json) -> Json:
    """Decode a list of manifests as a client does: usable ones, and why the others are not."""
    usable, refusals = decode_manifests(bytes.fromhex(value["message"]))
    rows = [{"id": row.node_id, "tags": sorted(row.tags), "evidence": row.evidence.hex()} for row in usable]
    return {"manifests": rows, "refused": [refusal.code for refusal in refusals]}


@operation("routing.encode-event")
def encode_node_event(value: Json) -> Json:
    """Encode a node event."""
    return {"message": encode_event(_event(value["event"])).hex()}


@operation("routing.decode-event")
def decode_node_event(value: Json) -> Json:
    """Decode a node event."""
    return {"event": _event_row(decode_event(bytes.fromhex(value["message"])))}


@operation("routing.merge-events")
def merge(value: Json) -> Json:
    """Return what the events of one node add up to, in the order in which they arrive."""
    state: NodeState | None = None
    for message in value["messages"]:
        state = merge_event(state, decode_event(bytes.fromhex(message)))
    if state is None:
        raise ValueError("at least one event")
    url = state.routing_info.url if state.routing_info else None
    return {
        "last_index": state.last_index,
        "last_at": state.last_at,
        "url": url,
        "shut_down": state.shutdown_at is not None,
    }


@operation("routing.grade")
def grade(value: Json) -> Json:
    """Grade a history of health checks, oldest first."""
    history = [Check(row["at"], row["healthy"]) for row in value["checks"]]
    return {"grade": Grading(**value["grading"]).grade(history, value["now"])}


@operation("routing.assign-nodes")
def assign(value: Json) -> Json:
    """Return the owner of each node in a cluster of routers."""
    assigned = ring.owners(value["routers"], value["nodes"])
    return {"owners": [assigned[node] for node in value["nodes"]]}


def _candidate(row: Json) -> Candidate:
    return Candidate(row["id"], bytes.fromhex(row["encapsulated_key"]))


def _event(row: Json) -> NodeEvent:
    info = row["routing_info"]
    return NodeEvent(
        row["node_id"],
        row["index"],
        row["at"],
        row["shutdown"],
        RoutingInfo(info["url"], info["healthcheck_url"], frozenset(info["tags"]), bytes.fromhex(info["evidence"]))
        if info
        else None,
    )


def _event_row(event: NodeEvent) -> dict[str, Any]:
    info = event.routing_info
    return {
        "node_id": event.node_id,
        "index": event.index,
        "at": event.at,
        "shutdown": event.shutdown,
        "routing_info": {
            "url": info.url,
            "healthcheck_url": info.healthcheck_url,
            "tags": sorted(info.tags),
            "evidence": info.evidence.hex(),
        }
        if info
        else None,
    }
