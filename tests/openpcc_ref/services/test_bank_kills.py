"""Banks and nonce locks that are killed (SIGKILL) at every step: a credit is spent once or not at all."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import pytest
from money import CURRENCY_KEY, Mint, SetClock, make_bank, post

from openpcc_ref.banking import messages
from openpcc_ref.banking.accounts import AccountToken
from openpcc_ref.banking.errors import BankingRejected
from openpcc_ref.banking.messages import Deposit, Exchange, Withdrawal
from openpcc_ref.banking.nonce_state import LOCK_S, Consumed
from openpcc_ref.credits import Credit
from openpcc_ref.http1 import Http1Error
from openpcc_ref.services.bank import Bank
from openpcc_ref.services.nonce_lock import NonceLockService
from openpcc_ref.services.nonce_lock_client import NonceLockClient, NonceLockUnavailable
from openpcc_ref.sources import system_random

pytestmark = pytest.mark.anyio

AMOUNT = 112
PROGRAM_S = 60
"""What a program's clock may be ahead of the test's: the longest that it may run, in seconds."""


def moments(steps: str) -> list[str]:
    return [f"{moment}:{step}" for step in steps.split() for moment in ("before", "after")]


@asynccontextmanager
async def dying(role: str, step: str, config: dict[str, Any]) -> AsyncIterator[str]:
    """Run a service that is killed at a step; it has to be dead when the context ends."""
    command = [sys.executable, str(Path(__file__).with_name("dying_service.py")), role, step]
    with anyio.fail_after(PROGRAM_S):
        async with await anyio.open_process(command, stderr=None) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            await process.stdin.send(json.dumps(config).encode() + b"\n")
            yield json.loads(await process.stdout.receive())["url"]
            assert await process.wait() == -9


@dataclass
class Site:
    """A nonce lock that lives on, and the database of banks that come and go."""

    directory: Path
    lock: NonceLockService
    lock_url: str
    clock: SetClock
    token: AccountToken = field(default_factory=lambda: AccountToken(system_random(32)))

    def __post_init__(self) -> None:
        self.mint = Mint(self.clock)
        self.database = str(self.directory / "bank.db")

    async def ask_dying_bank(self, step: str, path: str, content: bytes) -> None:
        config = {"currency_key": CURRENCY_KEY, "allow_test_key": True, "nonce_lock_url": self.lock_url}
        async with dying("bank", step, {**config, "database": self.database}) as url:
            with suppress(Http1Error):  # killed after it has answered, it may have been heard
                await post(url, path, content)

    def next_bank(self) -> Bank:
        return make_bank(self.lock_url, self.clock, self.database)

    def is_consumed(self, credit: Credit) -> bool:
        return isinstance(self.lock.find(credit.nonce), Consumed)

    async def deposit(self, bank: Bank, credit: Credit) -> int:
        """Deposit as a client does that got no answer: again, and after the end of a lock once more."""
        try:
            return await bank.deposit(Deposit(self.token, credit))
        except BankingRejected as rejected:
            if rejected.code != "nonce-lock.locked":
                raise
        self.clock.advance(seconds=LOCK_S)
        return await bank.deposit(Deposit(self.token, credit))


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    # Programs read the system's clock, so the credits of this test have to be of today.
    clock = SetClock(datetime.now(UTC))
    lock = NonceLockService(clock=clock)
    async with lock.listening() as server:
        yield Site(tmp_path, lock, server.url, clock)


async def settle(bank: Bank) -> None:
    for spend in bank.ledger.unsettled():
        await bank.resume(spend)


@pytest.mark.parametrize("step", moments("verify known_spend lock record consume book send"))
async def test_a_bank_killed_during_a_deposit_books_the_credit_once_or_not_at_all(site: Site, step: str) -> None:
    credit = site.mint.credit(AMOUNT)
    request = messages.encode_deposit_request(Deposit(site.token, credit))
    await site.ask_dying_bank(step, "/deposit", request)

    bank = site.next_bank()
    await settle(bank)
    assert bank.balance(site.token) == (AMOUNT if site.is_consumed(credit) else 0)

    assert await site.deposit(bank, credit) == AMOUNT
    assert site.is_consumed(credit)
    assert await site.deposit(bank, credit) == AMOUNT
    with pytest.raises(BankingRejected, match=r"nonce-lock\.consumed"):
        await bank.deposit(Deposit(AccountToken(system_random(32)), credit))


@pytest.mark.parametrize("step", moments("verify sign known_spend lock record consume book send"))
async def test_a_bank_killed_during_an_exchange_gives_one_signature_or_none(site: Site, step: str) -> None:
    credit = site.mint.credit(AMOUNT)
    pending, other = site.mint.pending(AMOUNT), site.mint.pending(AMOUNT)
    exchange = Exchange(credit, pending.request.blinded_message)
    await site.ask_dying_bank(step, "/exchange", messages.encode_exchange_request(exchange))

    bank = site.next_bank()
    if not isinstance(site.lock.find(credit.nonce), Consumed) and not bank.ledger.unsettled():
        site.clock.advance(seconds=LOCK_S)
    pending.finalize(await bank.exchange(exchange))
    assert site.is_consumed(credit)
    with pytest.raises(BankingRejected, match=r"nonce-lock\.consumed"):
        await bank.exchange(Exchange(credit, other.request.blinded_message))


@pytest.mark.parametrize("step", moments("price_of known_reply debited sign set_balance withdraw send"))
async def test_a_bank_killed_during_a_withdrawal_debits_once(site: Site, step: str) -> None:
    await site.deposit(site.next_bank(), site.mint.credit(AMOUNT))
    pending = [site.mint.pending(30) for _ in range(3)]
    withdrawal = Withdrawal(site.token, tuple(credit.request for credit in pending))
    await site.ask_dying_bank(step, "/withdraw", messages.encode_withdraw_request(withdrawal))

    bank = site.next_bank()
    assert bank.balance(site.token) in (AMOUNT, AMOUNT - 90)
    balance, signatures = messages.decode_withdraw_response(bank.withdraw(withdrawal).content, 3)
    assert balance == bank.balance(site.token) == AMOUNT - 90
    for credit, signature in zip(pending, signatures, strict=True):
        bank.verify(credit.finalize(signature))


@pytest.mark.parametrize("step", moments("known_reply value_of_all issue set_balance withdraw_full send"))
async def test_a_bank_killed_while_it_empties_an_account_makes_one_credit(site: Site, step: str) -> None:
    await site.deposit(site.next_bank(), site.mint.credit(AMOUNT))
    await site.ask_dying_bank(step, "/withdraw-full", messages.encode_withdraw_full_request(site.token))

    bank = site.next_bank()
    held = bank.balance(site.token)
    credit = messages.decode_withdraw_full_response(bank.withdraw_full(site.token).content)
    bank.verify(credit)
    assert (credit.value.amount, bank.balance(site.token)) == (AMOUNT, 0)
    assert held in (0, AMOUNT)


@pytest.mark.parametrize("step", moments("locked lock consumed consume"))
async def test_a_nonce_lock_killed_during_a_deposit_loses_nothing(tmp_path: Path, step: str) -> None:
    clock = SetClock(datetime.now(UTC))
    credit, token = Mint(clock).credit(AMOUNT), AccountToken(system_random(32))
    path = str(tmp_path / "nonces.db")
    async with dying("nonce_lock", step, {"database": path}) as url:
        bank = make_bank(url, clock)
        with pytest.raises(NonceLockUnavailable):
            await bank.deposit(Deposit(token, credit))
    assert bank.balance(token) == 0

    lock = NonceLockService(path, clock=clock)
    async with lock.listening() as server:
        bank.nonce_lock = NonceLockClient(server.url)
        await settle(bank)
        assert bank.balance(token) == (AMOUNT if isinstance(lock.find(credit.nonce), Consumed) else 0)
        clock.advance(seconds=LOCK_S + PROGRAM_S)
        assert await bank.deposit(Deposit(token, credit)) == AMOUNT
        assert isinstance(lock.find(credit.nonce), Consumed)
