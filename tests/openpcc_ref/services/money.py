"""Money for tests: a currency key, credits that it signed, a clock that is told the time, and services on it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from conformance.vectors.currency_keys import DEPLOYED_1024
from openpcc_ref.banking.accounts import AccountToken
from openpcc_ref.credits import Credit, CurrencyValue, Issuer, Payee, PendingCredit, currency
from openpcc_ref.http1 import Fields, exchange
from openpcc_ref.services.bank import Bank
from openpcc_ref.services.ledger import Ledger
from openpcc_ref.services.message_service import MEDIA_TYPE
from openpcc_ref.services.nonce_lock import NonceLockService
from openpcc_ref.services.nonce_lock_client import NonceLockClient
from openpcc_ref.sources import system_random

KEY = DEPLOYED_1024
CURRENCY_KEY = {"p": f"{KEY.p:x}", "q": f"{KEY.q:x}"}
MESSAGE: Fields = ((b"content-type", MEDIA_TYPE),)


@dataclass
class SetClock:
    """Half past an hour, until told otherwise."""

    now: datetime = field(default_factory=lambda: datetime(2026, 1, 1, 12, 30, tzinfo=UTC))

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **duration: float) -> None:
        self.now += timedelta(**duration)


@dataclass
class Mint:
    """Signs whatever it is asked to, as a client that was served well would have it."""

    clock: SetClock

    def __post_init__(self) -> None:
        self.issuer = Issuer(KEY, random=system_random, clock=self.clock, allow_test_key=True)
        self.payee = Payee(KEY.public_key, random=system_random, clock=self.clock, allow_test_key=True)

    def pending(self, amount: int) -> PendingCredit:
        return self.payee.begin(currency.exact(amount))

    def credit(self, value: CurrencyValue | int) -> Credit:
        pending = self.payee.begin(currency.exact(value) if isinstance(value, int) else value)
        return pending.finalize(self.issuer.blind_sign(pending.request))


@dataclass
class Town:
    """A bank, its nonce lock, and where both are."""

    clock: SetClock
    mint: Mint
    lock: NonceLockService
    bank: Bank
    lock_url: str
    bank_url: str

    async def ask(self, path: str, content: bytes) -> tuple[int, bytes]:
        """Ask the bank; return status and content."""
        return await post(self.bank_url, path, content)

    def token(self) -> AccountToken:
        return AccountToken(system_random(32))


async def post(url: str, path: str, content: bytes, fields: Fields = MESSAGE) -> tuple[int, bytes]:
    response, answer = await exchange(url, b"POST", path.encode(), fields, content)
    return response.status, answer


def make_bank(nonce_lock_url: str, clock: SetClock, path: str | None = None) -> Bank:
    return Bank(KEY, NonceLockClient(nonce_lock_url), Ledger(path), clock=clock, allow_test_key=True)


@asynccontextmanager
async def open_town(bank_class: type[Bank] = Bank) -> AsyncIterator[Town]:
    clock = SetClock()
    lock = NonceLockService(clock=clock)
    async with lock.listening() as lock_server:
        bank = bank_class(KEY, NonceLockClient(lock_server.url), Ledger(None), clock=clock, allow_test_key=True)
        async with bank.listening() as bank_server:
            yield Town(clock, Mint(clock), lock, bank, lock_server.url, bank_server.url)
