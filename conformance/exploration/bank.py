"""Sessions with a bank: the model of what it may do, and the clients that do it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial

from conformance.checks.bank.withdraw import unusable_messages
from conformance.exploration.search import Disagreement, Observed, Operation, Session, Step, possible_after, told
from conformance.peers.at_once import at_once
from conformance.peers.bank import BankCase, Reply, finalized
from conformance.verdicts import Violation
from openpcc_ref.banking import messages
from openpcc_ref.credits import BlindSignRequest, Credit, PendingCredit, currency

ACCOUNTS = 2
AMOUNTS = (3, 16, 31, 16)
"""What the credits are worth that a session begins with."""

UNUSABLE = 3
"""The number of a blinded message that cannot be signed; those below can."""

OPERATIONS = {
    "deposit": (ACCOUNTS, 8),
    "withdraw": (ACCOUNTS, len(AMOUNTS), UNUSABLE + 1),
    "withdraw-batch": (ACCOUNTS, len(AMOUNTS), UNUSABLE + 1),
    "withdraw-full": (ACCOUNTS,),
    "exchange": (8, UNUSABLE + 1),
}
"""Operation to how many choices each of its numbers has: account, credit or amount, message."""


@dataclass(frozen=True, slots=True)
class BankState:
    """What the model knows of a bank."""

    balances: tuple[int, ...] = (0,) * ACCOUNTS
    spent: frozenset[tuple[int, Operation]] = frozenset()
    """Credits with the one request that each was taken for."""
    batches: frozenset[Operation] = frozenset()
    emptied: tuple[int, ...] = (-1,) * ACCOUNTS
    """The credit that emptied an account which got nothing since, or -1."""

    def with_balance(self, account: int, balance: int) -> BankState:
        """Return this state with another balance."""
        return replace(self, balances=_set(self.balances, account, balance))


@dataclass(slots=True)
class BankModel:
    """What a bank may do. Answering a repetition like the first request is allowed, and so is refusing it."""

    worth: list[int] = field(default_factory=lambda: list(AMOUNTS))
    """Amounts of the credits, by number."""

    def after(self, state: BankState, operation: Operation, observed: Observed, beside: Step) -> Iterator[BankState]:
        """Yield the states in which ``operation`` can leave ``state`` if this was observed of it."""
        match operation.do:
            case "balance":
                if observed.numbers == (state.balances[operation.numbers[0]],):
                    yield state
            case "deposit" | "exchange":
                yield from self._spend(state, operation, observed, beside)
            case "withdraw" | "withdraw-batch":
                yield from self._withdraw(state, operation, observed)
            case "withdraw-full":
                yield from self._withdraw_full(state, operation.numbers[0], observed)

    def _spend(self, state: BankState, operation: Operation, observed: Observed, beside: Step) -> Iterator[BankState]:
        credit = _credit_of(operation)
        taken_for = next((taken for spent, taken in state.spent if spent == credit), None)
        unusable = operation.do == "exchange" and operation.numbers[1] == UNUSABLE
        if not observed.done:
            # Beside another use the nonce may just have been locked, whatever became of that use.
            contended = any(_credit_of(other) == credit for other in beside)
            if taken_for is not None or unusable or contended:
                yield state
        elif taken_for == operation:
            yield state
        elif taken_for is None and not unusable:
            spent = replace(state, spent=state.spent | {(credit, operation)})
            if operation.do == "exchange":
                yield spent
                return
            account = operation.numbers[0]
            paid_in = spent.with_balance(account, state.balances[account] + self.worth[credit])
            yield replace(paid_in, emptied=_set(state.emptied, account, -1))

    def _withdraw(self, state: BankState, operation: Operation, observed: Observed) -> Iterator[BankState]:
        account, total = operation.numbers[0], sum(amounts_of(operation))
        usable = operation.numbers[2] != UNUSABLE
        covered = usable and total <= state.balances[account]
        known = operation in state.batches
        if not observed.done:
            if not covered:
                yield state
            return
        if known:
            yield state
        if covered:
            debited = state.with_balance(account, state.balances[account] - total)
            yield replace(debited, batches=state.batches | {operation})

    def _withdraw_full(self, state: BankState, account: int, observed: Observed) -> Iterator[BankState]:
        balance = state.balances[account]
        if not observed.done:
            if not balance:
                yield state
            return
        amount, credit = observed.numbers
        if not balance:
            if state.emptied[account] == credit:
                yield state
            return
        near = currency.neighbours(balance)
        if amount in (near.lower, near.upper) and credit not in state.emptied:
            yield replace(state.with_balance(account, 0), emptied=_set(state.emptied, account, credit))


def amounts_of(operation: Operation) -> list[int]:
    """Return the amounts of a withdrawal: one, or three for a batch."""
    amount = AMOUNTS[operation.numbers[1]]
    return [amount] if operation.do == "withdraw" else [amount, 1, 2]


def _credit_of(operation: Operation) -> int:
    """Return the number of the credit that an operation spends, or -1."""
    match operation.do:
        case "deposit":
            return operation.numbers[1]
        case "exchange":
            return operation.numbers[0]
    return -1


def _set(values: tuple[int, ...], at: int, value: int) -> tuple[int, ...]:
    return (*values[:at], value, *values[at + 1 :])


class BankPlayer:
    """The clients of one session."""

    def __init__(self, case: BankCase) -> None:
        self._case = case
        self._tokens = [case.token() for _ in range(ACCOUNTS)]
        self._credits = [case.mint.credit(amount) for amount in AMOUNTS]
        self._pending: dict[tuple[object, ...], list[PendingCredit]] = {}
        self._signatures: dict[tuple[object, ...], tuple[bytes, ...]] = {}
        self._model = BankModel()

    async def play(self, session: Session) -> None:
        """Do a session. Raises :class:`Disagreement`."""
        states = frozenset({BankState()})
        done: list[str] = []
        played: list[Step] = []
        for step in session:
            meant = tuple(self._meant(operation) for operation in step)
            played.append(meant)
            try:
                observed = await self._do(meant)
                states = possible_after(self._model, states, meant, observed)
                done.append(told(meant, observed))
                if states:
                    states = await self._after_balances(states, done)
            except Violation as violation:
                done.append(str(violation))
                states = frozenset()
            if not states:
                raise Disagreement(tuple(played), "; ".join(done))

    def _meant(self, operation: Operation) -> Operation:
        """Return the operation with the number of a credit that there is."""
        there = len(self._credits)
        match operation.do:
            case "deposit":
                return replace(operation, numbers=(operation.numbers[0], operation.numbers[1] % there))
            case "exchange":
                return replace(operation, numbers=(operation.numbers[0] % there, operation.numbers[1]))
        return operation

    async def _do(self, step: Step) -> list[Observed]:
        replies = await at_once([partial(self._ask, operation) for operation in step])
        return [self._read(operation, reply) for operation, reply in zip(step, replies, strict=True)]

    async def _ask(self, operation: Operation) -> Reply:
        case, numbers = self._case, operation.numbers
        match operation.do:
            case "deposit":
                return await case.deposit(self._tokens[numbers[0]], self._credits[numbers[1]])
            case "exchange":
                return await self._ask_exchange(operation)
            case "withdraw-full":
                return await case.withdraw_full(self._tokens[numbers[0]])
        requests = [pending.request for pending in self._pendings(operation)]
        if numbers[2] == UNUSABLE:
            requests[-1] = BlindSignRequest(requests[-1].value, self._unusable())
        return await case.withdraw(self._tokens[numbers[0]], requests)

    async def _ask_exchange(self, operation: Operation) -> Reply:
        old = self._credits[operation.numbers[0]]
        if operation.numbers[1] == UNUSABLE:
            request = messages.Exchange(old, self._unusable())
            return await self._case.post("/exchange", messages.encode_exchange_request(request))
        return await self._case.exchange(old, self._pendings(operation)[0])

    def _unusable(self) -> bytes:
        return unusable_messages(self._case)[-1][1]

    def _pendings(self, operation: Operation) -> list[PendingCredit]:
        """Return what is to be signed, the same for the same operation, so that it can be repeated octet for octet."""
        key = (operation.do, operation.numbers)
        if key not in self._pending:
            match operation.do:
                case "exchange":
                    amounts = [self._credits[operation.numbers[0]].value.amount]
                case _:
                    amounts = amounts_of(operation)
            self._pending[key] = self._case.pendings(*amounts)
        return self._pending[key]

    def _read(self, operation: Operation, reply: Reply) -> Observed:
        if reply.status >= 400:
            return Observed(False)
        match operation.do:
            case "deposit":
                reply.read(messages.decode_deposit_response, "a deposit")
                return Observed(True)
            case "withdraw-full":
                unblinded = reply.read(messages.decode_withdraw_full_response, "a full withdrawal")
                credit = Credit(unblinded.value, unblinded.nonce, unblinded.signature)
                return Observed(True, (credit.value.amount, self._number_of(credit)))
            case "exchange":
                self._take(operation, (reply.read(messages.decode_exchange_response, "an exchange"),))
            case _:
                decode = partial(messages.decode_withdraw_response, requested=len(amounts_of(operation)))
                self._take(operation, reply.read(decode, "a withdrawal")[1])
        return Observed(True)

    def _take(self, operation: Operation, signatures: tuple[bytes, ...]) -> None:
        """Finalize what was signed, once; a repetition has to have the same signatures."""
        key = (operation.do, operation.numbers)
        if operation.numbers[-1] == UNUSABLE or self._signatures.get(key) == signatures:
            return
        if key in self._signatures:
            raise Violation("the signatures of the first answer", "others")
        self._signatures[key] = signatures
        for pending, signature in zip(self._pending[key], signatures, strict=True):
            self._number_of(finalized(pending, signature))

    def _number_of(self, credit: Credit) -> int:
        if credit not in self._credits:
            self._credits.append(credit)
            self._model.worth.append(credit.value.amount)
        return self._credits.index(credit)

    async def _after_balances(self, states: frozenset[BankState], done: list[str]) -> frozenset[BankState]:
        """Return the states that the balances of all accounts leave possible."""
        contents = [messages.encode_balance_request(token) for token in self._tokens]
        replies = await at_once([partial(self._case.post, "/balance", content) for content in contents])
        held = [reply.read(messages.decode_balance_response, "a balance") for reply in replies]
        done.append("balances " + ", ".join(map(str, held)))
        for account, balance in enumerate(held):
            asked, seen = Operation("balance", (account,)), Observed(True, (balance,))
            states = possible_after(self._model, states, (asked,), [seen])
        return states
