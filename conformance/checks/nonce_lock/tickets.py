"""Tickets: only that of the present lock settles it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from conformance.peers.at_once import at_once
from conformance.peers.bank import Reply
from conformance.peers.nonce_lock import NonceLockCase
from conformance.registry import check
from conformance.verdicts import expect
from openpcc_ref.credits import Nonce
from openpcc_ref.protobuf import credit_pb2, nonce_lock_pb2

DEPLOYED = "PAY-D11"


async def _wrong_tickets(case: NonceLockCase, right: str) -> list[tuple[str, str]]:
    """Return tickets that are not ``right``, each with what it is."""
    return [
        ("an empty ticket", ""),
        ("the ticket of another nonce", await case.lock(case.nonce())),
        ("the ticket without its last character", right[:-1]),
        ("the ticket and more", right + "0"),
        ("a ticket that nobody has", "0123456789abcdef"),
    ]


@check(
    id="nonce-lock.ticket.consume",
    requirements=["PAY-104"],
    title="A nonce is consumed under its ticket only",
)
async def consume(case: NonceLockCase) -> None:
    """A locked nonce is consumed with no ticket, with that of another nonce, and with tickets that are nearly right.
    All must be refused, and the lock must stay: it must then be released under its ticket."""
    nonce = case.nonce()
    right = await case.lock(nonce)
    for what, wrong in await _wrong_tickets(case, right):
        (await case.ask_consume(nonce, wrong)).expect_refused(f"a consumption with {what}")
        await case.expect_locked(nonce, f"a consumption with {what}")
    await case.release(nonce, right)


@check(
    id="nonce-lock.ticket.release",
    requirements=["PAY-104"],
    title="A nonce is released under its ticket only",
)
async def release(case: NonceLockCase) -> None:
    """A locked nonce is released with no ticket, with that of another nonce, and with tickets that are nearly right.
    All must be refused, and the lock must stay: else two services take one credit."""
    nonce = case.nonce()
    right = await case.lock(nonce)
    for what, wrong in await _wrong_tickets(case, right):
        (await case.ask_release(nonce, wrong)).expect_refused(f"a release with {what}")
        await case.expect_locked(nonce, f"a release with {what}")
    await case.consume(nonce, right)


@check(
    id="nonce-lock.ticket.absent",
    requirements=["PAY-104"],
    title="No ticket settles nothing",
)
async def absent(case: NonceLockCase) -> None:
    """A locked and a free nonce are consumed and released with messages that have no ticket at all. All must be
    refused, and the states must stay."""
    locked, free = case.nonce(), case.nonce()
    right = await case.lock(locked)
    for nonce in (locked, free):
        message = credit_pb2.Nonce(nonce=nonce.random)
        message.timestamp.seconds = nonce.timestamp
        content = nonce_lock_pb2.UnlockRequest(nonce=message).SerializeToString()
        for path in ("/consume", "/release"):
            (await case.post(path, content)).expect_refused(f"{path} without ticket")
    await case.expect_locked(locked, "requests without ticket")
    await case.lock(free)
    await case.consume(locked, right)


@check(
    id="nonce-lock.ticket.old",
    requirements=["PAY-104"],
    title="The ticket of an earlier lock is worth nothing",
)
async def old(case: NonceLockCase) -> None:
    """A nonce is locked, released, and locked again. The first ticket must neither consume nor release the second
    lock, whose own ticket must."""
    nonce = case.nonce()
    first = await case.lock(nonce)
    await case.release(nonce, first)
    second = await case.lock(nonce)
    (await case.ask_consume(nonce, first)).expect_refused("a consumption with an old ticket")
    (await case.ask_release(nonce, first)).expect_refused("a release with an old ticket")
    await case.expect_locked(nonce, "attempts with an old ticket")
    await case.consume(nonce, second)


@check(
    id="nonce-lock.ticket.unlocked",
    requirements=["PAY-104"],
    title="A free nonce is neither consumed nor released",
)
async def unlocked(case: NonceLockCase) -> None:
    """Nonces that were never locked are consumed and released, and one is released twice. All must be refused, and
    the nonces must be lockable."""
    never, once = case.nonce(), case.nonce()
    ticket = await case.lock(once)
    await case.release(once, ticket)
    for nonce in (never, once):
        (await case.ask_consume(nonce, ticket)).expect_refused("a consumption of a free nonce")
        (await case.ask_release(nonce, ticket)).expect_refused("a release of a free nonce")
        await case.consume(nonce, await case.lock(nonce))


@check(
    id="nonce-lock.ticket.release-after-consume",
    requirements=["PAY-102", "PAY-104"],
    title="A consumed nonce cannot be released",
)
async def release_after_consume(case: NonceLockCase) -> None:
    """A nonce is consumed and then released, under its ticket and under others. All must be refused, and the nonce
    must stay consumed: else the credit could be spent again. 410 is for the ticket that consumed it alone: a service
    whose own lock ended would otherwise believe that it has the money."""
    nonce = case.nonce()
    right = await case.lock(nonce)
    await case.consume(nonce, right)
    for what, ticket in (("its ticket", right), ("an empty ticket", ""), ("another ticket", right + "0")):
        reply = await case.ask_release(nonce, ticket)
        reply.expect_refused(f"a release of a consumed nonce with {what}")
        if ticket != right:
            _expect_not_410(reply, f"a release of a consumed nonce with {what}")
        await case.expect_consumed(nonce, f"a release with {what}")


@check(
    id="nonce-lock.ticket.consume-after-consume",
    requirements=["PAY-104"],
    title="A consumed nonce is not consumed under another ticket",
)
async def consume_after_consume(case: NonceLockCase) -> None:
    """A nonce is consumed, then again under other tickets. Each must be refused, but not with 410: a service that is
    told 200 hands out what the credit was already spent for, and 410 says that its own ticket consumed the nonce."""
    nonce = case.nonce()
    right = await case.lock(nonce)
    await case.consume(nonce, right)
    for what, ticket in await _wrong_tickets(case, right):
        reply = await case.ask_consume(nonce, ticket)
        reply.expect_refused(f"a second consumption with {what}")
        _expect_not_410(reply, f"a second consumption with {what}")


def _expect_not_410(reply: Reply, what: str) -> None:
    expect(
        reply.status != 410,
        expected=f"another status than 410 for {what}: 404, say",
        observed="status 410, which is for the ticket that consumed the nonce",
    )


@check(
    id="nonce-lock.ticket.consume-repeated",
    requirements=["PAY-108"],
    title="A repeated consumption succeeds",
)
async def consume_repeated(case: NonceLockCase) -> None:
    """A nonce is consumed three times under its ticket. Each should be answered with 200: a service whose answer was
    lost has to learn that it has the money."""
    nonce = case.nonce()
    right = await case.lock(nonce)
    await case.consume(nonce, right)
    for _ in range(2):
        reply = await case.ask_consume(nonce, right)
        expect(
            reply.status == 200,
            expected="status 200 for a repeated consumption",
            observed=f"status {reply.status}",
            deployed="PAY-D25" if reply.status == 410 else None,
        )


@check(
    id="nonce-lock.ticket.status",
    requirements=["PAY-105"],
    title="A wrong ticket is no reason to try again",
)
async def status(case: NonceLockCase) -> None:
    """A locked nonce is settled with a wrong ticket, and a free one with any. The status must be between 400 and
    499: services repeat what is answered with 5xx for minutes."""
    locked, free = case.nonce(), case.nonce()
    await case.lock(locked)
    for whose, nonce in (("a locked", locked), ("a free", free)):
        for what, ask in (("consumption", case.ask_consume), ("release", case.ask_release)):
            reply: Reply = await ask(nonce, "0123456789abcdef")
            reply.expect_client_error(f"the {what} of {whose} nonce with a wrong ticket", deployed=DEPLOYED)


@check(
    id="nonce-lock.ticket.settling-race",
    requirements=["PAY-104", "PAY-102"],
    title="Of consumptions and releases at once, one kind wins",
)
async def settling_race(case: NonceLockCase) -> None:
    """Five locks are consumed eight times and released eight times at the same time, under their tickets; five others
    likewise, with a release first. If any consumption is answered with 200, the nonce must be consumed, and no release
    be answered so; if a release is, the nonce must be free, and only one."""
    for consumed_first in (True, False) * 5:
        nonce = case.nonce()
        ticket = await case.lock(nonce)
        consume, release = partial(case.ask_consume, nonce, ticket), partial(case.ask_release, nonce, ticket)
        if consumed_first:
            replies = await at_once([consume, release] * 8)
            await _expect_one_kind(case, nonce, consumptions=replies[::2], releases=replies[1::2])
        else:
            replies = await at_once([release, consume] * 8)
            await _expect_one_kind(case, nonce, consumptions=replies[1::2], releases=replies[::2])


async def _expect_one_kind(
    case: NonceLockCase, nonce: Nonce, *, consumptions: Sequence[Reply], releases: Sequence[Reply]
) -> None:
    consumed = sum(reply.status == 200 for reply in consumptions)
    released = sum(reply.status == 200 for reply in releases)
    expect(
        (consumed > 0) != (released > 0) and released <= 1,
        expected="consumptions or one release to succeed",
        observed=f"{consumed} consumptions and {released} releases",
    )
    if consumed:
        await case.expect_consumed(nonce, "consumptions and releases at once")
    else:
        await case.lock(nonce)
