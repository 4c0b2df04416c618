"""Routing: manifests, candidates, node events, and the choice of a node. Chapter: ``spec/routing.md``.

``request_info`` and ``manifests`` are what clients say to the router, ``node_events`` what nodes say; ``health`` and
``node_table`` decide which nodes are routable, ``selection`` which one gets a request; ``ring`` divides the work of a
cluster.
"""

from openpcc_ref.routing.errors import RoutingRejected
from openpcc_ref.routing.health import Check, Grade, Grading, is_healthy
from openpcc_ref.routing.manifests import (
    MAX_LIMIT,
    Manifest,
    ManifestRequest,
    decode_manifest_request,
    decode_manifests,
    encode_manifest_request,
    encode_manifests,
    select_manifests,
)
from openpcc_ref.routing.node_events import NodeEvent, RoutingInfo, decode_event, encode_event
from openpcc_ref.routing.node_id import decode_node_id, make_node_id
from openpcc_ref.routing.node_table import NodeState, NodeTable, merge_event, merge_states
from openpcc_ref.routing.refund_amount import decode_refund_amount
from openpcc_ref.routing.request_info import Candidate, decode_request_info, encode_request_info
from openpcc_ref.routing.selection import pick_candidate, uniform_index

__all__ = [
    "MAX_LIMIT",
    "Candidate",
    "Check",
    "Grade",
    "Grading",
    "Manifest",
    "ManifestRequest",
    "NodeEvent",
    "NodeState",
    "NodeTable",
    "RoutingInfo",
    "RoutingRejected",
    "decode_event",
    "decode_manifest_request",
    "decode_manifests",
    "decode_node_id",
    "decode_refund_amount",
    "decode_request_info",
    "encode_event",
    "encode_manifest_request",
    "encode_manifests",
    "encode_request_info",
    "is_healthy",
    "make_node_id",
    "merge_event",
    "merge_states",
    "pick_candidate",
    "select_manifests",
    "uniform_index",
]
