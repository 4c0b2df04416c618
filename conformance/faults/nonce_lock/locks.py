"""Nonce locks that grant too much, settle under any ticket, or forget."""

from __future__ import annotations

from typing import ClassVar

import anyio

from conformance.faults import fault
from openpcc_ref.banking import messages, nonce_state
from openpcc_ref.banking.errors import BankingRejected
from openpcc_ref.banking.nonce_state import Consumed, Locked, NonceState
from openpcc_ref.credits import Nonce
from openpcc_ref.errors import Rejected, without_check
from openpcc_ref.http1 import IncomingRequest
from openpcc_ref.services.message_service import Answer
from openpcc_ref.services.nonce_lock import NonceLockService


class LenientNonceLock(NonceLockService):
    """``without`` are codes of refusals (``openpcc_ref.errors.require``)."""

    without: ClassVar[tuple[str, ...]] = ()

    async def answer(self, request: IncomingRequest) -> Answer:
        with without_check(*self.without):
            return await super().answer(request)


class CrashingNonceLock(NonceLockService):
    """Says 500 where it should refuse with ``codes``."""

    codes: ClassVar[tuple[str, ...]] = ()

    def status_of(self, rejected: Rejected) -> int:
        return 500 if rejected.code in self.codes else super().status_of(rejected)


# -- locks ---------------------------------------------------------------------------------------------------------


@fault(
    id="nonce-lock.has-one-ticket",
    breaks=["PAY-104"],
    trips=["nonce-lock.lock.ticket", "nonce-lock.ticket.old", "nonce-lock.ticket.consume"],
    also=[
        "nonce-lock.ticket.consume-after-consume",
        "nonce-lock.ticket.release",
    ],
)
class HasOneTicket(NonceLockService):
    """Gives the same ticket for every lock."""

    def draw_ticket(self) -> str:
        return "0000000000000000"


@fault(
    id="nonce-lock.grants-locked-nonces",
    breaks=["PAY-101"],
    trips=["nonce-lock.lock.twice", "nonce-lock.lock.race"],
    also=[
        "nonce-lock.http.error-message",
        "nonce-lock.http.media-type",
        "nonce-lock.lock.race-with-settling",
        "nonce-lock.lock.stays",
        "nonce-lock.nonce.nanos",
        "nonce-lock.nonce.other-stamp",
        "nonce-lock.ticket.absent",
        "nonce-lock.ticket.consume",
        "nonce-lock.ticket.old",
        "nonce-lock.ticket.release",
    ],
)
class GrantsLockedNonces(LenientNonceLock):
    """Gives a lock to whoever asks last."""

    without = ("nonce-lock.locked",)


@fault(
    id="nonce-lock.grants-at-once",
    breaks=["PAY-101"],
    trips=["nonce-lock.lock.race"],
    also=[
        "nonce-lock.lock.race-with-settling",
    ],
)
class GrantsAtOnce(NonceLockService):
    """Looks whether a nonce is free, waits while others do the same, and locks it."""

    async def answer_lock(self, request: IncomingRequest, content: bytes) -> bytes:
        nonce = messages.decode_lock_request(content)
        was_free = self.find(nonce) is None
        await anyio.sleep(0.02)
        if was_free:
            self.store(nonce, None)
        return await super().answer_lock(request, content)


@fault(
    id="nonce-lock.grants-consumed-nonces",
    breaks=["PAY-102"],
    trips=["nonce-lock.lock.consumed", "nonce-lock.ticket.release-after-consume"],
    also=[
        "nonce-lock.http.answers",
        "nonce-lock.http.error-message",
        "nonce-lock.lock.independent",
        "nonce-lock.lock.many-at-once",
        "nonce-lock.lock.race",
        "nonce-lock.lock.race-with-settling",
        "nonce-lock.lock.released",
        "nonce-lock.lock.stays",
        "nonce-lock.lock.twice",
        "nonce-lock.nonce.nanos",
        "nonce-lock.nonce.other-stamp",
        "nonce-lock.ticket.absent",
        "nonce-lock.ticket.consume-after-consume",
        "nonce-lock.ticket.consume-repeated",
        "nonce-lock.ticket.old",
        "nonce-lock.ticket.release",
        "nonce-lock.ticket.settling-race",
        "nonce-lock.ticket.unlocked",
    ],
)
class GrantsConsumedNonces(LenientNonceLock):
    """Locks consumed nonces again."""

    without = ("nonce-lock.consumed",)


