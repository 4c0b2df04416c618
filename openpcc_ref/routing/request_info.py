"""The candidates of one compute request, in the field ``X-Routing-Info``. Requirements: RTR-030 to RTR-033."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from openpcc_ref.base64_text import from_text, to_text
from openpcc_ref.protobuf import parse, router_pb2
from openpcc_ref.routing.errors import RoutingRejected, require_routing
from openpcc_ref.routing.node_id import decode_node_id


@dataclass(frozen=True, slots=True)
class Candidate:
    """A node that may answer, and the request's key encapsulated for it."""

    node_id: str
    encapsulated_key: bytes


def encode_request_info(candidates: Sequence[Candidate]) -> str:
    """Return the value of ``X-Routing-Info``. Requirements: RTR-030, RTR-032. Raises ValueError without a candidate."""
    if not candidates:
        raise ValueError("a request has at least one candidate")
    rows = [
        router_pb2.ComputeCandidate(id=candidate.node_id, encapsulated_key=candidate.encapsulated_key)
        for candidate in candidates
    ]
    return to_text(router_pb2.ComputeRequestInfo(candidates=rows).SerializeToString())


def decode_request_info(text: str) -> tuple[Candidate, ...]:
    """Return the candidates in a value of ``X-Routing-Info``; one bad candidate spoils all.

    Requirements: RTR-031, RTR-032. Raises :class:`RoutingRejected` with ``routing.request-info.base64``,
    ``….malformed``, ``….empty`` or ``….encapsulated-key``, and as :func:`~openpcc_ref.routing.decode_node_id` does.
    """
    data = from_text(text, RoutingRejected, "routing.request-info.base64")
    message = parse(router_pb2.ComputeRequestInfo, data, RoutingRejected, "routing.request-info.malformed")
    require_routing(bool(message.candidates), "request-info.empty", "candidates", "at least one candidate")
    candidates = []
    for number, row in enumerate(message.candidates):
        where = f"candidate {number}"
        node_id = decode_node_id(row.id, where)
        require_routing(bool(row.encapsulated_key), "request-info.encapsulated-key", where, "an encapsulated key")
        candidates.append(Candidate(node_id, row.encapsulated_key))
    return tuple(candidates)
