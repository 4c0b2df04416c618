"""Health: when a node comes into the routing and when it leaves it."""

from __future__ import annotations

import anyio

from conformance.peers.router_case import RouterCase
from conformance.peers.router_nodes import ENOUGH_CHECKS
from conformance.registry import check
from conformance.verdicts import expect

FAILING = 12
"""Failures of a node in a row: several failed checks, also where a router asks a few times before one counts."""


@check(
    id="router.health.three-checks",
    requirements=["RTR-090"],
    title="A node becomes routable with its third successful check",
)
async def three_checks(case: RouterCase) -> None:
    """The node answers two checks and lets the third one wait: no request may go to it. Then it answers."""
    node = case.new_node()
    case.farm.health.held_after[node.label] = ENOUGH_CHECKS - 1
    await case.accepted(node.heartbeat())
    with anyio.move_on_after(case.patience_s):
        await case.farm.health.checked(node.label, ENOUGH_CHECKS)
    seen = case.farm.health.asked.get(node.label, 0)
    expect(seen >= ENOUGH_CHECKS, expected=f"{ENOUGH_CHECKS} health checks", observed=f"{seen}")
    routable = await case.is_routable(node)
    expect(not routable, expected="no request before the third check", observed="requests go to the node")
    case.farm.health.let_go(node.label)
    await case.let_in(node)


@check(
    id="router.health.statuses",
    requirements=["RTR-091"],
    title="Checks succeed with 200 to 299 and with no other status",
)
async def statuses(case: RouterCase) -> None:
    """Nodes that say 200, 204 and 299 come in. Nodes that redirect, refuse or fail do not, by the time the others are
    there."""
    ill = {status: case.new_node() for status in (300, 304, 400, 404, 429, 500, 503)}
    for status, node in ill.items():
        case.farm.health.statuses[node.label] = status
        await case.accepted(node.heartbeat())
    well = {status: case.new_node() for status in (200, 204, 299)}
    for status, node in well.items():
        case.farm.health.statuses[node.label] = status
        await case.accepted(node.heartbeat())
    for status, node in well.items():
        await case.let_in(node, f"health checks answered with {status}")
    await case.registered()
    for status, node in ill.items():
        routable = await case.is_routable(node)
        expect(not routable, expected=f"no request to a node that says {status}", observed="requests go to it")


@check(
    id="router.health.failing",
    requirements=["RTR-092"],
    title="A node that fails its checks leaves the routing",
)
async def failing(case: RouterCase) -> None:
    """A routable node begins to say 503. After three failures, and less than nine tenths of successes, no request goes
    to it any more."""
    node = await case.registered()
    case.farm.health.statuses[node.label] = 503
    await case.kept_out(node, "checks that fail")


@check(
    id="router.health.not-by-heartbeat",
    requirements=["RTR-092", "RTR-090"],
    title="A heartbeat does not bring a node back that fails its checks",
)
async def not_by_heartbeat(case: RouterCase) -> None:
    """A node that came in begins to say 503 and leaves. Its heartbeats go on: they say that it lives, not that it is
    well, so that no request may go to it."""
    node = await case.registered()
    case.farm.health.statuses[node.label] = 503
    await case.kept_out(node, "checks that fail")
    for index in (1, 2, 3):
        await case.accepted(node.heartbeat(index))
        routable = await case.is_routable(node)
        expect(not routable, expected="no request to a node that fails its checks", observed="requests go to it")
    await case.never_let_in(node, "heartbeats that go on while it fails its checks")


@check(
    id="router.health.share-of-successes",
    requirements=["RTR-092"],
    title="Three successes are not enough after failures",
)
async def share_of_successes(case: RouterCase) -> None:
    """A node answers 503 to the first twelve requests for its health, and 200 to the next three. However often a router
    asks before a check counts as failed, less than nine tenths have succeeded then: no request may go to the node."""
    node = case.new_node()
    case.farm.health.failing_first[node.label] = FAILING
    case.farm.health.held_after[node.label] = FAILING + ENOUGH_CHECKS
    await case.accepted(node.heartbeat())
    with anyio.move_on_after(case.patience_s):  # a router may also forget the node, and ask no more
        await case.farm.health.checked(node.label, FAILING + ENOUGH_CHECKS + 1)
    for _ in range(5):
        routable = await case.is_routable(node)
        expect(
            not routable, expected="no request after three successes that follow failures", observed="requests go to it"
        )


@check(
    id="router.health.unreachable",
    requirements=["RTR-090", "RTR-091"],
    title="A node whose health URL cannot be reached gets no request",
)
async def unreachable(case: RouterCase) -> None:
    """The node sends good heartbeats, but nobody listens at its health URL."""
    node = case.new_node()
    lost = case.farm.with_lost_health(node)
    await case.accepted(lost.heartbeat())
    await case.never_let_in(lost, "checks that reach nobody")


@check(
    id="router.health.own-url",
    requirements=["RTR-091"],
    title="Health is asked at the health URL, and requests go nowhere near it",
)
async def own_url(case: RouterCase) -> None:
    """Health URL and URL are different; health checks must not arrive as compute requests, nor requests as checks."""
    node = await case.registered()
    case.forget()
    with anyio.move_on_after(case.patience_s):
        await case.farm.health.checked(node.label, case.farm.health.asked[node.label] + 2)
    await case.farm.peer.catch_up()
    asked = len(case.farm.peer.requests)
    expect(asked == 0, expected="no health check at the URL for requests", observed=f"{asked} requests there")
    await case.served(case.mint.credit(1), node)
    posted = case.farm.health.posted
    expect(posted == 0, expected="nothing but GET at the health URL", observed=f"{posted} requests of other methods")
