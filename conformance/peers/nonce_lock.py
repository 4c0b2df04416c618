"""The world around a nonce lock: the runner is every service that spends nonces."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from conformance.peers.at_once import exchange_beside_others
from conformance.peers.bank import MESSAGE, Reply
from conformance.peers.mint import draw_nonce
from conformance.peers.taps import Taps
from conformance.requirements import Level
from conformance.runfile import Limits, TargetSettings
from conformance.targets import RunningTarget, Target
from conformance.transcript import Transcript
from conformance.verdicts import Violation, expect
from openpcc_ref.banking import messages
from openpcc_ref.credits import Nonce
from openpcc_ref.http1 import Fields

PATHS = ("/lock", "/consume", "/release")


@dataclass(slots=True, kw_only=True)
class NonceLockCase:
    """What a check of the nonce lock has at hand."""

    url: str
    step_s: float
    taps: Taps
    random: random.Random
    consumed: list[Nonce] = field(default_factory=list)
    """What was consumed in this case."""

    def nonce(self, *, hours: int = 0) -> Nonce:
        """Return a fresh nonce of the present hour, or of so many hours later."""
        return draw_nonce(hours=hours)

    async def ask_lock(self, nonce: Nonce) -> Reply:
        """Ask for a lock."""
        return await self.post("/lock", messages.encode_lock_request(nonce))

    async def ask_consume(self, nonce: Nonce, ticket: str) -> Reply:
        """Ask for the consumption of a nonce."""
        reply = await self.post("/consume", messages.encode_unlock_request(nonce, ticket))
        if reply.status == 200:
            self.consumed.append(nonce)
        return reply

    async def ask_release(self, nonce: Nonce, ticket: str) -> Reply:
        """Ask for the release of a nonce."""
        return await self.post("/release", messages.encode_unlock_request(nonce, ticket))

    async def lock(self, nonce: Nonce) -> str:
        """Lock a nonce and return the ticket; a violation if that is refused."""
        reply = await self.ask_lock(nonce)
        return reply.read(messages.decode_lock_response, "the lock of a free nonce")

    async def consume(self, nonce: Nonce, ticket: str) -> None:
        """Consume a nonce; a violation if that is refused."""
        _expect_done(await self.ask_consume(nonce, ticket), "the consumption of a locked nonce under its ticket")

    async def release(self, nonce: Nonce, ticket: str) -> None:
        """Release a nonce; a violation if that is refused."""
        _expect_done(await self.ask_release(nonce, ticket), "the release of a locked nonce under its ticket")

    async def expect_locked(self, nonce: Nonce, after: str) -> None:
        """Require that a nonce is locked."""
        (await self.ask_lock(nonce)).expect_refused(f"a lock after {after}", 409)

    async def expect_consumed(self, nonce: Nonce, after: str) -> None:
        """Require that a nonce is consumed."""
        (await self.ask_lock(nonce)).expect_refused(f"a lock after {after}", 410)

    async def post(self, path: str, content: bytes, *, fields: Fields = MESSAGE, method: bytes = b"POST") -> Reply:
        """Send a request over a connection of its own and return the whole answer."""
        target = (urlsplit(self.url).path.rstrip("/") + path).encode()
        response, answer = await exchange_beside_others(
            self.url, method, target, fields, content, tap=self.taps.of("service"), step_s=self.step_s
        )
        return Reply(response.status, response.fields, answer)

    async def close_books(self) -> None:
        """Require that everything that was consumed still is. Requirements: PAY-102."""
        for nonce in self.consumed:
            status = (await self.ask_lock(nonce)).status
            if status < 400:
                raise Violation(
                    "the books to balance: every consumed nonce to stay so", f"a lock with {status}", level=Level.MUST
                )


def _expect_done(reply: Reply, what: str) -> None:
    expect(
        reply.status == 200 and reply.content == b"",
        expected=f"status 200 without content for {what}",
        observed=f"status {reply.status} with {len(reply.content)} bytes",
    )


@dataclass(slots=True, kw_only=True)
class NonceLockWorld:
    """The one party before a nonce lock (``conformance.engine.World``)."""

    subject: RunningTarget
    seed: str
    step_s: float
    taps: Taps
    capabilities: frozenset[str] = frozenset()

    @asynccontextmanager
    async def case(self, transcript: Transcript) -> AsyncIterator[NonceLockCase]:
        """Open the world for one case; at its end what was consumed has to be so."""
        self.taps.reset(transcript)
        case = self._case(transcript.case_id)
        yield case
        await case.close_books()

    async def honest_exchange(self) -> None:
        """Lock a nonce and consume it."""
        self.taps.reset(None)
        case = self._case("control")
        nonce = case.nonce()
        await case.consume(nonce, await case.lock(nonce))

    def _case(self, name: str) -> NonceLockCase:
        return NonceLockCase(
            url=self.subject.url,
            step_s=self.step_s,
            taps=self.taps,
            random=random.Random(f"{self.seed}/{name}"),
        )


@asynccontextmanager
async def open_nonce_lock_world(
    target: Target, settings: TargetSettings, *, seed: str, limits: Limits
) -> AsyncIterator[NonceLockWorld]:
    """Start the nonce lock with a record that is empty."""
    async with target.start({"database": None}) as subject:
        yield NonceLockWorld(subject=subject, seed=seed, step_s=limits.step_s * limits.scale, taps=Taps())
