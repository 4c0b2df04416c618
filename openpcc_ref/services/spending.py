"""Taking credits so that a stop at any moment neither loses one nor spends it twice.

The steps are: verify, lock, write down, consume, book, answer. Before the second nothing has happened; between lock and
record the lock ends by itself; after the record the nonce lock is asked again whether it consumed: it knows the ticket.
Requirements: PAY-092, PAY-093, PAY-100, PAY-109 to PAY-111.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

import anyio

from openpcc_ref.banking.errors import BankingRejected
from openpcc_ref.banking.spends import Spend
from openpcc_ref.credits.credit import AnyCredit
from openpcc_ref.credits.errors import CreditRejected
from openpcc_ref.credits.issuer import Issuer
from openpcc_ref.credits.nonce import Nonce
from openpcc_ref.credits.rsa_keys import PrivateKey, private_key, require_currency_key
from openpcc_ref.errors import Rejected
from openpcc_ref.http1 import IncomingRequest
from openpcc_ref.services.config import ConfigRejected, Settings
from openpcc_ref.services.ledger import Ledger
from openpcc_ref.services.message_service import Answer, MessageService
from openpcc_ref.services.nonce_lock_client import NonceLockClient, NonceLockUnavailable
from openpcc_ref.sources import Clock, RandomSource, system_clock, system_random

STATUSES = {
    "account.uncovered": 402,
    "account.above-maximum": 422,
    "nonce-lock.locked": 409,
    "nonce-lock.consumed": 410,
    "blind-rsa.signing.fault": 500,
}
"""Status by code; every other refusal is 400. Requirements: PAY-091."""


class SpendingService(MessageService):
    """A service that takes credits under one currency key and books them in one ledger.

    ``settle_every_s`` is the pause between two looks for spends that were left half done, in seconds.
    """

    settle_every_s = 30.0

    def __init__(
        self,
        key: PrivateKey,
        nonce_lock: NonceLockClient,
        ledger: Ledger,
        *,
        clock: Clock = system_clock,
        random: RandomSource = system_random,
        allow_test_key: bool = False,
    ) -> None:
        self.issuer = Issuer(key, random=random, clock=clock, allow_test_key=allow_test_key)
        self.nonce_lock = nonce_lock
        self.ledger = ledger
        self.clock = clock
        self.random = random

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Settle what an earlier run left half done, and what a lost nonce lock leaves."""
        async with anyio.create_task_group() as group:
            group.start_soon(self.settle_left_over)
            yield
            group.cancel_scope.cancel()

    async def settle_left_over(self) -> None:
        """Look for spends that were begun and not ended, now and then."""
        while True:
            await self.settle_all()
            await anyio.sleep(self.settle_every_s)

    async def settle_all(self) -> None:
        """Resume every spend that was begun and not ended; one that cannot be settled holds up no other."""
        for spend in self.ledger.unsettled():
            with suppress(NonceLockUnavailable):
                await self.resume(spend)

    async def answer(self, request: IncomingRequest) -> Answer:
        try:
            return await super().answer(request)
        except NonceLockUnavailable:
            return self.error(503, "the nonce lock is unavailable")

    def status_of(self, rejected: Rejected) -> int:
        return STATUSES.get(rejected.code, 400)

    def now(self) -> int:
        """Return the present moment in Unix seconds."""
        return int(self.clock().timestamp())

    # -- the steps of a spend ----------------------------------------------------------------------------------------

    def verify(self, credit: AnyCredit) -> None:
        """Verify a credit, before anybody is asked for a lock. Requirements: PAY-034, PAY-109."""
        self.issuer.verify(credit)

    async def spend(self, wanted: Spend) -> Spend:
        """Spend a credit once; an identical request changes nothing and gets the first one's spend.

        Requirements: PAY-076, PAY-092, PAY-110. Raises :class:`BankingRejected` with ``nonce-lock.locked``,
        ``nonce-lock.consumed`` or ``nonce-lock.refused``, and :class:`NonceLockUnavailable`.
        """
        known = self.known_spend(wanted)
        if known is not None and (known.settled or await self.resume(known)):
            return known
        begun = replace(wanted, ticket=await self.lock(wanted.nonce))
        try:
            self.record(begun)
        except BaseException:
            await self.release(begun)
            raise
        await self.finish(begun)
        return begun

    def known_spend(self, wanted: Spend) -> Spend | None:
        """Return the spend that an identical request began. Requirements: PAY-092.

        Raises :class:`BankingRejected` where another request began one.
        """
        known = self.ledger.find_spend(wanted.nonce)
        if known is not None and known.purpose != wanted.purpose:
            fault = "consumed" if known.settled else "locked"
            raise BankingRejected(f"nonce-lock.{fault}", where="nonce", expected=f"a nonce that is not {fault}")
        return known

    async def lock(self, nonce: Nonce) -> str:
        """Lock the nonce."""
        return await self.nonce_lock.lock(nonce)

    def record(self, spend: Spend) -> None:
        """Write down what is about to happen. Requirements: PAY-093."""
        now = self.now()
        with self.ledger.transaction():
            self.ledger.forget_old(now)
            self.require_admissible(spend)
            self.ledger.record(spend, now)

    def require_admissible(self, spend: Spend) -> None:
        """Refuse, in the step that writes a spend down, what the account cannot take. Raises :class:`Rejected`."""

    async def finish(self, spend: Spend) -> None:
        """Consume the nonce of a spend that has just begun, and book it.

        Where it is unknown whether the nonce is consumed, a spend that only books takes the lock back; one that hands
        out a signature stays as it is, so that only an identical request can have it.
        """
        try:
            await self.consume(spend)
        except (BankingRejected, NonceLockUnavailable) as failure:
            if spend.blind_signature or not await self.was_consumed(spend):
                raise NonceLockUnavailable("the nonce could not be consumed") from failure
        self.book(spend)

    async def consume(self, spend: Spend) -> None:
        """Consume the nonce. Requirements: PAY-110."""
        await self.nonce_lock.consume(spend.nonce, spend.ticket)

    async def was_consumed(self, spend: Spend) -> bool:
        """Release the nonce, and say whether it turned out to be consumed. Requirements: PAY-111."""
        try:
            await self.release(spend)
        except BankingRejected as rejected:
            if rejected.code == "nonce-lock.consumed":
                return True
        self.ledger.drop(spend)
        return False

    async def release(self, spend: Spend) -> None:
        """Release the nonce."""
        await self.nonce_lock.release(spend.nonce, spend.ticket)

    async def resume(self, spend: Spend) -> bool:
        """Go on with a spend that was left half done; say whether it came to its end.

        Under the ticket of its lock a nonce can be consumed again and again, or is said to be consumed under it.
        """
        try:
            await self.consume(spend)
        except BankingRejected as rejected:
            if rejected.code != "nonce-lock.consumed":
                self.ledger.drop(spend)
                return False
        self.book(spend)
        return True

    def book(self, spend: Spend) -> None:
        """Note that the nonce is consumed and add the amount to the balance, as one. Requirements: PAY-074, PAY-093."""
        with self.ledger.transaction():
            if self.ledger.mark_settled(spend, self.now()) and spend.account_id:
                balance = self.ledger.balance(spend.account_id) + spend.amount
                self.ledger.set_balance(spend.account_id, balance)
                self.account_used(spend.account_id)

    def account_used(self, account_id: bytes) -> None:
        """Note, in the same step, that an account has received something."""


def read_currency_key(settings: Settings) -> tuple[PrivateKey, bool]:
    """Take ``currency_key``, two primes, and ``allow_test_key`` if it is there. Requirements: PAY-040, PAY-041.

    Raises :class:`ConfigRejected`.
    """
    primes = settings.object("currency_key")
    p, q = primes.hex_integer("p"), primes.hex_integer("q")
    primes.end()
    allow_test_key = settings.flag("allow_test_key")
    try:
        key = private_key(p, q)
        require_currency_key(key.public_key, allow_test_key=allow_test_key)
    except CreditRejected as rejected:
        raise ConfigRejected("config.value", where="config.currency_key", expected=rejected.expected) from rejected
    return key, allow_test_key
