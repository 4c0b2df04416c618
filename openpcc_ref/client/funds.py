"""Running a wallet: its tasks are performed against AuthBank and bank when they are due. Chapter: ``spec/banking.md``.

Requirements: PAY-023, PAY-056, PAY-132, PAY-133, PAY-142.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import anyio

from openpcc_ref.client.banks import AuthBankClient, BankClient
from openpcc_ref.client.errors import NoAnswer, Refused
from openpcc_ref.client.wallet import Failure, Operation, Payment, Task, Wallet
from openpcc_ref.client.wallet.operations import (
    DepositCredit,
    EmptyAccount,
    ExchangeCredit,
    ReturnCredit,
    WithdrawBatch,
    WithdrawFromSource,
)
from openpcc_ref.credits.credit import Credit
from openpcc_ref.credits.currency import CurrencyValue
from openpcc_ref.credits.payee import Payee, PendingCredit
from openpcc_ref.errors import Rejected
from openpcc_ref.sources import Clock


class Funds:
    """A wallet with those who serve it. ``done`` holds the operations that succeeded, in order."""

    def __init__(self, wallet: Wallet, payee: Payee, authbank: AuthBankClient, bank: BankClient, *, clock: Clock):
        self.wallet = wallet
        self.done: list[Operation] = []
        self._payee = payee
        self._authbank = authbank
        self._bank = bank
        self._clock = clock
        self._pending: dict[int, tuple[PendingCredit, ...]] = {}
        self._changed = anyio.Event()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Perform tasks while the context is open."""
        raised: Exception | None = None
        async with anyio.create_task_group() as group:
            group.start_soon(self._run)
            try:
                yield
            except Exception as error:  # kept, so that the group does not wrap what the caller's body raised
                raised = error
            group.cancel_scope.cancel()
        if raised is not None:
            raise raised

    async def begin(self, amount: int) -> Payment:
        """Return a payment as soon as a credit is ready. Raises as :meth:`Wallet.begin` does."""
        while True:
            payment = self.wallet.begin(amount)
            if payment is not None:
                self.announce()
                return payment
            await self._changed.wait()

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait for something that only tasks bring about."""
        while not holds():
            await self._changed.wait()

    def announce(self) -> None:
        """Say that something changed: there may be tasks that were not due before."""
        self._changed.set()
        self._changed = anyio.Event()

    async def _run(self) -> None:
        async with anyio.create_task_group() as group:
            while True:
                for task in self.wallet.due():
                    group.start_soon(self._perform, task)
                next_due = self.wallet.next_due()
                changed = self._changed
                pause = math.inf if next_due is None else max(0.0, next_due - self._clock().timestamp())
                with anyio.move_on_after(pause) as waiting:
                    await changed.wait()
                if waiting.cancelled_caught:
                    self.announce()  # a credit may have become ready by the passing of time alone

    async def _perform(self, task: Task) -> None:
        """Perform a task and tell the wallet how it ended; of what failed it makes the best. Requirements: PAY-142."""
        try:
            result = await self._result(task)
        except NoAnswer:
            self.wallet.failed(task, Failure.UNANSWERED)
        except (Refused, Rejected):
            self._pending.pop(task.number, None)
            self.wallet.failed(task, Failure.REFUSED)
        else:
            self._pending.pop(task.number, None)
            self.done.append(task.operation)
            self.wallet.done(task, result)
        self.announce()

    async def _result(self, task: Task) -> object:
        match task.operation:
            case WithdrawFromSource(value):
                (pending,) = self._requests(task, value)
                return await self._finished(pending, (await self._authbank.withdraw(pending.request)).blind_signature)
            case DepositCredit(token, credit):
                await self._bank.deposit(token, credit)
            case WithdrawBatch(token, value, count):
                batch = self._requests(task, value, count)
                signatures = await self._bank.withdraw(token, [pending.request for pending in batch])
                return await self._all_finished(batch, signatures)
            case EmptyAccount(token):
                return await self._bank.withdraw_full(token)
            case ExchangeCredit(credit):
                (pending,) = self._requests(task, credit.value)
                return await self._finished(pending, await self._bank.exchange(credit, pending.request))
            case ReturnCredit(credit):
                await self._authbank.refund(credit)
        return None

    def _requests(self, task: Task, value: CurrencyValue, count: int = 1) -> tuple[PendingCredit, ...]:
        """Return what is to be signed: the very same when a task is tried again."""
        if task.number not in self._pending:
            self._pending[task.number] = tuple(self._payee.begin(value) for _ in range(count))
        return self._pending[task.number]

    async def _all_finished(self, batch: Sequence[PendingCredit], signatures: Sequence[bytes]) -> tuple[Credit, ...]:
        return tuple([await self._finished(*one) for one in zip(batch, signatures, strict=True)])

    async def _finished(self, pending: PendingCredit, blind_signature: bytes) -> Credit:
        """Return a credit, not before somebody may see it. Requirements: PAY-023, PAY-024."""
        credit = pending.finalize(blind_signature)
        await anyio.sleep(max(0.0, pending.usable_from - self._clock().timestamp()))
        return credit
