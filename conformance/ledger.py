"""The ledger oracle: whatever a case did, what came in is what went out or is still held.

:class:`Books` follows every exchange with a bank and, at the end of a case, compares what the bank took, what it handed
out and what it says it holds. It needs no knowledge of how a bank works, only of its messages: so it also notices what
the check of the case did not look at. Requirements: PAY-140.

The books are those of one bank and of the nonce lock that it uses. A run judges one service at a time and hosts the
ones around it itself, so there is no second subject whose books could be compared: a router holds no money between
payment and refund, which its own checks compare for each request, and the balance of a customer at an AuthBank is in
no message.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from conformance.requirements import Level
from conformance.verdicts import Violation
from openpcc_ref.banking import messages
from openpcc_ref.banking.messages import Deposit, Exchange, Withdrawal
from openpcc_ref.credits import AnyCredit, Nonce
from openpcc_ref.errors import Rejected

_EXACT_UP_TO = 32
"""Up to this amount every whole number has a value (PAY-005)."""


@dataclass(slots=True)
class _Account:
    """What is known about one account. Amounts whose answer was lost may have been booked, or not."""

    deposited: dict[bytes, int] = field(default_factory=dict)
    withdrawn: dict[tuple[bytes, ...], int] = field(default_factory=dict)
    emptied: dict[bytes, int] = field(default_factory=dict)
    perhaps_deposited: dict[bytes, int] = field(default_factory=dict)
    perhaps_withdrawn: dict[tuple[bytes, ...], int] = field(default_factory=dict)
    perhaps_emptied: bool = False

    def bounds(self) -> tuple[int, int]:
        """Return the least and the most that the account can hold."""
        paid = sum(self.deposited.values()) - sum(self.withdrawn.values()) - sum(self.emptied.values())
        rounding = sum(_step(amount) for amount in self.emptied.values())
        more = sum(amount for key, amount in self.perhaps_deposited.items() if key not in self.deposited)
        less = sum(amount for key, amount in self.perhaps_withdrawn.items() if key not in self.withdrawn)
        low = paid - rounding - less
        return (min(low, 0) if self.perhaps_emptied else low), paid + rounding + more


class Books:
    """What the client side knows of a session with one bank."""

    def __init__(self) -> None:
        self._accounts: dict[bytes, _Account] = {}
        self._uses: dict[bytes, set[bytes]] = {}
        self._shown: dict[bytes, Nonce] = {}
        self._unclear: set[bytes] = set()

    @property
    def tokens(self) -> list[bytes]:
        """The accounts that were named in this session."""
        return list(self._accounts)

    def note(self, operation: str, request: bytes, status: int | None, answer: bytes) -> None:
        """Take down an exchange; ``status`` is None where no answer came.

        A status from 500 on does not say whether anything happened. What is not the message of its operation, or not a
        credit, is left to the checks.
        """
        try:
            match operation:
                case "/deposit":
                    self._deposit(messages.decode_deposit_request(request), status)
                case "/withdraw":
                    self._withdraw(messages.decode_withdraw_request(request), status)
                case "/withdraw-full":
                    self._withdraw_full(messages.decode_withdraw_full_request(request).octets, status, answer)
                case "/exchange":
                    self._exchange(messages.decode_exchange_request(request), status)
        except (Rejected, ValueError):
            return

    def close(self, balances: Mapping[bytes, int], was_consumed: Callable[[Nonce], bool]) -> None:
        """Compare with what the bank says it holds and with what it consumed. Raises :class:`Violation`."""
        for token, account in self._accounts.items():
            low, high = account.bounds()
            if not low <= balances[token] <= high:
                held = str(low) if low == high else f"between {low} and {high}"
                raise _broken(
                    f"an account to hold {held}: what was paid in, less what was paid out", f"{balances[token]} held"
                )
        for random, uses in self._uses.items():
            if len(uses) > 1:
                raise _broken("each credit to be taken once", f"one was taken for {len(uses)} different requests")
            if not was_consumed(self._shown[random]):
                raise _broken("the nonce of every credit that was taken to be consumed", "one is not consumed")
        for random, nonce in self._shown.items():
            if random not in self._uses and random not in self._unclear and was_consumed(nonce):
                raise _broken("a refused credit to stay spendable", "its nonce is consumed")

    def _account(self, token: bytes) -> _Account:
        return self._accounts.setdefault(token, _Account())

    def _deposit(self, deposit: Deposit, status: int | None) -> None:
        random, amount = deposit.credit.nonce.random, deposit.credit.value.amount
        account = self._account(deposit.token.octets)
        self._use(deposit.credit, b"deposit" + deposit.token.octets, status)
        if status == 200:
            account.deposited[random] = amount
        elif _is_unclear(status):
            account.perhaps_deposited[random] = amount

    def _withdraw(self, withdrawal: Withdrawal, status: int | None) -> None:
        account = self._account(withdrawal.token.octets)
        batch = tuple(request.value.blind_bytes + request.blinded_message for request in withdrawal.requests)
        total = sum(request.value.amount for request in withdrawal.requests)
        if status == 200:
            account.withdrawn[batch] = total
        elif _is_unclear(status):
            account.perhaps_withdrawn[batch] = total

    def _withdraw_full(self, token: bytes, status: int | None, answer: bytes) -> None:
        account = self._account(token)
        if status == 200:
            credit = messages.decode_withdraw_full_response(answer)
            account.emptied[credit.nonce.random] = credit.value.amount
        elif _is_unclear(status):
            account.perhaps_emptied = True

    def _exchange(self, exchange: Exchange, status: int | None) -> None:
        self._use(exchange.credit, b"exchange" + exchange.blinded_message, status)

    def _use(self, credit: AnyCredit, purpose: bytes, status: int | None) -> None:
        random = credit.nonce.random
        self._shown[random] = credit.nonce
        if status == 200:
            self._uses.setdefault(random, set()).add(purpose)
        elif _is_unclear(status):
            self._unclear.add(random)


def _is_unclear(status: int | None) -> bool:
    return status is None or status >= 500


def _step(amount: int) -> int:
    """Return how far a balance can be from the value it was rounded to."""
    return 0 if amount < _EXACT_UP_TO else 1 << amount.bit_length() - 5


def _broken(expected: str, observed: str) -> Violation:
    return Violation(f"the books to balance: {expected}", observed, level=Level.MUST)
