"""Nonce locks whose record is too short, or which say more of it than they know."""

from __future__ import annotations

import hashlib
from time import monotonic

import anyio

from conformance.faults import fault
from openpcc_ref.banking import messages
from openpcc_ref.banking.errors import BankingRejected
from openpcc_ref.banking.nonce_state import Consumed, Locked, NonceState
from openpcc_ref.credits import Nonce
from openpcc_ref.http1 import IncomingRequest
from openpcc_ref.services.nonce_lock import NonceLockService


@fault(
    id="nonce-lock.ends-locks-soon",
    breaks=["PAY-101"],
    trips=["nonce-lock.lock.stays"],
    also=["nonce-lock.**"],  # on a busy machine other cases last as long as its locks
)
class EndsLocksSoon(NonceLockService):
    """Takes the seconds of a lock for milliseconds."""

    def __init__(self, database: str | None = None) -> None:
        super().__init__(database)
        self.times: dict[str, float] = {}

    def lock(self, nonce: Nonce) -> str:
        ticket = super().lock(nonce)
        self.times[ticket] = monotonic()
        return ticket

    def find(self, nonce: Nonce) -> NonceState:
        state = super().find(nonce)
        if isinstance(state, Locked) and monotonic() - self.times[state.ticket] > 0.3:
            return None
        return state


class _Forgetful(NonceLockService):
    """Forgets a nonce when ``kept`` others have come to the state that ``remembers`` looks at."""

    kept = 0

    def __init__(self, database: str | None = None) -> None:
        super().__init__(database)
        self.latest: list[Nonce] = []

    def remembers(self, state: NonceState) -> bool:
        raise NotImplementedError

    def store(self, nonce: Nonce, state: NonceState) -> None:
        super().store(nonce, state)
        if self.remembers(state):
            self.latest.append(nonce)
            if len(self.latest) > self.kept and self.remembers(self.find(oldest := self.latest.pop(0))):
                super().store(oldest, None)


@fault(
    id="nonce-lock.keeps-few-locks",
    breaks=["PAY-101"],
    trips=["nonce-lock.lock.stays"],
)
class KeepsFewLocks(_Forgetful):
    """Drops the oldest lock when there are more than 64."""

    kept = 64

    def remembers(self, state: NonceState) -> bool:
        return isinstance(state, Locked)


@fault(
    id="nonce-lock.keeps-few-consumptions",
    breaks=["PAY-030", "PAY-102"],
    trips=["nonce-lock.lock.consumed"],
)
class KeepsFewConsumptions(_Forgetful):
    """Forgets the oldest consumed nonce when there are more than 128."""

    kept = 128

    def remembers(self, state: NonceState) -> bool:
        return isinstance(state, Consumed)


@fault(
    id="nonce-lock.keeps-a-thousand-consumptions",
    breaks=["PAY-030", "PAY-102"],
    trips=["nonce-lock.lock.consumed-for-long"],
)
class KeepsAThousandConsumptions(KeepsFewConsumptions):
    """Forgets the oldest consumed nonce when there are more than 1,024."""

    kept = 1024


@fault(
    id="nonce-lock.tells-nonces-by-their-stamps",
    breaks=["PAY-101", "PAY-102"],
    trips=["nonce-lock.nonce.other-stamp"],
)
class TellsNoncesByTheirStamps(NonceLockService):
    """Knows a nonce by its random bytes and its stamp, so that 16 bytes can be spent once an hour."""

    def find(self, nonce: Nonce) -> NonceState:
        return super().find(_stamped(nonce))

    def store(self, nonce: Nonce, state: NonceState) -> None:
        super().store(_stamped(nonce), state)


def _stamped(nonce: Nonce) -> Nonce:
    return Nonce(nonce.timestamp, hashlib.sha256(nonce.blind_bytes).digest()[:16])


@fault(
    id="nonce-lock.says-consumed-to-everyone",
    breaks=["PAY-104", "PAY-105"],
    trips=["nonce-lock.ticket.consume-after-consume", "nonce-lock.ticket.release-after-consume"],
)
class SaysConsumedToEveryone(NonceLockService):
    """Looks at the ticket after the state: 410 for a consumed nonce, whosever ticket it is."""

    def consumed(self, state: NonceState, ticket: str) -> NonceState:
        _refuse_consumed(state, but=ticket)
        return super().consumed(state, ticket)

    def released(self, state: NonceState, ticket: str) -> NonceState:
        _refuse_consumed(state, but="")
        return super().released(state, ticket)


def _refuse_consumed(state: NonceState, *, but: str) -> None:
    if isinstance(state, Consumed) and state.ticket != but:
        raise BankingRejected("nonce-lock.consumed", where="nonce", expected="a nonce that is not consumed")


@fault(
    id="nonce-lock.releases-what-it-saw",
    breaks=["PAY-104", "PAY-102"],
    trips=["nonce-lock.ticket.settling-race"],
)
class ReleasesWhatItSaw(NonceLockService):
    """Looks at the state before a release and does not look again: the window is as narrow as can be."""

    async def answer_release(self, request: IncomingRequest, content: bytes) -> bytes:
        nonce, _ = messages.decode_unlock_request(content)
        seen = self.find(nonce)
        await anyio.lowlevel.checkpoint()
        if isinstance(seen, Locked):
            self.store(nonce, seen)
        return await super().answer_release(request, content)


@fault(
    id="nonce-lock.grants-what-it-saw-free",
    breaks=["PAY-101"],
    trips=["nonce-lock.lock.race"],
    also=[
        "nonce-lock.lock.race-with-settling",
    ],
)
class GrantsWhatItSawFree(NonceLockService):
    """Looks at the state before a lock and does not look again: the window is as narrow as can be."""

    async def answer_lock(self, request: IncomingRequest, content: bytes) -> bytes:
        nonce = messages.decode_lock_request(content)
        was_free = self.find(nonce) is None
        await anyio.lowlevel.checkpoint()
        if was_free:
            self.store(nonce, None)
        return await super().answer_lock(request, content)


@fault(
    id="nonce-lock.consumes-in-two-steps",
    breaks=["PAY-101", "PAY-102"],
    trips=["nonce-lock.lock.race-with-settling"],
    also=[
        "nonce-lock.http.media-type",
        "nonce-lock.ticket.settling-race",
    ],
)
class ConsumesInTwoSteps(NonceLockService):
    """Takes the lock away, and then writes the consumption down: in between the nonce is free."""

    async def answer_consume(self, request: IncomingRequest, content: bytes) -> bytes:
        nonce, ticket = messages.decode_unlock_request(content)
        consumed = self.consumed(self.find(nonce), ticket)
        self.store(nonce, None)
        await anyio.lowlevel.checkpoint()
        self.store(nonce, consumed)
        return b""
