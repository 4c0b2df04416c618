"""Which candidate gets a request: any, by chance, and no other node."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress

import anyio

from conformance.peers.router_case import REQUEST, RouterCase
from conformance.peers.router_nodes import NO_RESPONSE, Node, answers, honest_answer
from conformance.peers.scripted import Received
from conformance.registry import check
from conformance.verdicts import Violation, expect
from openpcc_ref.http1 import Fields, Http1Error, Responder, connect
from openpcc_ref.routing import make_node_id
from openpcc_ref.sources import system_random

DRAWS = 400
"""Requests of one sample. Even, so that they make pairs."""

BUSY = 8
"""Requests that wait at a node."""

FALSE_ALARM = 1e-6
"""How likely an unbiased router is to fail one of the two tests by chance."""


@check(
    id="router.choice.uniform",
    requirements=["RTR-037"],
    title="Every candidate is as likely as any other, wherever it stands",
    costly=True,
)
async def uniform(case: RouterCase) -> None:
    """400 requests name three nodes in one order, and the nodes that got them are counted. Pearson's chi-square test
    against equal shares decides, and then against equal shares for successive pairs, which notices turns: an unbiased
    router fails by chance with a probability of less than 2 in a million. One that gives a node half of the requests
    passes with a probability below 5 percent; one that takes turns, or prefers a place in the list, never does."""
    counted = [await _chosen(case, case.nodes) for _ in range(DRAWS)]
    places = Counter(counted)
    _expect_even([places[place] for place in range(len(case.nodes))], "requests for each of three nodes")
    pairs = Counter(zip(counted[::2], counted[1::2], strict=True))
    cells = [pairs[one, two] for one in range(len(case.nodes)) for two in range(len(case.nodes))]
    _expect_even(cells, "successive pairs of nodes")


@check(
    id="router.choice.every-place",
    requirements=["RTR-037"],
    title="No place in the list of candidates is left out",
)
async def every_place(case: RouterCase) -> None:
    """40 requests name two nodes in one order. Both must get some: by chance one is left out in 2 of 10^12 runs."""
    chosen = {await _chosen(case, case.nodes[:2]) for _ in range(40)}
    expect(len(chosen) == 2, expected="both nodes to be chosen in 40 requests", observed="always the same")


@check(
    id="router.choice.not-steered",
    requirements=["RTR-037"],
    title="The same request does not get the same node",
)
async def not_steered(case: RouterCase) -> None:
    """40 requests that are alike to the last byte but for their credits, and then keys of which one is smaller. Whoever
    could compute the choice could steer a request to a node of his."""
    candidates = [case.candidate(node) for node in case.nodes[:2]]
    asked = {await _chosen(case, case.nodes[:2], case.paid(case.mint.credit(1), *candidates)) for _ in range(40)}
    expect(len(asked) == 2, expected="both nodes for 40 equal requests", observed="always the same node")


@check(
    id="router.choice.same-connection",
    requirements=["RTR-037"],
    title="Requests of one connection do not stay at one node",
)
async def same_connection(case: RouterCase) -> None:
    """40 requests that name two nodes come one after the other on one connection, as a gateway sends them that keeps it
    open; a router may close it after any of them. Both nodes must get some."""
    sent = 0
    while sent < 40:
        async with connect(case.url, tap=case.taps.of("gateway"), step_s=case.step_s) as connection:
            first = sent
            try:
                while sent < 40:
                    fields = case.paid(case.mint.credit(1), *case.nodes[:2])
                    await connection.send_head(
                        b"POST", b"/", ((b"content-type", REQUEST), (b"content-length", b"0"), *fields)
                    )
                    await connection.finish()
                    await (await connection.response()).read()
                    sent += 1
            except (Http1Error, ValueError):  # closed, before or after the next head was sent
                if sent == first:  # the very first one of a connection is owed an answer
                    raise
    both = all(case.farm.asked(node) for node in case.nodes[:2])
    expect(both, expected="both nodes to be chosen in 40 requests on one connection", observed="always the same")


@check(
    id="router.choice.only-candidates",
    requirements=["RTR-037"],
    title="A node that is no candidate gets no request",
)
async def only_candidates(case: RouterCase) -> None:
    """There are three routable nodes; requests name one of them. Only it may be asked: for the others there is no
    key, and the client has not verified them."""
    for node in case.nodes:
        for _ in range(6):
            await case.served(case.mint.credit(1), node)
    for node in case.nodes:
        asked = len(case.farm.asked(node))
        expect(asked == 6, expected="6 requests at each node", observed=f"{asked} requests at one of them")


@check(
    id="router.choice.routable-candidate",
    requirements=["RTR-036"],
    title="Candidates that are not routable are passed over",
)
async def routable_candidate(case: RouterCase) -> None:
    """One of four candidates is a node, and stands at each place in turn. It must be asked each time."""
    strangers = [case.candidate(make_node_id(number, random=system_random)) for number in (1, 2, 3)]
    for place in range(4):
        reply = await case.compute(
            case.paid(case.mint.credit(1), *strangers[:place], case.nodes[0], *strangers[place:])
        )
        expected = f"status 200 where candidate {place + 1} of 4 is a node and the others are unknown"
        expect(reply.status == 200, expected=expected, observed=str(reply))


@check(
    id="router.choice.one-node",
    requirements=["RTR-072"],
    title="One request is sent to one node, once, whatever the node does",
)
async def one_node(case: RouterCase) -> None:
    """The chosen node says 500, 502, 503 or 429, or has the whole request and hangs up, or answers with something that
    is no HTTP. Three candidates are routable; the request must be seen once in all."""
    failing = {f"a node that says {status}": answers([b"error"], status=status) for status in (500, 502, 503, 429)}
    for what, answer in (failing | NO_RESPONSE).items():
        case.forget()
        case.farm.peer.answer = answer
        with suppress(Http1Error):  # what the client gets is a matter of other checks
            await case.compute(case.paid(case.mint.credit(1)))
        await _expect_asked_once(case, what)


@check(
    id="router.choice.not-by-load",
    requirements=["RTR-037"],
    title="A node that is busy is as likely as any other",
)
async def not_by_load(case: RouterCase) -> None:
    """Eight requests wait at one of two nodes. Of 40 further ones that name both it must get some: who could keep nodes
    busy could steer the requests of others to a node of his. By chance it gets none in 1 of 10^12 runs."""
    busy, go, waiting = case.nodes[0], anyio.Event(), 0

    async def answer(received: Received, responder: Responder) -> None:
        nonlocal waiting
        waiting += 1
        if waiting <= BUSY:
            await go.wait()
        await honest_answer(received, responder)

    case.farm.peer.answer = answer
    async with anyio.create_task_group() as group:
        for _ in range(BUSY):
            group.start_soon(case.served, case.mint.credit(1), busy)
        try:
            await case.farm.peer.arrival(BUSY)
            await _expect_chosen(case, busy, "a node at which requests wait")
        finally:
            go.set()


@check(
    id="router.choice.not-by-errors",
    requirements=["RTR-037"],
    title="A node that has answered with errors is as likely as any other",
)
async def not_by_errors(case: RouterCase) -> None:
    """One of two nodes has answered eight requests with 400 and eight with 500; its health checks go well. Of 40
    further ones that name both it must get some: clients can provoke such answers, and so steer the requests of others
    to a node of theirs."""
    for status in (400, 500):
        case.farm.peer.answer = answers([b"error"], status=status)
        for _ in range(8):
            await case.compute(case.paid(case.mint.credit(1), case.nodes[0]))
    case.farm.peer.answer = honest_answer
    await _expect_chosen(case, case.nodes[0], "a node that has answered with errors")


async def _expect_chosen(case: RouterCase, node: Node, what: str) -> None:
    for _ in range(40):
        if await _chosen(case, (node, case.nodes[1])) == 0:
            return
    raise Violation(
        f"some of 40 requests that name {what}, and another node, to go to it", "all went to the other node"
    )


async def _expect_asked_once(case: RouterCase, what: str) -> None:
    await case.farm.peer.catch_up()
    asked = len(case.farm.peer.requests)
    expect(asked == 1, expected=f"one request at the nodes for {what}", observed=f"{asked}")


async def _chosen(case: RouterCase, nodes: Sequence[Node], fields: Fields | None = None) -> int:
    """Send a request that may go to any of some nodes and return the place of the one that got it.

    What comes back is a matter of other checks: a choice is made by then.
    """
    case.forget()
    await case.compute(fields or case.paid(case.mint.credit(1), *nodes))
    received = await case.farm.peer.arrival()
    places = [place for place, node in enumerate(nodes) if received in case.farm.asked(node)]
    expect(bool(places), expected="a request at one of its candidates", observed="one at another node")
    return places[0]


def _expect_even(counts: Sequence[int], what: str) -> None:
    chance = chi_square_survival(chi_square_of(counts), len(counts) - 1)
    expect(
        chance >= FALSE_ALARM,
        expected=f"even shares of the {what}",
        observed=f"{', '.join(str(count) for count in counts)}, which chance gives in {chance:.1e} of cases",
    )


def chi_square_of(counts: Sequence[int]) -> float:
    """Return Pearson's statistic of counts against equal shares."""
    share = sum(counts) / len(counts)
    return sum((count - share) ** 2 / share for count in counts)


def chi_square_survival(statistic: float, degrees: int) -> float:
    """Return the probability that a chi-square variable of an even number of degrees of freedom is above this."""
    half = statistic / 2
    return math.exp(-half) * sum(half**term / math.factorial(term) for term in range(degrees // 2))
