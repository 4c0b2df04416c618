"""Locks: one at a time, none of a consumed nonce, and again of a released one."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import anyio

from conformance.peers.at_once import at_once
from conformance.peers.bank import Reply
from conformance.peers.nonce_lock import NonceLockCase
from conformance.registry import check
from conformance.verdicts import expect
from openpcc_ref.banking import messages
from openpcc_ref.credits import Nonce

_AT_ONCE = 32


@check(
    id="nonce-lock.lock.ticket",
    requirements=["PAY-105", "PAY-104"],
    title="Each lock has a ticket of its own",
)
async def ticket(case: NonceLockCase) -> None:
    """20 nonces are locked. Each answer must be 200 with a ticket that is not empty, and all tickets must differ: a
    ticket is what keeps others from settling the lock."""
    tickets = [await case.lock(case.nonce()) for _ in range(20)]
    different = len(set(tickets))
    expect(different == 20, expected="20 tickets that differ", observed=f"{different} that differ")


@check(
    id="nonce-lock.lock.twice",
    requirements=["PAY-101", "PAY-105"],
    title="A locked nonce is refused with 409",
)
async def twice(case: NonceLockCase) -> None:
    """A nonce is locked three times. The second and third must be answered with 409, and the first ticket must still be
    good."""
    nonce = case.nonce()
    first = await case.lock(nonce)
    await case.expect_locked(nonce, "a lock")
    await case.expect_locked(nonce, "two locks")
    await case.consume(nonce, first)


@check(
    id="nonce-lock.lock.race",
    requirements=["PAY-101"],
    title="Of 32 locks of one nonce at once, one is granted",
)
async def race(case: NonceLockCase) -> None:
    """Five times, 32 services lock one nonce at the same time. Exactly one must get a ticket, all others 409, and that
    ticket must be good."""
    for _ in range(5):
        nonce = case.nonce()
        replies = await at_once([partial(case.ask_lock, nonce)] * _AT_ONCE)
        granted = [reply for reply in replies if reply.status == 200]
        refused = sorted({reply.status for reply in replies if reply.status != 200})
        expect(
            (len(granted), refused) == (1, [409]),
            expected=f"one of {_AT_ONCE} locks, and 409 for the others",
            observed=f"{len(granted)} locks, and {refused or 'nothing'} for the others",
        )
        await case.consume(nonce, granted[0].read(messages.decode_lock_response, "a lock"))


@check(
    id="nonce-lock.lock.race-with-settling",
    requirements=["PAY-101", "PAY-102"],
    title="Locks beside a consumption are refused, and one of those beside a release may be granted",
)
async def race_with_settling(case: NonceLockCase) -> None:
    """A locked nonce is consumed while 16 ask for its lock, and another one is released. Of the former no lock may be
    granted: a record that takes the lock away before it writes the consumption down spends a credit twice. Of the
    latter one lock may be granted, or none. Each five times."""
    for _ in range(5):
        nonce = case.nonce()
        settle = partial(case.ask_consume, nonce, await case.lock(nonce))
        replies = await at_once([settle, *[partial(case.ask_lock, nonce)] * 16])
        expect(
            replies[0].status == 200,
            expected="status 200 for a consumption beside locks",
            observed=f"status {replies[0].status}",
        )
        _expect_granted(replies[1:], 0, "a consumption")
        await case.expect_consumed(nonce, "its consumption beside locks")
        nonce = case.nonce()
        settle = partial(case.ask_release, nonce, await case.lock(nonce))
        _expect_granted((await at_once([settle, *[partial(case.ask_lock, nonce)] * 16]))[1:], 1, "a release")


def _expect_granted(replies: Sequence[Reply], most: int, beside: str) -> None:
    granted = sum(reply.status == 200 for reply in replies)
    expect(
        granted <= most,
        expected=f"{most or 'none'} of {len(replies)} locks at once with {beside} to be granted",
        observed=f"{granted} that were",
    )


@check(
    id="nonce-lock.lock.stays",
    requirements=["PAY-101"],
    title="A lock stays a lock while others come and go",
)
async def stays(case: NonceLockCase) -> None:
    """A nonce is locked, then 100 others, and a second passes. The nonce must still be locked, and its ticket be good:
    a router holds its lock for as long as a node computes."""
    nonce = case.nonce()
    ticket = await case.lock(nonce)
    await at_once([partial(case.ask_lock, case.nonce()) for _ in range(100)])
    await anyio.sleep(1)
    await case.expect_locked(nonce, "a lock of a second ago and 100 other locks")
    await case.consume(nonce, ticket)


@check(
    id="nonce-lock.lock.consumed",
    requirements=["PAY-102", "PAY-105", "PAY-030"],
    title="A consumed nonce is refused with 410",
)
async def consumed(case: NonceLockCase) -> None:
    """Nonces of the present and of the next hour are consumed and locked again. Each must be answered with 410, also
    after 160 others were consumed."""
    nonces = await _consumed(case, 0, 1)
    for _ in range(5):
        await _consume_at_once(case, 32)
    for nonce in nonces:
        await case.expect_consumed(nonce, "its consumption and 160 others")


@check(
    id="nonce-lock.lock.consumed-for-long",
    requirements=["PAY-030", "PAY-102"],
    title="A consumed nonce stays consumed, however many follow",
    costly=True,
)
async def consumed_for_long(case: NonceLockCase) -> None:
    """Nonces of the present and of the next hour are consumed, then 1,100 others. The first must still be answered with
    410: a record that keeps the latest thousand can be filled by whoever has the money, who gets it back so."""
    nonces = await _consumed(case, 0, 1)
    for _ in range(22):
        await _consume_at_once(case, 50)
    for nonce in nonces:
        await case.expect_consumed(nonce, "its consumption and 1,100 others")


async def _consumed(case: NonceLockCase, *hours: int) -> list[Nonce]:
    """Return nonces of these hours that were consumed and are known to be."""
    nonces = [case.nonce(hours=later) for later in hours]
    for nonce in nonces:
        await case.consume(nonce, await case.lock(nonce))
        await case.expect_consumed(nonce, "its consumption")
    return nonces


async def _consume_at_once(case: NonceLockCase, number: int) -> None:
    """Lock some nonces at the same time, then consume them at the same time; a violation if one is refused."""
    nonces = [case.nonce() for _ in range(number)]
    locked = await at_once([partial(case.ask_lock, nonce) for nonce in nonces])
    tickets = [reply.read(messages.decode_lock_response, "a lock beside others") for reply in locked]
    settled = await at_once(
        [partial(case.ask_consume, nonce, ticket) for nonce, ticket in zip(nonces, tickets, strict=True)]
    )
    statuses = sorted({reply.status for reply in settled})
    expect(statuses == [200], expected="status 200 for each consumption", observed=f"statuses {statuses}")


@check(
    id="nonce-lock.lock.released",
    requirements=["PAY-103"],
    title="A released nonce can be locked again",
)
async def released(case: NonceLockCase) -> None:
    """A nonce is locked and released five times, then locked and consumed. All must succeed."""
    nonce = case.nonce()
    for _ in range(5):
        await case.release(nonce, await case.lock(nonce))
    await case.consume(nonce, await case.lock(nonce))
    await case.expect_consumed(nonce, "its consumption")


@check(
    id="nonce-lock.lock.independent",
    requirements=["PAY-101", "PAY-103"],
    title="Nonces that differ in one bit are two",
)
async def independent(case: NonceLockCase) -> None:
    """A nonce is consumed. Nonces that differ from it in one bit of the first, a middle and the last byte must be
    lockable: a record that keeps a part of a nonce only refuses good credits."""
    nonce = case.nonce()
    await case.consume(nonce, await case.lock(nonce))
    for at in (0, 8, 15):
        random = bytearray(nonce.random)
        random[at] ^= 1
        await case.lock(type(nonce)(nonce.timestamp, bytes(random)))


@check(
    id="nonce-lock.lock.many-at-once",
    requirements=["PAY-103", "PAY-105"],
    title="Locks of different nonces do not disturb each other",
)
async def many_at_once(case: NonceLockCase) -> None:
    """32 different nonces are locked at the same time, then consumed at the same time. All must succeed."""
    await _consume_at_once(case, _AT_ONCE)
