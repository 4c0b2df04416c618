"""Banks that exchange wrongly, or get the order of steps wrong."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import anyio

from conformance.faults import fault
from openpcc_ref.banking.errors import BankingRejected
from openpcc_ref.banking.messages import Deposit, Exchange
from openpcc_ref.banking.spends import Spend, exchanging
from openpcc_ref.credits import BlindSignRequest, CurrencyValue, Nonce
from openpcc_ref.http1 import Http1Error, IncomingRequest
from openpcc_ref.services.bank import Bank
from openpcc_ref.services.ledger import Reply
from openpcc_ref.services.message_service import Answer
from openpcc_ref.services.nonce_lock_client import NonceLockUnavailable


@fault(
    id="bank.exchanges-for-the-next-value",
    breaks=["PAY-085"],
    trips=["bank.exchange.value"],
    also=[
        "bank.repetition.other-credit",
        "bank.exchange.deposited",
        "bank.exchange.twice",
        "bank.exchange.unusable-message",
        "bank.ledger.circle",
        "bank.nonce-lock.garbage",
        "bank.nonce-lock.lock-fails",
        "bank.nonce-lock.refuses",
        "bank.nonce-lock.unreachable",
        "bank.repetition.after-lost-answers",
        "bank.signature.salt",
        "bank.withdraw-full.exchange",
    ],
)
class ExchangesForTheNextValue(Bank):
    """Signs the new credit under the value above that of the old one."""

    async def exchange(self, exchange: Exchange) -> bytes:
        code = min(exchange.credit.value.code + 1, 511)
        self.verify(exchange.credit)
        self.amount_of(exchange.credit.value)
        (signature,) = self.sign([BlindSignRequest(CurrencyValue(code), exchange.blinded_message)])
        return (await self.spend(exchanging(exchange, signature))).blind_signature


@fault(
    id="bank.consumes-before-it-signs",
    breaks=["PAY-111"],
    trips=["bank.exchange.unusable-message"],
    also=[
        "bank.status.unusable-message",
    ],
)
class ConsumesBeforeItSigns(Bank):
    """Finds out that a message cannot be signed when the old credit is spent."""

    async def exchange(self, exchange: Exchange) -> bytes:
        self.verify(exchange.credit)
        self.amount_of(exchange.credit.value)
        await self.spend(exchanging(exchange, b""))
        (signature,) = self.sign([exchange.request])
        return signature


@fault(
    id="bank.goes-on-without-nonce-lock",
    breaks=["PAY-110"],
    trips=["bank.nonce-lock.unreachable", "bank.nonce-lock.garbage"],
    also=[
        "bank.nonce-lock.lock-fails",
    ],
)
class GoesOnWithoutNonceLock(Bank):
    """Takes credits while the nonce lock cannot be asked, and hopes for the best."""

    async def lock(self, nonce: Nonce) -> str:
        try:
            return await super().lock(nonce)
        except NonceLockUnavailable:
            return ""

    async def consume(self, spend: Spend) -> None:
        if spend.ticket:
            await super().consume(spend)


@fault(
    id="bank.needs-the-nonce-lock-for-withdrawals",
    breaks=["PAY-100"],
    trips=["bank.nonce-lock.withdrawals-need-none"],
)
class NeedsTheNonceLockForWithdrawals(Bank):
    """Asks whether the nonce lock is there before it pays out."""

    async def answer_withdraw(self, request: IncomingRequest, content: bytes) -> bytes:
        nonce = Nonce(self.now() // 3600 * 3600, self.random(16))
        await self.nonce_lock.release(nonce, await self.nonce_lock.lock(nonce))
        return await super().answer_withdraw(request, content)


@fault(
    id="bank.books-before-it-consumes",
    breaks=["PAY-087", "PAY-110"],
    trips=["bank.nonce-lock.consume-fails-deposit", "bank.nonce-lock.consume-fails-exchange"],
    also=[
        "bank.nonce-lock.client-leaves",
    ],
)
class BooksBeforeItConsumes(Bank):
    """Hands out what a credit is worth, and then tries to consume it."""

    async def finish(self, spend: Spend) -> None:
        self.book(spend)
        try:
            await self.consume(spend)
        except (BankingRejected, NonceLockUnavailable):
            return


@fault(
    id="bank.never-releases",
    breaks=["PAY-111"],
    trips=["bank.nonce-lock.consume-fails-deposit"],
)
class NeverReleases(Bank):
    """Leaves a lock to end by itself where it cannot be consumed."""

    async def was_consumed(self, spend: Spend) -> bool:
        self.ledger.drop(spend)
        return False


@fault(
    id="bank.books-lost-consumptions-again",
    breaks=["PAY-093"],
    trips=["bank.nonce-lock.consume-answer-lost"],
    also=[
        "bank.nonce-lock.consume-fails-deposit",
    ],
)
class BooksLostConsumptionsAgain(Bank):
    """Books a deposit when it is made and once more when it is repeated after the nonce lock failed."""

    async def finish(self, spend: Spend) -> None:
        try:
            await self.consume(spend)
        except NonceLockUnavailable:
            if spend.account_id:
                self.set_balance(spend.account_id, self.ledger.balance(spend.account_id) + spend.amount)
            raise
        self.book(spend)


@fault(
    id="bank.leaves-locks-of-clients-that-leave",
    breaks=["PAY-111"],
    trips=["bank.nonce-lock.client-leaves"],
)
class LeavesLocksOfClientsThatLeave(Bank):
    """Drops everything where it stands when the client closes its connection."""

    async def answer(self, request: IncomingRequest) -> Answer:
        answers: list[Answer] = []

        async def work(scope: anyio.CancelScope) -> None:
            answers.append(await super(LeavesLocksOfClientsThatLeave, self).answer(request))
            scope.cancel()

        async with anyio.create_task_group() as group:
            group.start_soon(work, group.cancel_scope)
            group.start_soon(_until_gone, request, group.cancel_scope)
        return answers[0] if answers else self.error(500, "nobody is there")


async def _until_gone(request: IncomingRequest, scope: anyio.CancelScope) -> None:
    while not request.complete:
        await anyio.lowlevel.checkpoint()
    with suppress(Http1Error):
        await request._wire.receive("what follows a request", "nothing")
    scope.cancel()


@fault(
    id="bank.keeps-the-lock-of-failed-exchanges",
    breaks=["PAY-111"],
    trips=["bank.nonce-lock.consume-fails-exchange"],
)
class KeepsTheLockOfFailedExchanges(Bank):
    """Neither gives the lock of a failed exchange back nor remembers what it was for."""

    async def finish(self, spend: Spend) -> None:
        try:
            await super().finish(spend)
        except NonceLockUnavailable:
            if spend.blind_signature:
                self.ledger.drop(spend)
            raise


@fault(
    id="bank.answers-failed-exchanges-from-its-records",
    breaks=["PAY-087", "PAY-110"],
    trips=["bank.nonce-lock.consume-fails-exchange"],
    also=[
        "bank.nonce-lock.client-leaves",
    ],
)
class AnswersFailedExchangesFromItsRecords(Bank):
    """Gives the lock of a failed exchange back, but the signature too when it is asked for again."""

    async def finish(self, spend: Spend) -> None:
        try:
            await self.consume(spend)
        except (BankingRejected, NonceLockUnavailable) as failure:
            with suppress(BankingRejected):
                await self.release(spend)
            self.ledger.drop(spend)
            if spend.blind_signature:
                self.ledger.keep_reply(spend.purpose, Reply(spend.blind_signature), self.now())
            raise NonceLockUnavailable("the nonce could not be consumed") from failure
        self.book(spend)

    async def exchange(self, exchange: Exchange) -> bytes:
        known = self.ledger.find_reply(exchanging(exchange, b"").purpose)
        return known.content if known is not None else await super().exchange(exchange)


@fault(
    id="bank.takes-failed-deposits-for-done",
    breaks=["PAY-074", "PAY-111"],
    trips=["bank.nonce-lock.consume-fails-deposit"],
    also=[
        "bank.nonce-lock.*",
    ],
)
class TakesFailedDepositsForDone(Bank):
    """Remembers a deposit before it is done, and answers its repetition as if it had been."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.seen: set[bytes] = set()

    async def deposit(self, deposit: Deposit) -> int:
        name = deposit.token.octets + deposit.credit.signature
        if name in self.seen:
            return self.balance(deposit.token)
        try:
            return await super().deposit(deposit)
        except NonceLockUnavailable:
            self.seen.add(name)
            raise
