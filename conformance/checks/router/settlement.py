"""What becomes of the credit: consumed when the response ended, released when nothing was delivered."""

from __future__ import annotations

from contextlib import suppress

import anyio

from conformance.peers.router_case import RouterCase, becomes_true
from conformance.peers.router_nodes import NO_RESPONSE, Node, answers, response_head
from conformance.peers.scripted import Received
from conformance.registry import check
from conformance.verdicts import Violation, expect
from openpcc_ref.credits import AnyCredit
from openpcc_ref.http1 import Failure, Http1Error, Responder


@check(
    id="router.settlement.consumed",
    requirements=["RTR-060", "PAY-110"],
    title="The nonce is consumed when the response has ended",
)
async def consumed(case: RouterCase) -> None:
    """At the clean end of the response, with and without a refund, the nonce is consumed already; it was locked and
    consumed once, and not released."""
    await case.after_the_cut_over()
    for trailers in ((), ((b"X-Refund-Amount", b"CgIAAQ=="),)):
        case.farm.peer.answer = answers([b"sealed"], trailers)
        credit = case.mint.credit(10)
        await case.served(credit)
        state = case.state(credit)
        expect(state == "consumed", expected="a consumed nonce at the end of the response", observed=state)
        asked = case.nonce_lock.asked(credit.nonce)
        expect(asked == ["lock", "consume"], expected="lock, consume", observed=", ".join(asked))


@check(
    id="router.settlement.not-before",
    requirements=["RTR-060", "PAY-111"],
    title="The nonce is not consumed before the node has answered",
)
async def not_before(case: RouterCase) -> None:
    """The node has the whole request and waits. Until it answers the nonce is locked; consumed by then, it could not be
    released if the node fails."""
    go = anyio.Event()

    async def answer(received: Received, responder: Responder) -> None:
        await received.end()
        await go.wait()
        await answers([b"sealed"])(received, responder)

    case.farm.peer.answer = answer
    credit = case.mint.credit(10)
    async with anyio.create_task_group() as group:
        group.start_soon(case.served, credit)
        try:
            await (await case.farm.peer.arrival()).end()
            await case.nonce_lock.peer.catch_up()
            state = case.state(credit)
            expect(state == "locked", expected="a locked nonce while the node works", observed=f"it is {state}")
        finally:
            go.set()


@check(
    id="router.settlement.unreachable",
    requirements=["RTR-070"],
    title="A node that cannot be reached gives 502, and the nonce is released",
)
async def unreachable(case: RouterCase) -> None:
    """The node is well by its health checks, but refuses connections for requests."""
    node = await _absent_node(case)
    credit = case.mint.credit(10)
    reply = await case.compute(case.paid(credit, node))
    expect(reply.status == 502, expected="status 502 for a node that is not there", observed=str(reply))
    await _expect_released(case, credit, "a node that is not there")


@check(
    id="router.settlement.no-tls",
    requirements=["RTR-070"],
    title="A node with which TLS fails gives 502, and the nonce is released",
)
async def no_tls(case: RouterCase) -> None:
    """The URL of the node says https, and whoever listens there does not speak TLS: connecting succeeds, and the node
    cannot be reached all the same."""
    node = case.farm.behind_tls(case.new_node())
    await case.accepted(node.heartbeat())
    await case.let_in(node)
    credit = case.mint.credit(10)
    reply = await case.compute(case.paid(credit, node))
    expect(reply.status == 502, expected="status 502 for a node with which TLS fails", observed=str(reply))
    await _expect_released(case, credit, "a node with which TLS fails")


@check(
    id="router.settlement.accepted-again",
    requirements=["RTR-071"],
    title="A credit is good again after its node could not be reached",
)
async def accepted_again(case: RouterCase) -> None:
    """The same credit pays for a request to another node afterwards."""
    node = await _absent_node(case)
    credit = case.mint.credit(10)
    reply = await case.compute(case.paid(credit, node))
    expect(reply.status >= 500, expected="a failure for a node that is not there", observed=str(reply))
    await case.settled(credit)
    again = await case.compute(case.paid(credit))
    served = again.status == 200 and again.complete
    expect(served, expected="status 200 for the same credit and another node", observed=str(again))


@check(
    id="router.settlement.one-node-only",
    requirements=["RTR-072", "RTR-070"],
    title="A node that cannot be reached is not replaced by another one",
)
async def one_node_only(case: RouterCase) -> None:
    """Candidates are a node that refuses connections and one that is well, until the first was chosen: its requests
    fail with 502. A router that goes on to the other one never shows that."""
    node = await _absent_node(case)
    for _ in range(60):
        reply = await case.compute(case.paid(case.mint.credit(1), node, case.nodes[0]))
        if reply.status != 200:
            return
    raise Violation("one request in 60 to fail with one of its two nodes", "all were served by the other node")


@check(
    id="router.settlement.no-response",
    requirements=["RTR-073", "PAY-111"],
    title="The nonce is released when the node hangs up before it answers",
)
async def no_response(case: RouterCase) -> None:
    """The node takes the request, then resets the connection, or closes it before or within the head of a response, or
    answers with something that is no HTTP. Nothing was delivered, so the credit is good again; the client learns of a
    failure."""
    for what, answer in NO_RESPONSE.items():
        case.farm.peer.answer = answer
        credit = case.mint.credit(10)
        try:
            reply = await case.compute(case.paid(credit))
        except Http1Error as error:  # a connection that ends is a failure that shows, too
            ended = error.failure in (Failure.CLOSED, Failure.RESET)
            expect(ended, expected=f"status 502 or a connection that ends for {what}", observed=str(error))
        else:
            expect(reply.status >= 500, expected=f"status 502 for {what}", observed=str(reply))
        await _expect_released(case, credit, what)


