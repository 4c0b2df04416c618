"""Events of nodes: what is refused, in which order they count, and what ends a node."""

from __future__ import annotations

from conformance.peers.router_case import RouterCase
from conformance.peers.router_nodes import OLD_S, Node, now, target_of
from conformance.registry import check
from conformance.verdicts import expect
from openpcc_ref.protobuf.router_pb2 import NodeEvent as Event


@check(
    id="router.events.malformed",
    requirements=["RTR-081"],
    title="Events that lack something, or have something wrong, are refused and change nothing",
)
async def malformed(case: RouterCase) -> None:
    """A good heartbeat with one thing wrong each: identifier, index, time, payload, tags, URLs. Each is refused with
    400, and at the end the node is not there. Then shutdowns of a node that is there, without time and with a negative
    index: it stays."""
    node, there = case.new_node(), await case.registered()
    for what, event in _malformed(node).items():
        reply = await case.event(event.SerializeToString())
        expect(reply.status == 400, expected=f"status 400 for an event with {what}", observed=str(reply))
    for what in ("a negative index", "no time stamp"):
        shutdown = Event.FromString(there.shutdown(1))
        _SPOILERS[what](shutdown)
        reply = await case.event(shutdown.SerializeToString())
        expect(reply.status == 400, expected=f"status 400 for a shutdown with {what}", observed=str(reply))
    await case.never_let_in(node, "malformed events")
    routable = await case.is_routable(there)
    expect(routable, expected="malformed shutdowns to change nothing", observed="the node is gone")


@check(
    id="router.events.random",
    requirements=["RTR-081"],
    title="Arbitrary content is no event",
)
async def random_content(case: RouterCase) -> None:
    """Arbitrary bytes, and good heartbeats that are cut short within the node's identifier: 400 each."""
    node = case.new_node()
    for number in range(40):
        junk = case.random.randbytes(case.random.randrange(1, 200))
        content = node.heartbeat()[: case.random.randrange(1, 38)] if number % 2 else b"\x0f" + junk
        reply = await case.event(content)
        expect(reply.status == 400, expected="status 400 for arbitrary content", observed=str(reply))


@check(
    id="router.events.long-tag",
    requirements=["RTR-095"],
    title="A node with a tag of more than 512 bytes is refused",
)
async def long_tag(case: RouterCase) -> None:
    """A tag of 512 bytes is taken, of 513 not, however many characters that is."""
    for tag, status in (("t" * 512, 200), ("é" * 256, 200), ("t" * 513, 400), ("é" * 257, 400)):
        reply = await case.event(case.new_node((tag,)).heartbeat())
        what = f"a node with a tag of {len(tag.encode())} bytes"
        expect(reply.status == status, expected=f"status {status} for {what}", observed=str(reply))


@check(
    id="router.events.missing-index",
    requirements=["RTR-082", "RTR-007"],
    title="A missing index is zero",
)
async def missing_index(case: RouterCase) -> None:
    """A node comes in with a heartbeat without index. A shutdown of index 0 is then not newer, one of 1 is."""
    node = case.new_node()
    event = Event.FromString(node.heartbeat())
    event.ClearField("event_index")
    await case.accepted(event.SerializeToString())
    await case.let_in(node, "a heartbeat without index")
    await case.accepted(node.shutdown(0))
    await case.registered()
    routable = await case.is_routable(node)
    expect(routable, expected="a shutdown of the same index to be ignored", observed="the node is gone")
    await case.accepted(node.shutdown(1))
    await case.kept_out(node, "a heartbeat without index and a shutdown of index 1")


@check(
    id="router.events.field-order",
    requirements=["RTR-008"],
    title="Events are read in any order of fields, with unknown ones",
)
async def field_order(case: RouterCase) -> None:
    """The payload comes first, then time, index and identifier, with unknown fields between them."""
    node = case.new_node()
    event = Event.FromString(node.heartbeat(3))
    unknown = b"\xa0\x06\x01" + b"\xb2\x06\x03abc"
    parts = [_only(event, name) for name in ("heartbeat", "timestamp", "event_index", "node_id")]
    await case.accepted(unknown.join(parts) + unknown, "an event with its fields in another order and unknown ones")
    await case.let_in(node, "a heartbeat with its fields in another order and unknown ones")


