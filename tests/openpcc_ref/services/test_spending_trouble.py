"""What becomes of spends that come to their end late, out of turn, above a limit, or under another stamp."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import anyio
import pytest
from money import Town, open_town
from test_authbank_service import PREPAID, Counter, open_counter

from openpcc_ref.banking.errors import BankingRejected
from openpcc_ref.banking.messages import Deposit, Exchange
from openpcc_ref.banking.nonce_state import Consumed
from openpcc_ref.banking.spends import Spend
from openpcc_ref.credits import Nonce
from openpcc_ref.http1 import IncomingRequest, Responder, listen
from openpcc_ref.services.bank import Bank
from openpcc_ref.services.ledger import REPEATABLE_S
from openpcc_ref.services.nonce_lock import NonceLockService
from openpcc_ref.services.nonce_lock_client import NonceLockClient, NonceLockUnavailable

pytestmark = pytest.mark.anyio


class LosingBank(Bank):
    """Consumes, and does not hear of it, nor of anything that it asks next, while ``deaf``."""

    deaf = False

    async def consume(self, spend: Spend) -> None:
        await super().consume(spend)
        self._listen()

    async def release(self, spend: Spend) -> None:
        self._listen()
        await super().release(spend)

    def _listen(self) -> None:
        if self.deaf:
            raise NonceLockUnavailable("nothing heard")


@pytest.fixture
async def town() -> AsyncIterator[Town]:
    async with open_town(LosingBank) as town:
        yield town


def losing(town: Town) -> LosingBank:
    assert isinstance(town.bank, LosingBank)
    return town.bank


async def test_what_is_settled_late_can_be_asked_for_as_long_as_what_is_settled_at_once(town: Town) -> None:
    bank, credit, pending = losing(town), town.mint.credit(64), town.mint.pending(64)
    exchange = Exchange(credit, pending.request.blinded_message)
    bank.deaf = True
    with pytest.raises(NonceLockUnavailable):
        await bank.exchange(exchange)
    bank.deaf = False
    town.clock.advance(seconds=REPEATABLE_S + 1)
    await bank.settle_all()
    town.clock.advance(seconds=REPEATABLE_S - 1)
    await bank.deposit(Deposit(town.token(), town.mint.credit(1)))
    bank.verify(pending.finalize(await bank.exchange(exchange)))


@pytest.mark.parametrize("status", [401, 403, 408, 425, 429])
async def test_what_is_not_about_the_nonce_settles_nothing(town: Town, status: int) -> None:
    bank, token, credit = losing(town), town.token(), town.mint.credit(64)
    bank.deaf = True
    with pytest.raises(NonceLockUnavailable):
        await bank.deposit(Deposit(token, credit))
    bank.deaf = False
    well = bank.nonce_lock

    async def turn_away(request: IncomingRequest, responder: Responder) -> None:
        await responder.send_head(status, ((b"content-length", b"0"),))
        await responder.finish()

    async with listen(turn_away) as server:
        bank.nonce_lock = NonceLockClient(server.url)
        await bank.settle_all()
    assert bank.balance(token) == 0
    bank.nonce_lock = well
    await bank.settle_all()
    assert bank.balance(token) == 64


async def test_a_spend_that_cannot_be_settled_holds_up_no_other(town: Town) -> None:
    bank, token, credits = losing(town), town.token(), [town.mint.credit(amount) for amount in (1, 2)]
    bank.deaf = True
    for credit in credits:
        with pytest.raises(NonceLockUnavailable):
            await bank.deposit(Deposit(token, credit))
        town.clock.advance(seconds=1)
    bank.deaf = False

    class Stuck(NonceLockClient):
        async def consume(self, nonce: Nonce, ticket: str) -> None:
            if nonce == credits[0].nonce:
                raise NonceLockUnavailable("status 500")
            await super().consume(nonce, ticket)

    bank.nonce_lock = Stuck(town.lock_url)
    await bank.settle_all()
    assert bank.balance(token) == 2


async def test_refunds_at_once_keep_to_the_limit() -> None:
    async with open_counter() as counter:
        await counter.credit(64)
        others = [counter.mint.credit(64) for _ in range(6)]
        statuses: list[int] = []

        async def refund(at: int, customer: Counter) -> None:
            statuses.append(await customer.refund(others[at]))

        async with anyio.create_task_group() as group:
            for at in range(len(others)):
                group.start_soon(refund, at, replace(counter))
        assert sorted(statuses) == [200] + [403] * 5
        assert counter.balance == PREPAID


async def test_a_refund_above_the_limit_leaves_its_credit_spendable() -> None:
    async with open_counter() as counter:
        await counter.credit(64)
        one, other = counter.mint.credit(64), counter.mint.credit(64)
        assert [await counter.refund(one), await counter.refund(other)] == [200, 403]
        await counter.credit(64)
        assert (await counter.refund(other), counter.balance) == (200, PREPAID)


def test_a_nonce_is_remembered_by_its_latest_stamp() -> None:
    lock = NonceLockService()
    hour = lock.now() // 3600 * 3600
    nonce = Nonce(hour, bytes(16))
    lock.consume(replace(nonce, timestamp=0), lock.lock(nonce))
    lock.lock(replace(nonce, random=bytes(15) + b"\1"))
    assert isinstance(lock.find(nonce), Consumed)
    with pytest.raises(BankingRejected, match=r"nonce-lock\.consumed"):
        lock.lock(nonce)
