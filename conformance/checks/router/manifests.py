"""Manifests: what is listed for which query."""

from __future__ import annotations

import anyio

from conformance.peers.router_case import Reply, RouterCase
from conformance.peers.router_nodes import ENOUGH_CHECKS, EVIDENCE, OLD_S, now
from conformance.registry import check
from conformance.verdicts import expect
from openpcc_ref.protobuf.evidence_pb2 import SignedEvidenceList, SignedEvidencePiece
from openpcc_ref.protobuf.router_pb2 import ComputeManifestList, ComputeManifestRequest
from openpcc_ref.routing import ManifestRequest, encode_manifest_request

ANY = encode_manifest_request(ManifestRequest(frozenset(), 500))


@check(
    id="router.manifests.all-nodes",
    requirements=["RTR-018"],
    title="A query without tags lists every node",
)
async def all_nodes(case: RouterCase) -> None:
    """All nodes of the run are routable. A query without tags must list each of them once, with its tags."""
    rows = (await case.listed()).items
    listed = {manifest.id: frozenset(manifest.tags) for manifest in rows}
    expect(len(listed) == len(rows), expected="each node once", observed=f"{len(rows)} rows of {len(listed)} nodes")
    for node in case.nodes:
        seen = sorted(listed[node.id]) if node.id in listed else "no such row"
        expect(
            listed.get(node.id) == node.info.tags,
            expected=f"a node with the tags {sorted(node.info.tags)}",
            observed=str(seen),
        )


@check(
    id="router.manifests.tags",
    requirements=["RTR-017"],
    title="Only nodes with all requested tags are listed",
)
async def tags(case: RouterCase) -> None:
    """Two nodes share a tag and have one each of their own. Queries for one, for the other, for both, for a prefix and
    for another case must list exactly the nodes that have all of it."""
    one = await case.registered(("shared", "model=one", "llm"))
    two = await case.registered(("shared", "model=two"))
    expected: list[tuple[tuple[str, ...], set[str]]] = [
        (("shared",), {one.id, two.id}),
        (("model=one",), {one.id}),
        (("shared", "model=two"), {two.id}),
        (("model=one", "model=two"), set()),
        (("share",), set()),
        (("SHARED",), set()),
        (("shared", "no-node-has-it"), set()),
        (("shared", ""), set()),
    ]
    for wanted, ids in expected:
        listed = {manifest.id for manifest in (await case.listed(*wanted)).items}
        expect(
            listed == ids,
            expected=f"{len(ids)} nodes for the tags {', '.join(wanted)!r}",
            observed=f"{len(listed)} nodes, {len(listed - ids)} of them wrong",
        )


@check(
    id="router.manifests.limit",
    requirements=["RTR-016"],
    title="At most as many manifests as asked for are returned",
)
async def limit(case: RouterCase) -> None:
    """There are three nodes at least; one and two are asked for."""
    for number in (1, 2):
        listed = len((await case.listed(limit=number)).items)
        expect(listed == number, expected=f"{number} manifests", observed=f"{listed}")


@check(
    id="router.manifests.limit-zero",
    requirements=["RTR-015", "RTR-007"],
    title="A limit of zero, or none, gives an empty list",
)
async def limit_zero(case: RouterCase) -> None:
    """Zero is written in one query and absent in the other; both are good queries for nothing."""
    for what, content in (
        ("a limit of 0", encode_manifest_request(ManifestRequest(frozenset(), 0))),
        ("no limit", b""),
        ("no limit and a tag", ComputeManifestRequest(tags=["llm"]).SerializeToString()),
    ):
        reply = await case.query(content)
        empty = reply.status == 200 and not ComputeManifestList.FromString(reply.content).items
        expect(empty, expected=f"status 200 and an empty list for {what}", observed=str(reply))


@check(
    id="router.manifests.limit-range",
    requirements=["RTR-014"],
    title="Limits below 0 or above 500 are refused",
)
async def limit_range(case: RouterCase) -> None:
    """500 is the largest limit, and taken; the numbers beside the range are refused."""
    expect_status(await case.query(ANY), 200, "a limit of 500")
    for number in (-1, 501, -(1 << 31), (1 << 31) - 1):
        content = ComputeManifestRequest(limit=number).SerializeToString()
        expect_status(await case.query(content), 400, f"a limit of {number}")


@check(
    id="router.manifests.long-tag",
    requirements=["RTR-095"],
    title="A query with a tag of more than 512 bytes is refused",
)
async def long_tag(case: RouterCase) -> None:
    """512 bytes are taken, also where they are 256 characters; one more byte is refused."""
    for tag in ("t" * 512, "é" * 256):
        content = ComputeManifestRequest(tags=[tag], limit=1).SerializeToString()
        expect_status(await case.query(content), 200, "a tag of 512 bytes")
    for tag in ("t" * 513, "é" * 257):
        content = ComputeManifestRequest(tags=["llm", tag], limit=1).SerializeToString()
        expect_status(await case.query(content), 400, f"a tag of {len(tag.encode())} bytes")