@fault(
    id="nonce-lock.calls-consumed-nonces-locked",
    breaks=["PAY-105"],
    trips=["nonce-lock.lock.consumed"],
    also=[
        "nonce-lock.lock.race-with-settling",
        "nonce-lock.lock.released",
        "nonce-lock.nonce.nanos",
        "nonce-lock.nonce.other-stamp",
        "nonce-lock.ticket.release-after-consume",
        "nonce-lock.ticket.settling-race",
    ],
)
class CallsConsumedNoncesLocked(NonceLockService):
    """Says 409 for consumed nonces, so that services try again."""

    def status_of(self, rejected: Rejected) -> int:
        return 409 if rejected.code == "nonce-lock.consumed" else super().status_of(rejected)


@fault(
    id="nonce-lock.forgets-soon",
    breaks=["PAY-030"],
    trips=["nonce-lock.lock.consumed"],
    also=[
        "nonce-lock.ticket.settling-race",
        "nonce-lock.lock.consumed-for-long",
        "nonce-lock.lock.many-at-once",
        "nonce-lock.lock.stays",
    ],
)
class ForgetsSoon(NonceLockService):
    """Remembers the last 50 nonces."""

    latest: tuple[bytes, ...] = ()

    def store(self, nonce: Nonce, state: NonceState) -> None:
        super().store(nonce, state)
        self.latest = (*self.latest, nonce.random)[-50:]
        marks = ",".join("?" * len(self.latest))
        self.records.execute(f"DELETE FROM nonces WHERE random NOT IN ({marks})", self.latest)


@fault(
    id="nonce-lock.spends-released-nonces",
    breaks=["PAY-103"],
    trips=["nonce-lock.lock.released"],
    also=[
        "nonce-lock.ticket.settling-race",
        "nonce-lock.ticket.old",
        "nonce-lock.ticket.unlocked",
    ],
)
class SpendsReleasedNonces(NonceLockService):
    """Takes a released nonce for a spent one."""

    def released(self, state: NonceState, ticket: str) -> NonceState:
        super().released(state, ticket)
        return Consumed(ticket)


@fault(
    id="nonce-lock.looks-at-half-a-nonce",
    breaks=["PAY-101"],
    trips=["nonce-lock.lock.independent"],
)
class LooksAtHalfANonce(NonceLockService):
    """Knows a nonce by its first eight bytes."""

    def find(self, nonce: Nonce) -> NonceState:
        return super().find(_half(nonce))

    def store(self, nonce: Nonce, state: NonceState) -> None:
        super().store(_half(nonce), state)


def _half(nonce: Nonce) -> Nonce:
    return Nonce(nonce.timestamp, nonce.random[:8] + bytes(8))


@fault(
    id="nonce-lock.serves-one-at-a-time",
    breaks=["PAY-105"],
    trips=["nonce-lock.lock.many-at-once"],
    also=[
        "nonce-lock.lock.consumed",
        "nonce-lock.lock.stays",
    ],
)
class ServesOneAtATime(NonceLockService):
    """Turns down whoever comes while another is served."""

    busy = False

    async def answer_lock(self, request: IncomingRequest, content: bytes) -> bytes:
        if self.busy:
            raise BankingRejected("nonce-lock.locked", where="service", expected="one request at a time")
        self.busy = True
        try:
            await anyio.sleep(0.005)
            return await super().answer_lock(request, content)
        finally:
            self.busy = False


# -- tickets -------------------------------------------------------------------------------------------------------


@fault(
    id="nonce-lock.minds-no-tickets",
    breaks=["PAY-104"],
    trips=[
        "nonce-lock.ticket.consume",
        "nonce-lock.ticket.release",
        "nonce-lock.ticket.absent",
        "nonce-lock.ticket.old",
        "nonce-lock.ticket.unlocked",
        "nonce-lock.ticket.consume-after-consume",
        "nonce-lock.ticket.status",
    ],
    also=[
        "nonce-lock.ticket.release-after-consume",
        "nonce-lock.ticket.settling-race",
    ],
)
class MindsNoTickets(LenientNonceLock):
    """Settles whatever it is asked to."""

    without = ("nonce-lock.ticket",)