@check(
    id="router.events.order",
    requirements=["RTR-083"],
    title="Events are ordered by index, and not by time",
)
async def order(case: RouterCase) -> None:
    """A heartbeat of index 5 brings a node in. A shutdown of index 4 comes late, with a later time stamp: it must be
    ignored. One of index 6 counts, although its time stamp is earlier."""
    node = case.new_node()
    await case.accepted(node.heartbeat(5))
    await case.let_in(node)
    for index in (4, 5, 0):
        await case.accepted(node.shutdown(index))
    await case.registered()
    routable = await case.is_routable(node)
    expect(routable, expected="shutdowns of the index 5 and below to be ignored", observed="the node is gone")
    late = Event.FromString(node.shutdown(6))
    late.timestamp.seconds -= 60
    await case.accepted(late.SerializeToString())
    await case.kept_out(node, "a heartbeat of index 5 and a shutdown of index 6 with an earlier time")


@check(
    id="router.events.large-index",
    requirements=["RTR-083"],
    title="Indexes have 63 bits",
)
async def large_index(case: RouterCase) -> None:
    """A shutdown of 2^32 follows a heartbeat of index 5, and one of 2^53 + 1 a heartbeat of 2^53: each is newer,
    but not for a router that keeps 32 bits of an index, or the 53 of a floating-point number."""
    for before, after in ((5, 1 << 32), (1 << 53, (1 << 53) + 1)):
        node = case.new_node()
        await case.accepted(node.heartbeat(before))
        await case.let_in(node)
        await case.accepted(node.shutdown(after))
        await case.kept_out(node, f"a heartbeat of index {before} and a shutdown of index {after}")


@check(
    id="router.events.gap",
    requirements=["RTR-083"],
    title="An older heartbeat fills in missing routing info",
)
async def gap(case: RouterCase) -> None:
    """First comes a heartbeat of index 5 that only has a URL for routing info, and is never fetched; then one of index
    3 with the info."""
    node = case.new_node()
    event = Event.FromString(node.heartbeat(5))
    event.heartbeat.routing_info_url = node.info.url
    await case.accepted(event.SerializeToString())
    await case.accepted(node.heartbeat(3))
    await case.let_in(node, "a heartbeat of index 5 without routing info and one of index 3 with it")
    await case.served(case.mint.credit(10), node)


@check(
    id="router.events.first-info",
    requirements=["RTR-084"],
    title="The first routing info of an identifier is kept",
)
async def first_info(case: RouterCase) -> None:
    """A later heartbeat has the URL of another node and other tags. Requests must go on to the first URL, and the list
    show the first tags: otherwise whoever learns an identifier could take over its requests."""
    node = await case.registered(("first",))
    other = case.farm.make(("second",))
    await case.accepted(node.heartbeat(1, info=other.info))
    await case.registered()
    case.forget()
    await case.served(case.mint.credit(10), node)
    received = await case.farm.peer.arrival()
    wanted = target_of(node.label)
    seen = received.target.decode("latin-1")
    expect(seen == wanted, expected=f"a request to {wanted}", observed=seen)
    tags = {manifest.id: sorted(manifest.tags) for manifest in (await case.listed()).items}
    expect(tags.get(node.id) == ["first"], expected="the first tags", observed=str(tags.get(node.id)))


@check(
    id="router.events.repeated",
    requirements=["RTR-093"],
    title="The same event again changes nothing",
)
async def repeated(case: RouterCase) -> None:
    """A heartbeat is sent five times: the node is there once and stays."""
    node = case.new_node()
    event = node.heartbeat(2)
    for _ in range(5):
        await case.accepted(event)
    await case.let_in(node)
    for _ in range(5):
        await case.accepted(event)
    rows = [manifest.id for manifest in (await case.listed()).items].count(node.id)
    expect(rows == 1, expected="the node once in the list", observed=f"{rows} times")
    expect(await case.is_routable(node), expected="the node to be there", observed="it is gone")


@check(
    id="router.events.shutdown",
    requirements=["RTR-085"],
    title="After its shutdown no request goes to a node",
)
async def shutdown(case: RouterCase) -> None:
    """The node has routable companions. After its shutdown it gets no request, neither alone nor among others."""
    node = await case.registered()
    await case.accepted(node.shutdown(1))
    await case.kept_out(node, "its shutdown")
    case.forget()
    for _ in range(10):
        await case.served(case.mint.credit(1), node, case.nodes[0])
    asked = len(case.farm.asked(node))
    expect(asked == 0, expected="no request to a node that has shut down", observed=f"{asked} of 10")


