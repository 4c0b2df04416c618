"""Wallets against banks that watch them: every amount accounted for and every rule of privacy kept, whatever fails."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openpcc_ref.banking.accounts import MAX_BATCH, AccountToken
from openpcc_ref.client.wallet import Failure, Operation, Payment, Plan, Task, Wallet, WalletRejected, plan_for
from openpcc_ref.client.wallet.operations import (
    DepositCredit,
    EmptyAccount,
    ExchangeCredit,
    ReturnCredit,
    WithdrawBatch,
    WithdrawFromSource,
)
from openpcc_ref.client.wallet.wallet import AFTER_REFUSAL_S
from openpcc_ref.credits import ATTESTATION, Credit, CreditRejected, CurrencyValue, Nonce, UnblindedCredit, currency

START = datetime(2026, 1, 1, 12, 5, tzinfo=UTC)
INITIAL = 10**9


@dataclass
class World:
    """AuthBank, bank and router in one, with a memory of what each credit has been through."""

    dice: random.Random = field(default_factory=lambda: random.Random(7))
    now: datetime = START
    source: int = INITIAL
    accounts: dict[AccountToken, int] = field(default_factory=dict)
    emptied: set[AccountToken] = field(default_factory=set)
    spent_nonces: set[bytes] = field(default_factory=set)
    from_source: set[bytes] = field(default_factory=set)
    shown: set[bytes] = field(default_factory=set)
    paid_from: dict[bytes, AccountToken] = field(default_factory=dict)
    operations: list[tuple[datetime, Operation]] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)

    def clock(self) -> datetime:
        return self.now

    def mint(self, kind: type[Credit] | type[UnblindedCredit], value: CurrencyValue) -> Credit | UnblindedCredit:
        hour = int(self.now.timestamp()) // 3600 * 3600
        return kind(value, Nonce(hour, self.dice.randbytes(16)), b"genuine")

    def take(self, credit: Credit | UnblindedCredit) -> int:
        assert credit.nonce.random not in self.spent_nonces, "spent twice"
        self.spent_nonces.add(credit.nonce.random)
        return credit.value.amount

    def perform(self, operation: Operation) -> object:
        self.operations.append((self.now, operation))
        match operation:
            case WithdrawFromSource(value):
                self.source -= value.amount
                credit = self.mint(Credit, value)
                self.from_source.add(credit.nonce.random)
                return credit
            case DepositCredit(token, credit):
                assert type(credit) is Credit, "made by an issuer alone"
                assert credit.nonce.random not in self.shown, "shown before"
                assert token not in self.emptied, "used again after it was emptied"
                assert self.paid_from.get(credit.nonce.random) != token, "back into the account it came from"
                if credit.nonce.random in self.from_source:
                    assert token not in self.accounts, "not a new account"
                self.accounts[token] = self.accounts.get(token, 0) + self.take(credit)
                return None
            case WithdrawBatch(token, value, count):
                assert 1 <= count <= MAX_BATCH, "more than a bank accepts"
                self.accounts[token] -= value.amount * count
                assert self.accounts[token] >= 0, "not covered"
                credits = tuple(self.mint(Credit, value) for _ in range(count))
                for credit in credits:
                    self.paid_from[credit.nonce.random] = token
                return credits
            case EmptyAccount(token):
                balance, self.accounts[token] = self.accounts[token], 0
                assert balance > 0, "empty"
                self.emptied.add(token)
                return self.mint(UnblindedCredit, currency.round_stochastically(balance, self.dice.random()))
            case ExchangeCredit(credit):
                self.take(credit)
                new = self.mint(Credit, credit.value)
                if credit.nonce.random in self.paid_from:
                    self.paid_from[new.nonce.random] = self.paid_from[credit.nonce.random]
                return new
            case ReturnCredit(credit):
                assert type(credit) is Credit, "made by an issuer alone"
                assert credit.nonce.random not in self.shown, "shown before"
                self.source += self.take(credit)
                return None

    def pay(self, payment: Payment) -> None:
        """Let the router see the credit of a payment."""
        nonce = payment.credit.nonce.random
        assert nonce in self.paid_from, "not from an account"
        self.shown.add(nonce)
        self.sizes.append(payment.credit.value.amount)

    def refund(self, payment: Payment, amount: int) -> UnblindedCredit:
        """Consume the credit of a payment and return a refund."""
        self.take(payment.credit)
        refund = self.mint(UnblindedCredit, currency.exact(amount))
        assert isinstance(refund, UnblindedCredit)
        self.paid_from[refund.nonce.random] = self.paid_from[payment.credit.nonce.random]
        return refund


def verify(credit: UnblindedCredit) -> None:
    if credit.signature != b"genuine":
        raise CreditRejected("blind-rsa.signature.invalid", where="signature", expected="a genuine one")


def open_wallet(world: World, plan: Plan) -> Wallet:
    return Wallet(plan, clock=world.clock, random=world.dice.randbytes, verify=verify)


def conserved(wallet: Wallet) -> bool:
    status = wallet.status
    return status.withdrawn + status.gained == status.returned + status.spent + status.lost + status.held


def step(world: World, wallet: Wallet, perform: Callable[[Task], None]) -> bool:
    """Do what is due, or let the clock go on to what is next; say whether there is anything left."""
    tasks = wallet.due()
    for task in tasks:
        perform(task)
        assert conserved(wallet)
    moment = wallet.next_due()
    if not tasks and moment is not None:
        world.now = max(world.now, datetime.fromtimestamp(moment, UTC) + timedelta(microseconds=1))
    return bool(tasks) or moment is not None


def honestly(world: World, wallet: Wallet) -> Callable[[Task], None]:
    return lambda task: wallet.done(task, world.perform(task.operation))


def begin(world: World, wallet: Wallet, amount: int) -> Payment:
    for _ in range(100_000):
        payment = wallet.begin(amount)
        if payment is not None:
            world.pay(payment)
            return payment
        assert step(world, wallet, honestly(world, wallet))
    raise AssertionError("no credit became ready")


def close(world: World, wallet: Wallet) -> None:
    wallet.close()
    while not wallet.closed:
        assert step(world, wallet, honestly(world, wallet))
    status = wallet.status
    assert (status.held, status.available, sum(world.accounts.values())) == (0, 0, 0)
    assert world.source == INITIAL - status.withdrawn + status.returned
    assert status.withdrawn + status.gained == status.returned + status.spent + status.lost


TEN = currency.exact(10)


@pytest.mark.parametrize(
    ("source", "refund", "cancel_every", "spent"),
    [(100, 0, 5, 4000), (100, 5, 0, 2500), (10, 10, 0, 0), (100, 0, 0, 5000), (100, 0, 1, 0)],
)
def test_500_payments_cost_what_they_used(source: int, refund: int, cancel_every: int, spent: int) -> None:
    world = World()
    wallet = open_wallet(world, Plan(TEN, currency.exact(source), target=20))
    for number in range(1, 501):
        payment = begin(world, wallet, 10)
        if cancel_every and number % cancel_every == 0:
            payment.cancel()
        else:
            payment.succeed(world.refund(payment, refund) if refund else None)
    close(world, wallet)
    assert (wallet.status.spent, wallet.status.lost) == (spent, 0)
    assert set(world.sizes) == {10}


def test_refunds_are_used_again_before_the_end() -> None:
    world = World()
    wallet = open_wallet(world, Plan(TEN, currency.exact(100), target=10))
    for _ in range(200):
        payment = begin(world, wallet, 10)
        payment.succeed(world.refund(payment, 10))
    assert wallet.status.withdrawn < 200 * 10 // 2


def test_every_wait_is_random_and_below_five_seconds() -> None:
    world = World()
    wallet = open_wallet(world, plan_for(currency.exact(262144)))
    waits: dict[type, set[float]] = {}
    for number in range(600):
        before = {task.number for task in wallet._waiting.values()}
        step(world, wallet, honestly(world, wallet))
        payment = wallet.begin(1)
        if payment is not None:
            world.pay(payment)
            if number % 2:
                payment.cancel()
            else:
                payment.succeed()
        for task in wallet._waiting.values():
            if task.number not in before:
                wait = task.not_before - world.now.timestamp()
                waits.setdefault(type(task.operation), set()).add(wait)
    for operation in (WithdrawFromSource, DepositCredit, WithdrawBatch, ExchangeCredit):
        assert len(waits[operation]) > 3
        assert all(-0.001 <= wait < 5 for wait in waits[operation])
        assert max(waits[operation]) - min(waits[operation]) > 1


def test_a_credit_is_not_ready_before_its_wait_is_over() -> None:
    world = World()
    wallet = open_wallet(world, Plan(TEN, currency.exact(100), target=10))
    while not wallet._stock:
        step(world, wallet, honestly(world, wallet))
    moments = sorted(usable_from for usable_from, _ in wallet._stock)
    assert len(set(moments)) == 10
    for moment in moments:
        world.now = datetime.fromtimestamp(moment, UTC) - timedelta(microseconds=10)
        assert wallet.begin(10) is None
        world.now += timedelta(microseconds=20)
        payment = wallet.begin(10)
        assert payment is not None


def test_credits_go_back_into_an_account_before_they_expire() -> None:
    world = World()
    wallet = open_wallet(world, Plan(TEN, currency.exact(100), target=10))
    begin(world, wallet, 10).cancel()
    world.now += timedelta(hours=2)
    old = [credit for _, credit in wallet._stock]
    assert wallet.begin(10) is None
    for _ in range(60):
        step(world, wallet, honestly(world, wallet))
    deposited = [operation.credit for _, operation in world.operations if isinstance(operation, DepositCredit)]
    assert all(credit in deposited for credit in old)
    assert begin(world, wallet, 10).credit not in old


def test_more_than_fifteen_credits_come_in_several_batches() -> None:
    world = World()
    wallet = open_wallet(world, plan_for(currency.exact(1), target=40))
    for _ in range(40):
        begin(world, wallet, 1).succeed()
    batches = [operation.count for _, operation in world.operations if isinstance(operation, WithdrawBatch)]
    assert batches[:3] == [15, 15, 10]


def test_a_payment_is_completed_once() -> None:
    world = World()
    wallet = open_wallet(world, Plan(TEN, currency.exact(100), target=10))
    payment = begin(world, wallet, 10)
    payment.succeed()
    payment.cancel()
    payment.succeed(world.refund(payment, 5))
    assert (wallet.status.spent, conserved(wallet)) == (10, True)


@pytest.mark.parametrize("value", [currency.exact(11), ATTESTATION])
def test_a_refund_that_cannot_be_one_is_not_taken(value: CurrencyValue) -> None:
    world = World()
    wallet = open_wallet(world, Plan(TEN, currency.exact(100), target=10))
    payment = begin(world, wallet, 10)
    with pytest.raises(WalletRejected, match=r"wallet\.refund\.value"):
        payment.succeed(UnblindedCredit(value, payment.credit.nonce, b"genuine"))
    forged = begin(world, wallet, 10)
    with pytest.raises(CreditRejected, match="signature"):
        forged.succeed(UnblindedCredit(TEN, payment.credit.nonce, b"forged"))
    nothing = begin(world, wallet, 10)
    nothing.succeed(UnblindedCredit(currency.ZERO, payment.credit.nonce, b"whatever"))
    assert (wallet.status.spent, wallet.closed) == (30, False)
    begin(world, wallet, 10).succeed()
    close(world, wallet)


def test_a_closed_wallet_waits_for_open_payments_and_takes_no_more() -> None:
    world = World()
    wallet = open_wallet(world, Plan(TEN, currency.exact(100), target=10))
    payment = begin(world, wallet, 10)
    wallet.close()
    with pytest.raises(WalletRejected, match=r"wallet\.closed"):
        wallet.begin(10)
    while step(world, wallet, honestly(world, wallet)):
        assert not wallet.closed
    payment.cancel()
    close(world, wallet)
    assert wallet.status.spent == 0


def test_the_authbank_is_left_alone_for_a_while_after_a_refusal() -> None:
    world = World()
    wallet = open_wallet(world, Plan(TEN, currency.exact(100), target=10))
    world.now += timedelta(seconds=5)
    (task,) = wallet.due()
    wallet.failed(task, Failure.REFUSED)
    moment = wallet.next_due()
    assert moment is not None
    assert AFTER_REFUSAL_S <= moment - world.now.timestamp() < AFTER_REFUSAL_S + 5


def test_an_unanswered_task_comes_again_as_it_was() -> None:
    world = World()
    wallet = open_wallet(world, Plan(TEN, currency.exact(100), target=10))
    world.now += timedelta(seconds=5)
    (task,) = wallet.due()
    wallet.failed(task, Failure.UNANSWERED)
    world.now += timedelta(seconds=5)
    (again,) = wallet.due()
    assert (again.number, again.operation is task.operation) == (task.number, True)


def test_a_task_ends_once_and_with_what_it_is_for() -> None:
    world = World()
    wallet = open_wallet(world, Plan(TEN, currency.exact(100), target=10))
    world.now += timedelta(seconds=5)
    (task,) = wallet.due()
    with pytest.raises(ValueError, match="ends with a Credit"):
        wallet.done(task, None)
    with pytest.raises(ValueError, match="not running"):
        wallet.done(task, world.perform(task.operation))


@given(seed=st.integers(0, 2**32), failing=st.integers(0, 60))
def test_no_failure_loses_count_of_the_money(seed: int, failing: int) -> None:
    dice = random.Random(seed)
    world = World(dice)
    wallet = open_wallet(world, Plan(TEN, currency.exact(100), target=15))
    unknown: dict[int, object] = {}

    def perform(task: Task) -> None:
        fails = dice.random() * 100 < failing
        if task.number in unknown:  # done, and the answer was lost: now it is given again
            wallet.done(task, unknown.pop(task.number))
        elif fails and dice.random() < 0.3:
            wallet.failed(task, Failure.REFUSED)
        elif fails:
            if dice.random() < 0.5:
                unknown[task.number] = world.perform(task.operation)
            wallet.failed(task, Failure.UNANSWERED)
        else:
            wallet.done(task, world.perform(task.operation))

    payments: list[Payment] = []
    for _ in range(200):
        step(world, wallet, perform)
        payment = wallet.begin(dice.randint(1, 10))
        if payment is not None:
            world.pay(payment)
            payments.append(payment)
        if payments and dice.random() < 0.5:
            payment = payments.pop(dice.randrange(len(payments)))
            if dice.random() < 0.3:
                payment.cancel()
            else:
                payment.succeed(world.refund(payment, dice.randint(1, 10)))
        assert conserved(wallet)
    for payment in payments:
        payment.succeed()
    wallet.close()
    for _ in range(5000):
        if wallet.closed:
            break
        step(world, wallet, perform)
    assert wallet.closed
    assert (wallet.status.held, conserved(wallet)) == (0, True)