@check(
    id="router.manifests.field-order",
    requirements=["RTR-008"],
    title="Queries are read in any order of fields, with unknown ones",
)
async def field_order(case: RouterCase) -> None:
    """The limit comes before the tags, with unknown fields of every wire type around them."""
    unknown = b"\xa0\x06\x01" + b"\xa9\x06" + bytes(8) + b"\xb2\x06\x03abc" + b"\xbd\x06" + bytes(4)
    reply = await case.query(unknown + b"\x10\x01" + unknown + b"\x0a\x03llm" + unknown)
    expect_status(reply, 200, "a query with unknown fields")
    listed = len(ComputeManifestList.FromString(reply.content).items)
    expect(listed == 1, expected="the one manifest that was asked for", observed=f"{listed}")


@check(
    id="router.manifests.evidence",
    requirements=["RTR-020"],
    title="Evidence is listed as the node sent it, in its order",
)
async def evidence(case: RouterCase) -> None:
    """Verifiers depend on the order of the pieces. Types are repeated and out of order, one signature is empty."""
    rows = {manifest.id: manifest.evidence for manifest in (await case.listed()).items}
    for node in case.nodes:
        listed = [(piece.type, piece.data, piece.signature) for piece in rows[node.id].items] if node.id in rows else []
        sent = [(piece.type, piece.data, piece.signature) for piece in EVIDENCE.items]
        expect(listed == sent, expected=f"the {len(sent)} pieces as sent", observed=_difference(sent, listed))


@check(
    id="router.manifests.large-evidence",
    requirements=["RTR-020"],
    title="Large evidence is listed as it is",
)
async def large_evidence(case: RouterCase) -> None:
    """A node has 400 KiB of evidence, as with an event log and the certificates of several accelerators."""
    piece = SignedEvidencePiece(type=2, data=case.random.randbytes(400 << 10), signature=b"s")
    node = await case.registered(evidence=SignedEvidenceList(items=[piece]))
    listed = {manifest.id: manifest.evidence for manifest in (await case.listed()).items}
    expect(node.id in listed, expected="the node to be listed", observed="it is not")
    same = list(listed[node.id].items) == [piece]
    seen = f"{listed[node.id].ByteSize()} bytes, or others"
    expect(same, expected=f"{len(piece.data)} bytes of evidence, unchanged", observed=seen)


@check(
    id="router.manifests.unknown-evidence",
    requirements=["RTR-020"],
    title="Evidence of a type that the router does not know is listed as it is",
)
async def unknown_evidence(case: RouterCase) -> None:
    """New kinds of evidence come without new routers: the type is a number that a router passes on."""
    sent = SignedEvidenceList(items=[SignedEvidencePiece(type=4711, data=b"of tomorrow", signature=b"s")])
    node = await case.registered(evidence=sent)
    listed = {manifest.id: manifest.evidence for manifest in (await case.listed()).items}
    expect(node.id in listed, expected="the node to be listed", observed="it is not")
    types = [piece.type for piece in listed[node.id].items]
    zeroed = types == [0] and listed[node.id].items[0].data == b"of tomorrow"
    expect(
        listed[node.id] == sent,
        expected="the piece of type 4711",
        observed=f"pieces of the types {types}",
        deployed="RTR-D19" if zeroed else None,
    )


@check(
    id="router.manifests.routable-only",
    requirements=["RTR-019"],
    title="Nodes that are not routable are not listed",
)
async def routable_only(case: RouterCase) -> None:
    """One node has never been well, one has passed two of its checks, one was routable and fails its checks, one was
    routable and its last event is too old, one has shut down. None may be listed."""
    ill, new = case.new_node(("ill",)), case.new_node(("new",))
    fallen, aged, gone = [await case.registered((tag,)) for tag in ("fallen", "aged", "gone")]
    case.farm.health.statuses |= {ill.label: 503, fallen.label: 503}
    for event in (ill.heartbeat(), aged.heartbeat(1, at=now() - OLD_S), gone.shutdown(1)):
        await case.accepted(event)
    for node, what in ((fallen, "checks that fail"), (aged, "an event of the past"), (gone, "its shutdown")):
        await case.kept_out(node, what)
    await case.registered(("well",))
    case.farm.health.held_after[new.label] = ENOUGH_CHECKS - 1
    await case.accepted(new.heartbeat())
    with anyio.move_on_after(case.patience_s):
        await case.farm.health.checked(new.label, ENOUGH_CHECKS)
    listed = {manifest.id for manifest in (await case.listed()).items}
    for node, what in (
        (ill, "that has never been well"),
        (new, "that has passed two health checks"),
        (fallen, "that was routable and fails its health checks"),
        (aged, "whose last event is more than 15 minutes old"),
        (gone, "that has shut down"),
    ):
        expect(node.id not in listed, expected=f"no node {what}", observed="it is listed")


def expect_status(reply: Reply, status: int, what: str) -> None:
    """Require a status."""
    expect(reply.status == status, expected=f"status {status} for {what}", observed=str(reply))


def _difference(sent: list[tuple[int, bytes, bytes]], listed: list[tuple[int, bytes, bytes]]) -> str:
    if sorted(sent) == sorted(listed):
        return "the same pieces in another order"
    return f"{len(listed)} pieces, {len(set(listed) - set(sent))} of them changed"
