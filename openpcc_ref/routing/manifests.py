"""Compute manifests: which nodes there are, with the evidence a client verifies. Requirements: RTR-014 to RTR-021."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from openpcc_ref.errors import Rejected
from openpcc_ref.protobuf import evidence_pb2, parse, router_pb2
from openpcc_ref.routing.errors import RoutingRejected, require_routing
from openpcc_ref.routing.node_id import decode_node_id
from openpcc_ref.routing.tags import decode_tags

MAX_LIMIT = 500
"""How many manifests may be asked for. Requirements: RTR-014."""


@dataclass(frozen=True, slots=True)
class ManifestRequest:
    """Which nodes a client asks for: those with all the tags, ``limit`` of them at most."""

    tags: frozenset[str]
    limit: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """One node. ``evidence`` is the serialized list as the node sent it. Requirements: RTR-020."""

    node_id: str
    tags: frozenset[str]
    evidence: bytes


def encode_manifest_request(request: ManifestRequest) -> bytes:
    """Return the serialized request, its limit written also when it is 0. Requirements: RTR-007."""
    return router_pb2.ComputeManifestRequest(tags=sorted(request.tags), limit=request.limit).SerializeToString()


def decode_manifest_request(data: bytes) -> ManifestRequest:
    """Return the request of a serialized message; an absent limit is 0. Requirements: RTR-014, RTR-015, RTR-095.

    Raises :class:`RoutingRejected` with ``routing.manifest-request.malformed``, ``routing.manifest-request.limit`` or
    ``routing.tag.long``.
    """
    message = parse(router_pb2.ComputeManifestRequest, data, RoutingRejected, "routing.manifest-request.malformed")
    in_range = 0 <= message.limit <= MAX_LIMIT
    require_routing(in_range, "manifest-request.limit", "limit", f"0 to {MAX_LIMIT}")
    return ManifestRequest(decode_tags(message.tags, "tags"), message.limit)


def encode_manifests(manifests: Iterable[Manifest]) -> bytes:
    """Return the serialized list; nothing for an empty one. Requirements: RTR-020."""
    rows = [
        router_pb2.ComputeManifest(
            id=manifest.node_id,
            tags=sorted(manifest.tags),
            evidence=evidence_pb2.SignedEvidenceList.FromString(manifest.evidence),
        )
        for manifest in manifests
    ]
    return router_pb2.ComputeManifestList(items=rows).SerializeToString()


def decode_manifests(data: bytes) -> tuple[tuple[Manifest, ...], tuple[Rejected, ...]]:
    """Return the usable manifests of a list and why each of the others is not. Requirements: RTR-021.

    Raises :class:`RoutingRejected` with ``routing.manifests.malformed``.
    """
    message = parse(router_pb2.ComputeManifestList, data, RoutingRejected, "routing.manifests.malformed")
    usable, refusals = [], []
    for number, row in enumerate(message.items):
        try:
            usable.append(_manifest(row, f"manifest {number}"))
        except RoutingRejected as rejected:
            refusals.append(rejected)
    return tuple(usable), tuple(refusals)


def select_manifests(request: ManifestRequest, nodes: Sequence[Manifest]) -> tuple[Manifest, ...]:
    """Return the first ``limit`` nodes that have all requested tags. Requirements: RTR-015 to RTR-018."""
    return tuple(node for node in nodes if request.tags <= node.tags)[: request.limit]


def _manifest(row: router_pb2.ComputeManifest, where: str) -> Manifest:
    node_id = decode_node_id(row.id, where)
    require_routing(bool(row.tags), "manifest.tags", where, "at least one tag")
    return Manifest(node_id, decode_tags(row.tags, where), row.evidence.SerializeToString())