@fault(
    id="nonce-lock.needs-no-ticket",
    breaks=["PAY-104"],
    trips=["nonce-lock.ticket.absent", "nonce-lock.ticket.consume", "nonce-lock.ticket.release"],
    also=[
        "nonce-lock.ticket.consume-after-consume",
        "nonce-lock.ticket.release-after-consume",
    ],
)
class NeedsNoTicket(NonceLockService):
    """Takes an empty ticket for the right one."""

    def consumed(self, state: NonceState, ticket: str) -> NonceState:
        return super().consumed(state, _or_right(state, ticket))

    def released(self, state: NonceState, ticket: str) -> NonceState:
        return super().released(state, _or_right(state, ticket))


def _or_right(state: NonceState, ticket: str) -> str:
    return state.ticket if state is not None and not ticket else ticket


@fault(
    id="nonce-lock.compares-the-start-of-tickets",
    breaks=["PAY-104"],
    trips=["nonce-lock.ticket.consume", "nonce-lock.ticket.release"],
    also=[
        "nonce-lock.ticket.consume-after-consume",
        "nonce-lock.ticket.release-after-consume",
    ],
)
class ComparesTheStartOfTickets(NonceLockService):
    """Takes a ticket for the right one if its first eight characters are."""

    def consumed(self, state: NonceState, ticket: str) -> NonceState:
        return super().consumed(state, _nearly(state, ticket))

    def released(self, state: NonceState, ticket: str) -> NonceState:
        return super().released(state, _nearly(state, ticket))


def _nearly(state: NonceState, ticket: str) -> str:
    return state.ticket if state is not None and state.ticket[:8] == ticket[:8] else ticket


@fault(
    id="nonce-lock.makes-tickets-of-nonces",
    breaks=["PAY-104"],
    trips=["nonce-lock.ticket.old"],
)
class MakesTicketsOfNonces(NonceLockService):
    """Gives every lock of a nonce the same ticket."""

    def lock(self, nonce: Nonce) -> str:
        self.ticket = nonce.random.hex()
        return super().lock(nonce)

    def draw_ticket(self) -> str:
        return self.ticket


@fault(
    id="nonce-lock.releases-consumed-nonces",
    breaks=["PAY-102"],
    trips=["nonce-lock.ticket.release-after-consume"],
    also=[
        "nonce-lock.ticket.settling-race",
    ],
)
class ReleasesConsumedNonces(NonceLockService):
    """Frees a consumed nonce for whoever consumed it."""

    def released(self, state: NonceState, ticket: str) -> NonceState:
        if isinstance(state, Consumed) and state.ticket == ticket:
            return None
        return super().released(state, ticket)


@fault(
    id="nonce-lock.consumes-consumed-nonces",
    breaks=["PAY-104"],
    trips=["nonce-lock.ticket.consume-after-consume"],
)
class ConsumesConsumedNonces(NonceLockService):
    """Says 200 for every further consumption, whosever ticket it is."""

    def consumed(self, state: NonceState, ticket: str) -> NonceState:
        return state if isinstance(state, Consumed) else super().consumed(state, ticket)


@fault(
    id="nonce-lock.consumes-once",
    breaks=["PAY-108"],
    trips=["nonce-lock.ticket.consume-repeated"],
)
class ConsumesOnce(NonceLockService):
    """Says 410 for a repeated consumption, as deployed nonce locks do."""

    def consumed(self, state: NonceState, ticket: str) -> NonceState:
        if isinstance(state, Consumed) and state.ticket == ticket:
            nonce_state.lock(state, ticket, 0)
        return super().consumed(state, ticket)


@fault(
    id="nonce-lock.blames-itself-for-wrong-tickets",
    breaks=["PAY-105"],
    trips=["nonce-lock.ticket.status"],
)
class BlamesItselfForWrongTickets(CrashingNonceLock):
    """Says 500 where a ticket is wrong, as deployed nonce locks do."""

    codes = ("nonce-lock.ticket",)


@fault(
    id="nonce-lock.settles-at-once",
    breaks=["PAY-104", "PAY-102"],
    trips=["nonce-lock.ticket.settling-race"],
)
class SettlesAtOnce(NonceLockService):
    """Looks at the state, waits while others do the same, and settles what it saw."""

    async def answer_consume(self, request: IncomingRequest, content: bytes) -> bytes:
        await self._wait(content)
        return await super().answer_consume(request, content)

    async def answer_release(self, request: IncomingRequest, content: bytes) -> bytes:
        await self._wait(content)
        return await super().answer_release(request, content)

    async def _wait(self, content: bytes) -> None:
        nonce, _ = messages.decode_unlock_request(content)
        seen = self.find(nonce)
        await anyio.sleep(0.02)
        if isinstance(seen, Locked):
            self.store(nonce, seen)
