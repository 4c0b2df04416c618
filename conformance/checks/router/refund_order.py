"""Refunds and consumption: which comes first, and which refund belongs to which request."""

from __future__ import annotations

import anyio

from conformance.checks.router.refunds import amount_of, expect_no_refund, refund_of, refunding
from conformance.peers.hosted_nonce_lock import operation_of
from conformance.peers.router_case import LockFailure, Reply, RouterCase, read_on
from conformance.peers.router_nodes import answers
from conformance.peers.scripted import Received, answer_after_request
from conformance.registry import check
from conformance.verdicts import expect
from openpcc_ref.credits import CurrencyValue, currency
from openpcc_ref.http1 import Http1Error, Responder

SPENT = 10_000
"""An amount that is paid; it is rounded up to the next value."""

TOGETHER = 15
"""Requests at the same time; their numbers are values of one unit each."""


@check(
    id="router.refunds.after-consumption",
    requirements=["PAY-125", "PAY-110"],
    title="A refund is handed out after the nonce was consumed",
)
async def after_consumption(case: RouterCase) -> None:
    """The nonce lock takes its time to consume. The client has all content meanwhile, but the response does not end and
    no refund comes until the nonce is consumed."""
    asked, go = anyio.Event(), anyio.Event()

    async def slowly(received: Received, responder: Responder) -> None:
        if operation_of(received) == "consume":
            asked.set()
            await go.wait()
        await case.nonce_lock.serve(received, responder)

    await case.after_the_cut_over()
    case.nonce_lock.peer.answer = slowly
    case.farm.peer.answer = answers([b"sealed"], (amount_of(CurrencyValue(3)),))
    credit = case.mint.credit(10)
    replies: list[Reply] = []

    async def receive() -> None:
        async with case.posting(((b"content-length", b"0"), *case.paid(credit))) as posted:
            await posted.connection.finish()
            replies.append(await read_on(await posted.connection.response()))

    async with anyio.create_task_group() as group:
        group.start_soon(receive)
        with anyio.move_on_after(case.step_s):
            await asked.wait()
        try:
            expect(asked.is_set(), expected="the nonce to be consumed", observed="nobody asks for it")
            await case.farm.peer.catch_up()
            shown = any(b"x-refund:" in bytes(data).lower() for data in case.taps.inputs.get("gateway", {}).values())
            expect(not replies and not shown, expected="no end and no refund before", observed="they were there")
        finally:
            go.set()
    expect(refund_of(case, replies[0]) is not None, expected="a refund in the end", observed="none")


@check(
    id="router.refunds.not-consumed",
    requirements=["PAY-110", "PAY-125"],
    title="Without consumption there is no refund",
)
async def not_consumed(case: RouterCase) -> None:
    """The nonce lock refuses to consume with 409: somebody else has the lock. A refund would be paid twice."""

    async def refusing(received: Received, responder: Responder) -> None:
        if operation_of(received) != "consume":
            await case.nonce_lock.serve(received, responder)
            return
        await answer_after_request(received, responder, 409, ((b"content-type", b"application/octet-stream"),), b"")

    case.nonce_lock.peer.answer = refusing
    reply = await refunding(case, currency.round_up(SPENT), (amount_of(CurrencyValue(3)),), whole=False)
    expect_no_refund(reply, "a nonce that could not be consumed")


@check(
    id="router.refunds.consumption-fails",
    requirements=["PAY-110", "PAY-125", "RTR-060"],
    title="Without an answer of the nonce lock there is no refund and no clean end",
)
async def consumption_fails(case: RouterCase) -> None:
    """The nonce lock answers 500 to the first attempt to consume, or hangs up, and has not consumed. A router may break
    off, or ask again. A refund for a nonce that is not consumed is paid twice, since the credit can be spent again; and
    without a refund, too, the end of a response waits for consumption."""
    await case.after_the_cut_over()
    for how in (LockFailure.STATUS, LockFailure.HANG_UP):
        for trailers in ((amount_of(CurrencyValue(3)),), ()):
            credit = case.mint.credit(10)
            case.lock_fails_once("consume", how)
            case.farm.peer.answer = answers([b"sealed"], trailers)
            try:
                reply = await case.compute(case.paid(credit))
            except Http1Error:  # a router may ask the lock again for longer than this case lasts
                continue
            refund, state = refund_of(case, reply), case.state(credit)
            early = state != "consumed" and (reply.complete or refund is not None)
            seen = f"{'a refund' if refund is not None else 'the clean end'} while the nonce is {state}"
            expect(not early, expected=f"neither refund nor clean end before consumption, with {how}", observed=seen)


@check(
    id="router.refunds.side-by-side",
    requirements=["RTR-061"],
    title="Refunds side by side are not mixed up",
)
async def side_by_side(case: RouterCase) -> None:
    """Fifteen requests at once with credits of different values, of which the nodes report different amounts in one
    moment. Each must get the refund of its own."""
    await case.after_the_cut_over()
    wrong: list[str] = []
    everybody, waiting = anyio.Event(), 0

    async def answer(received: Received, responder: Responder) -> None:
        nonlocal waiting
        await received.end()
        waiting += 1
        if waiting == TOGETHER:
            everybody.set()
        with anyio.move_on_after(case.step_s / 4):  # a router that does one after the other is as good
            await everybody.wait()
        await answers([b"sealed"], (amount_of(CurrencyValue(int(received.body))),))(received, responder)

    async def ask(number: int) -> None:
        reply = await case.compute(case.paid(case.mint.credit(CurrencyValue(20 + number))), b"%d" % number)
        refund = refund_of(case, reply)
        if refund is None or refund.value != CurrencyValue(number):
            seen = "none" if refund is None else f"one of {refund.value.amount}"
            wrong.append(f"{seen} for one that left {number}")

    case.farm.peer.answer = answer
    async with anyio.create_task_group() as group:
        for number in range(1, TOGETHER + 1):
            group.start_soon(ask, number)
    seen = f"{len(wrong)} wrong: {'; '.join(wrong[:3])}"
    expect(not wrong, expected=f"{TOGETHER} refunds of what each request left", observed=seen)
