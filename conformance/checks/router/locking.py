"""The nonce of a compute request is locked before anything is forwarded, and one credit pays once."""

from __future__ import annotations

from contextlib import suppress

import anyio

from conformance.peers.hosted_nonce_lock import operation_of
from conformance.peers.mint import draw_nonce
from conformance.peers.router_case import LockFailure, RouterCase
from conformance.peers.router_nodes import honest_answer
from conformance.peers.scripted import Received
from conformance.registry import check
from conformance.verdicts import expect
from openpcc_ref.credits import Credit
from openpcc_ref.http1 import Http1Error, Responder

SIMULTANEOUS = 8


@check(
    id="router.requests.lock-refused",
    requirements=["RTR-039", "PAY-100"],
    title="A credit that the nonce lock refuses is not served",
)
async def lock_refused(case: RouterCase) -> None:
    """Well-signed credits of which the nonce lock says that they are consumed, locked, or of another time: 400, and no
    node is asked."""
    await case.control()
    consumed, locked = case.mint.credit(10), case.mint.credit(10)
    case.nonce_lock.spend_elsewhere(consumed.nonce)
    case.nonce_lock.service.lock(locked.nonce)
    expired, early = (case.mint.credit(10, nonce=draw_nonce(hours=hours)) for hours in (-48, 48))
    for what, credit in (("consumed", consumed), ("locked", locked), ("expired", expired), ("too early", early)):
        await case.refused(case.paid(credit), 400, f"a credit that is {what}")
    expect(case.state(locked) == "locked", expected="a lock of somebody else's to stay", observed=case.state(locked))


@check(
    id="router.requests.lock-fails",
    requirements=["RTR-038", "RTR-039"],
    title="Nothing is forwarded when the nonce lock fails",
)
async def lock_fails(case: RouterCase) -> None:
    """The nonce lock answers 500, hangs up, or answers without a ticket, once. A router may refuse then or ask again;
    but what reaches a node must have its nonce locked, or a credit pays twice."""
    await case.control()
    for how in LockFailure:
        credit = case.mint.credit(10)
        states: list[str] = []

        async def answer(
            received: Received, responder: Responder, credit: Credit = credit, states: list[str] = states
        ) -> None:
            states.append(case.state(credit))
            await honest_answer(received, responder)

        case.farm.peer.answer = answer
        case.lock_fails_once("lock", how)
        with suppress(Http1Error):  # a router may ask the lock again for longer than this case lasts
            await case.compute(case.paid(credit))
        await case.farm.peer.catch_up()
        expect(
            set(states) <= {"locked"},
            expected=f"nothing at a node with {how}",
            observed=", ".join(f"a request at a node while its nonce is {state}" for state in states),
            deployed="RTR-D27" if how is LockFailure.EMPTY and states == ["free"] else None,
        )


@check(
    id="router.requests.lock-first",
    requirements=["RTR-038"],
    title="Nothing is forwarded before the nonce is locked",
)
async def lock_first(case: RouterCase) -> None:
    """The nonce lock takes its time. Until it has answered no node may see the request; then it is served."""
    asked, go = anyio.Event(), anyio.Event()

    async def slowly(received: Received, responder: Responder) -> None:
        if operation_of(received) == "lock":
            asked.set()
            await go.wait()
        await case.nonce_lock.serve(received, responder)

    case.nonce_lock.peer.answer = slowly
    credit = case.mint.credit(10)
    async with anyio.create_task_group() as group:
        group.start_soon(case.served, credit)
        with anyio.move_on_after(case.step_s):
            await asked.wait()
        try:
            expect(asked.is_set(), expected="a request to lock the nonce", observed="none")
            await case.nothing_forwarded("a credit that is not locked yet")
        finally:
            go.set()


@check(
    id="router.requests.spent-once",
    requirements=["RTR-039", "OHT-074"],
    title="A request that is sent again is refused",
)
async def spent_once(case: RouterCase) -> None:
    """The very same request again, after it was served: 400, and no node is asked. A relay or gateway that repeats a
    request must not cause a second answer."""
    fields = case.paid(case.mint.credit(10))
    reply = await case.compute(fields)
    expect(reply.status == 200, expected="status 200 at first", observed=str(reply))
    case.forget()
    await case.refused(fields, 400, "the same request again")


@check(
    id="router.requests.simultaneous",
    requirements=["RTR-040"],
    title="Of simultaneous requests with one credit one is forwarded",
)
async def simultaneous(case: RouterCase) -> None:
    """Eight requests with one credit are all at the nonce lock before it answers any of them. One is served, the others
    get 400."""
    credit = case.mint.credit(10)
    statuses: list[int] = []
    arrived = 0
    everybody = anyio.Event()

    async def together(received: Received, responder: Responder) -> None:
        nonlocal arrived
        arrived += operation_of(received) == "lock"
        if arrived == SIMULTANEOUS:
            everybody.set()
        with anyio.move_on_after(case.step_s / 4):  # a router that lets one at a time do so is as good
            await everybody.wait()
        await case.nonce_lock.serve(received, responder)

    async def ask() -> None:
        statuses.append((await case.compute(case.paid(credit))).status)

    case.nonce_lock.peer.answer = together
    async with anyio.create_task_group() as group:
        for _ in range(SIMULTANEOUS):
            group.start_soon(ask)
    await case.farm.peer.catch_up()
    asked = len(case.farm.peer.requests)
    expect(asked == 1, expected="one request at a node", observed=f"{asked} requests at nodes")
    expect(
        sorted(statuses) == [200] + [400] * (SIMULTANEOUS - 1),
        expected="status 200 once and 400 for the others",
        observed=", ".join(str(status) for status in sorted(statuses)),
    )