@check(
    id="router.events.revival",
    requirements=["RTR-086"],
    title="A late heartbeat does not revive a node that has shut down",
)
async def revival(case: RouterCase) -> None:
    """The shutdown has the index 5; once it has counted, a heartbeat of index 4 arrives."""
    node = await case.registered()
    await case.accepted(node.shutdown(5))
    await case.kept_out(node, "its shutdown")
    await case.accepted(node.heartbeat(4))
    await case.registered()
    routable = await case.is_routable(node)
    seen = "requests go to it"
    expect(not routable, expected="no request to a node that has shut down", observed=seen, deployed="RTR-D21")


@check(
    id="router.events.heartbeat-after-shutdown",
    requirements=["RTR-086"],
    title="An identifier that has shut down is not used again",
)
async def heartbeat_after_shutdown(case: RouterCase) -> None:
    """The shutdown has the index 5, and a heartbeat of index 6 follows: an identifier stands for one run of a node."""
    node = await case.registered()
    await case.accepted(node.shutdown(5))
    await case.kept_out(node, "its shutdown")
    await case.accepted(node.heartbeat(6))
    await case.registered()
    routable = await case.is_routable(node)
    seen = "requests go to it"
    expect(not routable, expected="no request to a node that has shut down", observed=seen, deployed="RTR-D21")


@check(
    id="router.events.too-old",
    requirements=["RTR-089"],
    title="No request goes to a node whose last event is too old",
)
async def too_old(case: RouterCase) -> None:
    """The only heartbeat of a node is more than 15 minutes old; another node, which comes in later, has one of the
    present."""
    node = case.new_node()
    await case.accepted(node.heartbeat(at=now() - OLD_S))
    await case.never_let_in(node, "a heartbeat that is more than 15 minutes old")


@check(
    id="router.events.ages",
    requirements=["RTR-089", "RTR-083"],
    title="A routable node goes when its last event becomes too old",
)
async def ages(case: RouterCase) -> None:
    """The last event is that of the highest index. A node is routable; its next event says that its clock is more than
    15 minutes back, so that its last event is too old."""
    node = await case.registered()
    await case.accepted(node.heartbeat(1, at=now() - OLD_S))
    await case.kept_out(node, "an event of more than 15 minutes ago")


def _malformed(node: Node) -> dict[str, Event]:
    """Return events with one thing wrong each, by what it is."""
    bad = {what: Event.FromString(node.heartbeat()) for what in _SPOILERS}
    for what, event in bad.items():
        _SPOILERS[what](event)
    return bad


def _relative(event: Event, name: str, url: str) -> None:
    setattr(event.heartbeat.routing_info, name, url)


def _info_url(event: Event) -> None:
    event.heartbeat.routing_info_url = "/relative"


_SPOILERS = {
    "no identifier": lambda event: event.ClearField("node_id"),
    "an identifier that is no UUID": lambda event: setattr(event, "node_id", "node-1"),
    "an identifier of version 4": lambda event: setattr(
        event, "node_id", event.node_id[:14] + "4" + event.node_id[15:]
    ),
    "a negative index": lambda event: setattr(event, "event_index", -1),
    "the lowest index": lambda event: setattr(event, "event_index", -(1 << 63)),
    "no time stamp": lambda event: event.ClearField("timestamp"),
    "no payload": lambda event: event.ClearField("heartbeat"),
    "an empty heartbeat": lambda event: event.heartbeat.Clear(),
    "no tags": lambda event: event.heartbeat.routing_info.ClearField("tags"),
    "no URL": lambda event: event.heartbeat.routing_info.ClearField("url"),
    "no health URL": lambda event: event.heartbeat.routing_info.ClearField("healthcheck_url"),
    "a relative URL": lambda event: _relative(event, "url", "/compute"),
    "a relative health URL": lambda event: _relative(event, "healthcheck_url", "health"),
    "a relative URL of routing info": _info_url,
}


def _only(event: Event, name: str) -> bytes:
    part = Event.FromString(event.SerializeToString())
    for other in [field.name for field, _ in event.ListFields() if field.name != name]:
        part.ClearField(other)
    return part.SerializeToString()