@check(
    id="router.settlement.side-by-side",
    requirements=["RTR-060", "RTR-070"],
    title="Locks side by side are not mixed up",
)
async def side_by_side(case: RouterCase) -> None:
    """Sixteen requests at once, every other one for a node that is not there. The nonces of those are released, and of
    the others consumed."""
    absent = await _absent_node(case)
    credits = [case.mint.credit(10) for _ in range(16)]
    async with anyio.create_task_group() as group:
        for number, credit in enumerate(credits):
            node = absent if number % 2 else case.nodes[0]
            group.start_soon(case.compute, case.paid(credit, node))

    async def are_settled() -> bool:
        return all(case.state(credit) != "locked" for credit in credits)

    await becomes_true(are_settled, case.step_s)
    states = [case.state(credit) for credit in credits]
    served, failed = states[::2], states[1::2]
    expect(set(served) == {"consumed"}, expected="8 consumed nonces of what was served", observed=", ".join(served))
    expect(set(failed) == {"free"}, expected="8 released nonces of what failed", observed=", ".join(failed))


@check(
    id="router.settlement.cut-response",
    requirements=["RTR-096"],
    title="The lock is settled when the node's response breaks off",
)
async def cut_response(case: RouterCase) -> None:
    """The node resets its connection within the response. The nonce must not stay locked."""

    async def answer(received: Received, responder: Responder) -> None:
        await received.end()
        await responder.send_head(200, response_head())
        await responder.send(b"some")
        await responder.abort()

    case.farm.peer.answer = answer
    credit = case.mint.credit(10)
    with suppress(Http1Error):
        await case.compute(case.paid(credit))
    await _expect_settled(case, credit, "a response that broke off")


@check(
    id="router.settlement.node-error",
    requirements=["RTR-096"],
    title="The lock is settled when the node answers with an error",
)
async def node_error(case: RouterCase) -> None:
    """The node refuses in the clear with 400, and fails with 500."""
    for status in (400, 500):
        case.farm.peer.answer = answers([b"no"], status=status)
        credit = case.mint.credit(10)
        reply = await case.compute(case.paid(credit))
        expect(reply.status == status, expected=f"the node's status {status}", observed=str(reply))
        await _expect_settled(case, credit, f"a response with status {status}", deployed=None)


@check(
    id="router.settlement.client-gone",
    requirements=["RTR-096"],
    title="The lock is settled when the client breaks off within the response",
)
async def client_gone(case: RouterCase) -> None:
    """The client resets its connection after the first piece; then the node goes on and comes to its end."""
    gone = anyio.Event()

    async def answer(received: Received, responder: Responder) -> None:
        await received.end()
        await responder.send_head(200, response_head())
        await responder.send(b"first")
        await gone.wait()
        for _ in range(40):
            await responder.send(bytes(1 << 14))
        await responder.finish()

    case.farm.peer.answer = answer
    credit = case.mint.credit(10)
    async with case.posting(((b"content-length", b"0"), *case.paid(credit))) as posted:
        await posted.connection.finish()
        response = await posted.connection.response()
        await anext(response.body())
        await posted.connection.abort()
        gone.set()
    await _expect_settled(case, credit, "a client that broke off")


@check(
    id="router.settlement.client-gone-before",
    requirements=["RTR-096"],
    title="The lock is settled when the client breaks off before the node answers",
)
async def client_gone_before(case: RouterCase) -> None:
    """The client resets its connection within its request, and another one when the node has all of it; then the node
    answers whoever is still there."""
    for part in (0, 1):
        go = anyio.Event()

        async def answer(received: Received, responder: Responder, go: anyio.Event = go) -> None:
            await received.content(1000)
            await go.wait()
            await received.end()
            await answers([bytes(1 << 14)] * 20)(received, responder)

        case.forget()
        case.farm.peer.answer = answer
        credit = case.mint.credit(10)
        async with case.posting(((b"content-length", b"%d" % (2000 - 1000 * part)), *case.paid(credit))) as posted:
            await posted.connection.send(bytes(1000))
            with suppress(Violation):  # a router may want the whole request first
                await (await case.farm.peer.arrival()).content(1000)
            await posted.connection.abort()
            go.set()
        await _expect_settled(case, credit, "a client that broke off before the response")


async def _absent_node(case: RouterCase) -> Node:
    node = case.new_node(there=False)
    await case.accepted(node.heartbeat())
    await case.let_in(node)
    return node


async def _expect_released(case: RouterCase, credit: AnyCredit, what: str) -> None:
    state = await case.settled(credit)
    how = f"still locked after {case.step_s:g} s" if state == "locked" else state
    expect(state == "free", expected=f"a released nonce after {what}", observed=f"the nonce is {how}")


async def _expect_settled(case: RouterCase, credit: AnyCredit, what: str, deployed: str | None = "RTR-D10") -> None:
    state = await case.settled(credit)
    expect(
        state != "locked",
        expected=f"a nonce that is consumed or released after {what}",
        observed=f"it is still locked after {case.step_s:g} s",
        deployed=deployed,
    )
