"""The life of the money in a wallet. Chapter: ``spec/banking.md``.

AuthBank → new account → batches of one size → stock → payments; refunds, cancelled credits, remainders and credits that
grow old → exchange → a shared account → batches again. A random wait lies before every step, and at the end all of it
goes back to the AuthBank. Requirements: PAY-071, PAY-126, PAY-130 to PAY-142.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from openpcc_ref.banking.accounts import MAX_BATCH, TOKEN_LENGTH, AccountToken
from openpcc_ref.client.wallet.amounts import EVICTION_MARGIN_S, RELIED_ON_S, Plan, require_payable
from openpcc_ref.client.wallet.errors import WalletRejected
from openpcc_ref.client.wallet.operations import (
    DepositCredit,
    EmptyAccount,
    ExchangeCredit,
    Failure,
    Operation,
    ReturnCredit,
    Task,
    WithdrawBatch,
    WithdrawFromSource,
)
from openpcc_ref.credits.credit import AnyCredit, Credit, UnblindedCredit
from openpcc_ref.credits.currency import rounding_factor
from openpcc_ref.errors import require
from openpcc_ref.sources import Clock, RandomSource

AFTER_REFUSAL_S = 30.0
"""Pause before the AuthBank is asked again after it refused a withdrawal, in seconds, besides the random wait."""

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class Status:
    """Where the money is. ``withdrawn + gained == returned + spent + lost + held`` always holds (PAY-140)."""

    withdrawn: int
    returned: int
    spent: int
    """Handed out for payments, less what came back."""
    gained: int
    """By rounding, when accounts were emptied; negative for losses."""
    lost: int
    """Refused by bank or AuthBank."""
    held: int
    available: int
    """The part of ``held`` that can pay at once."""


class Payment:
    """One credit handed out for one request; completed once. Requirements: PAY-126, PAY-141."""

    def __init__(self, wallet: Wallet, credit: Credit) -> None:
        self.credit = credit
        self._wallet = wallet
        self._completed = False

    def succeed(self, refund: UnblindedCredit | None = None) -> None:
        """Take the refund, if there is one, and count the rest as spent.

        Raises :class:`WalletRejected` with ``wallet.refund.value``, :class:`CreditRejected` for one that does not
        verify; it is not taken then, and the payment is complete.
        """
        if self._complete():
            self._wallet._take_refund(self.credit, refund)

    def cancel(self) -> None:
        """Take the credit back, although somebody may have seen it. Requirements: PAY-036."""
        if self._complete():
            self._wallet._take_back(self.credit)

    def _complete(self) -> bool:
        first, self._completed = not self._completed, True
        if first:
            self._wallet._open_payments -= 1
        return first


class Wallet:
    """Keeps credits of one size ready. ``verify`` checks the signature of a refund under the currency key.

    Take :meth:`due` tasks and report each with :meth:`done` or :meth:`failed`; look again at :meth:`next_due`.
    """

    def __init__(
        self, plan: Plan, *, clock: Clock, random: RandomSource, verify: Callable[[UnblindedCredit], object]
    ) -> None:
        self.plan = plan
        self._clock = clock
        self._random = random
        self._verify = verify
        self._waiting: dict[int, Task] = {}
        self._running: dict[int, Task] = {}
        self._numbers = 0
        self._stock: list[tuple[float, Credit]] = []
        self._balances: dict[AccountToken, int] = {}
        self._collecting: AccountToken | None = None
        self._open_payments = 0
        self._closing = False
        self._withdrawn = self._returned = self._spent = self._gained = self._lost = 0
        self._refill()

    # -- for whoever runs the wallet ---------------------------------------------------------------------------------

    def due(self) -> list[Task]:
        """Return the tasks whose moment has come, each once."""
        self._evict()
        now = self._now()
        tasks = [task for task in self._waiting.values() if task.not_before <= now]
        for task in tasks:
            self._running[task.number] = self._waiting.pop(task.number)
        return tasks

    def next_due(self) -> float | None:
        """Return the next moment at which there is something to do or to have; None while there is none."""
        moments = [task.not_before for task in self._waiting.values()]
        moments += [usable_from for usable_from, _ in self._stock if usable_from > self._now()]
        moments += [_evicted_at(credit) for _, credit in self._stock]
        return min(moments, default=None)

    def done(self, task: Task, result: object = None) -> None:
        """Say that a task succeeded. Raises ValueError for a result that cannot be one of this task."""
        self._settle(task)
        match task.operation:
            case WithdrawFromSource(value):
                self._withdrawn += value.amount
                self._place_source_credit(_as(Credit, result))
            case DepositCredit(token, credit):
                self._balances[token] += credit.value.amount
                self._place_account(token)
            case WithdrawBatch(token, _, count):
                self._place_batch(token, _batch(result, count))
            case EmptyAccount(token):
                rest = _as(UnblindedCredit, result)
                self._gained += rest.value.amount - self._balances[token]
                self._forget(token)
                self._add(ExchangeCredit(rest))
            case ExchangeCredit():
                self._place_loose_credit(_as(Credit, result))
            case ReturnCredit(credit):
                self._returned += credit.value.amount
        self._refill()

    def failed(self, task: Task, failure: Failure) -> None:
        """Say that a task failed. One failure never ends the wallet. Requirements: PAY-142.

        An unanswered task comes again under its number, to be done with the very same request.
        """
        self._settle(task)
        if failure is Failure.UNANSWERED:
            self._waiting[task.number] = replace(task, not_before=self._now() + self._delay(), tried=True)
            return
        match task.operation:
            case WithdrawFromSource() if not self._closing:
                self._add(task.operation, AFTER_REFUSAL_S)
            case DepositCredit(token, credit):
                self._lost += credit.value.amount
                self._place_account(token)
            case WithdrawBatch(token):
                self._add(EmptyAccount(token))
            case EmptyAccount(token):
                self._lost += self._balances[token]
                self._forget(token)
            case ExchangeCredit(credit):  # most likely the router consumed it after all
                self._spent += credit.value.amount
            case ReturnCredit(credit):
                self._lost += credit.value.amount
        self._refill()

    # -- for requests ------------------------------------------------------------------------------------------------

    def begin(self, amount: int) -> Payment | None:
        """Return a payment of a whole credit for a request of at most its size; None while no credit is ready.

        Requirements: PAY-132, PAY-135. Raises :class:`WalletRejected` with ``wallet.payment.amount`` or
        ``wallet.closed``.
        """
        require(not self._closing, WalletRejected, "wallet.closed", where="wallet", expected="a wallet that is open")
        require_payable(amount, self.plan.credit_size)
        self._evict()
        ready = [entry for entry in self._stock if entry[0] <= self._now()]
        if not ready:
            return None
        entry = min(ready, key=lambda entry: entry[1].nonce.timestamp)
        self._stock.remove(entry)
        self._open_payments += 1
        self._spent += entry[1].value.amount
        self._refill()
        return Payment(self, entry[1])

    def close(self) -> None:
        """Hand out nothing more, and bring everything back to the AuthBank. Requirements: PAY-139."""
        self._closing = True
        untried = [task for task in self._waiting.values() if not task.tried]
        for task in untried:
            del self._waiting[task.number]
        for task in untried:
            self._place_again(task.operation)
        stock, self._stock = self._stock, []
        for _, credit in stock:
            self._add(ReturnCredit(credit))
        for token in tuple(self._balances):
            self._place_account(token)

    @property
    def closed(self) -> bool:
        """Whether nothing is left to do after :meth:`close`."""
        return self._closing and not (self._waiting or self._running or self._open_payments)

    @property
    def status(self) -> Status:
        """Return where the money is."""
        tasks = [*self._waiting.values(), *self._running.values()]
        stock = sum(credit.value.amount for _, credit in self._stock)
        held = stock + sum(self._balances.values()) + sum(_carried(task.operation) for task in tasks)
        available = sum(credit.value.amount for usable_from, credit in self._stock if usable_from <= self._now())
        return Status(
            self._withdrawn, self._returned, self._spent, self._gained, self._lost, held=held, available=available
        )

    # -- where money goes next ---------------------------------------------------------------------------------------

    def _place_source_credit(self, credit: Credit) -> None:
        """Put a credit from the AuthBank into an account of its own. Requirements: PAY-130, PAY-131."""
        self._add(ReturnCredit(credit) if self._closing else DepositCredit(self._new_account(), credit))

    def _place_loose_credit(self, credit: Credit) -> None:
        """Collect a credit that is to be used again in an account that gives none yet. Requirements: PAY-136."""
        if self._closing:
            self._add(ReturnCredit(credit))
            return
        if self._collecting is None or self._planned(self._collecting) >= self.plan.source_value.amount:
            self._collecting = self._new_account()
        self._add(DepositCredit(self._collecting, credit))

    def _place_account(self, token: AccountToken) -> None:
        """Split an account that is full, leave one that is being filled, empty the rest."""
        if any(_concerns(task.operation, token) for task in (*self._waiting.values(), *self._running.values())):
            return
        balance = self._balances[token]
        if balance == 0:
            self._forget(token)
        elif self._closing:
            self._add(EmptyAccount(token))
        elif token != self._collecting or balance >= self.plan.source_value.amount:
            self._collecting = None if token == self._collecting else self._collecting
            self._split(token, balance)

    def _split(self, token: AccountToken, balance: int) -> None:
        """Get a batch out of an account, or, when it is too small for one, all of it. Requirements: PAY-137."""
        credits = balance // self.plan.credit_size.amount
        if credits:
            self._add(WithdrawBatch(token, self.plan.credit_size, min(credits, MAX_BATCH)))
        else:
            self._add(EmptyAccount(token))

    def _place_batch(self, token: AccountToken, credits: Sequence[Credit]) -> None:
        """Put credits into the stock, each usable after a wait of its own. Requirements: PAY-132."""
        self._balances[token] -= sum(credit.value.amount for credit in credits)
        for credit in credits:
            if self._closing:
                self._add(ReturnCredit(credit))
            else:
                self._stock.append((self._now() + self._delay(), credit))
        self._place_account(token)

    def _place_again(self, operation: Operation) -> None:
        """Find the way home for what was on its way elsewhere. Requirements: PAY-139."""
        match operation:
            case DepositCredit(_, credit):
                self._add(ReturnCredit(credit))
            case EmptyAccount() | ExchangeCredit() | ReturnCredit():
                self._add(operation)
            case WithdrawFromSource() | WithdrawBatch():
                pass  # nothing has left its place

    def _take_refund(self, paid: Credit, refund: UnblindedCredit | None) -> None:
        if refund is None or (not refund.value.special and refund.value.amount == 0):
            return
        require(
            not refund.value.special and refund.value.amount <= paid.value.amount,
            WalletRejected,
            "wallet.refund.value",
            where="refund",
            expected="an amount of at most the payment",
        )
        self._verify(refund)
        self._spent -= refund.value.amount
        self._add(ExchangeCredit(refund))

    def _take_back(self, credit: Credit) -> None:
        self._spent -= credit.value.amount
        self._add(ExchangeCredit(credit))

    def _evict(self) -> None:
        """Take credits out of the stock before they expire. Requirements: PAY-031, PAY-138."""
        old = [entry for entry in self._stock if _evicted_at(entry[1]) <= self._now()]
        for entry in old:
            self._stock.remove(entry)
            self._place_loose_credit(entry[1])

    def _refill(self) -> None:
        """Withdraw from the AuthBank while less is ready or on its way than planned."""
        while not self._closing and len(self._stock) + self._coming() < self.plan.target:
            self._add(WithdrawFromSource(self.plan.source_value))

    def _coming(self) -> int:
        """Return how many credits the withdrawals and full accounts on their way will give."""
        size = self.plan.credit_size.amount
        tasks = [task.operation for task in (*self._waiting.values(), *self._running.values())]
        sources = [operation.value.amount for operation in tasks if isinstance(operation, WithdrawFromSource)]
        accounts = [self._planned(token) for token in self._balances if token != self._collecting]
        return sum(amount // size for amount in (*sources, *accounts))

    # -- bookkeeping -------------------------------------------------------------------------------------------------

    def _add(self, operation: Operation, pause_s: float = 0.0) -> None:
        """Plan an operation after a random wait. Requirements: PAY-132 to PAY-134."""
        self._numbers += 1
        self._waiting[self._numbers] = Task(self._numbers, operation, self._now() + pause_s + self._delay())

    def _settle(self, task: Task) -> None:
        if self._running.pop(task.number, None) is None:
            raise ValueError("this task is not running")

    def _new_account(self) -> AccountToken:
        """Return a token that was never used. Requirements: PAY-071, PAY-131."""
        token = AccountToken(self._random(TOKEN_LENGTH))
        self._balances[token] = 0
        return token

    def _forget(self, token: AccountToken) -> None:
        """Never use an emptied account again. Requirements: PAY-071."""
        del self._balances[token]
        self._collecting = None if token == self._collecting else self._collecting

    def _planned(self, token: AccountToken) -> int:
        """Return the balance of an account after the deposits that are on their way."""
        tasks = (*self._waiting.values(), *self._running.values())
        deposits = [task.operation for task in tasks if isinstance(task.operation, DepositCredit)]
        coming = sum(deposit.credit.value.amount for deposit in deposits if deposit.token == token)
        return self._balances[token] + coming

    def _delay(self) -> float:
        """Return a wait, uniform below the greatest one, in seconds. Requirements: PAY-134."""
        return rounding_factor(self._random) * self.plan.max_delay_s

    def _now(self) -> float:
        return self._clock().timestamp()


def _concerns(operation: Operation, token: AccountToken) -> bool:
    return isinstance(operation, DepositCredit | WithdrawBatch | EmptyAccount) and operation.token == token


def _carried(operation: Operation) -> int:
    """Return the amount of the credit that an operation holds; what is in an account counts there."""
    if isinstance(operation, DepositCredit | ExchangeCredit | ReturnCredit):
        return operation.credit.value.amount
    return 0


def _evicted_at(credit: AnyCredit) -> float:
    return credit.nonce.timestamp + RELIED_ON_S - EVICTION_MARGIN_S


def _as(kind: type[_Result], result: object) -> _Result:
    if not isinstance(result, kind):
        raise ValueError(f"this task ends with a {kind.__name__}")
    return result


def _batch(result: object, count: int) -> Sequence[Credit]:
    if not isinstance(result, tuple) or len(result) != count or not all(isinstance(item, Credit) for item in result):
        raise ValueError(f"this task ends with a tuple of {count} credits")
    return result
