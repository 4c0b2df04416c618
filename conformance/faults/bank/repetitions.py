"""Banks that recognise repetitions by too little, or book what is repeated once more."""

from __future__ import annotations

from typing import Any

from conformance.faults import fault
from openpcc_ref.banking import messages
from openpcc_ref.banking.accounts import AccountToken
from openpcc_ref.banking.messages import Deposit, Exchange, Withdrawal
from openpcc_ref.banking.spends import Spend, digest
from openpcc_ref.credits import BlindSignRequest
from openpcc_ref.services.bank import Bank
from openpcc_ref.services.ledger import Reply


class _ForgetfulOfParts(Bank):
    """Recognises a withdrawal by what ``name_of`` returns."""

    def name_of(self, withdrawal: Withdrawal) -> bytes:
        raise NotImplementedError

    def withdraw(self, withdrawal: Withdrawal) -> Reply:
        name = self.name_of(withdrawal)
        known = self.ledger.find_reply(name)
        if known is not None:
            return self.repeated(withdrawal, known)
        reply = super().withdraw(withdrawal)
        self.ledger.keep_reply(name, reply, self.now())
        return reply

    def repeated(self, withdrawal: Withdrawal, known: Reply) -> Reply:
        """Return the answer to what is taken for a repetition."""
        return known


@fault(
    id="bank.recognises-messages-only",
    breaks=["PAY-055", "PAY-080"],
    trips=["bank.repetition.other-value"],
)
class RecognisesMessagesOnly(_ForgetfulOfParts):
    """Takes the same blinded messages for a repetition, and signs them once more under whatever value, for nothing."""

    def name_of(self, withdrawal: Withdrawal) -> bytes:
        return digest(withdrawal.token.octets, *(request.blinded_message for request in withdrawal.requests))

    def repeated(self, withdrawal: Withdrawal, known: Reply) -> Reply:
        balance = self.balance(withdrawal.token)
        return Reply(messages.encode_withdraw_response(balance, self.sign(withdrawal.requests)))


@fault(
    id="bank.recognises-batches-of-any-account",
    breaks=["PAY-082", "PAY-080"],
    trips=["bank.repetition.other-account"],
)
class RecognisesBatchesOfAnyAccount(_ForgetfulOfParts):
    """Takes the same batch for a repetition, whosever it is, and tells everyone the first one's balance."""

    def name_of(self, withdrawal: Withdrawal) -> bytes:
        return digest(*map(_request, withdrawal.requests))


@fault(
    id="bank.recognises-batches-in-any-order",
    breaks=["PAY-080"],
    trips=["bank.repetition.other-order"],
)
class RecognisesBatchesInAnyOrder(_ForgetfulOfParts):
    """Takes the same requests in another order for a repetition, and answers in the first order."""

    def name_of(self, withdrawal: Withdrawal) -> bytes:
        return digest(withdrawal.token.octets, *sorted(map(_request, withdrawal.requests)))


def _request(request: BlindSignRequest) -> bytes:
    return request.value.blind_bytes + request.blinded_message


@fault(
    id="bank.exchanges-known-messages-for-nothing",
    breaks=["PAY-085"],
    trips=["bank.repetition.other-credit"],
)
class ExchangesKnownMessagesForNothing(Bank):
    """Takes an exchange for the same blinded message for a repetition, whatever credit comes with it."""

    async def exchange(self, exchange: Exchange) -> bytes:
        known = self.ledger.find_reply(exchange.blinded_message)
        if known is not None:
            (signature,) = self.sign([exchange.request])
            return signature
        signature = await super().exchange(exchange)
        self.ledger.keep_reply(exchange.blinded_message, Reply(signature), self.now())
        return signature


@fault(
    id="bank.books-at-each-end",
    breaks=["PAY-074", "PAY-076"],
    trips=["bank.repetition.while-the-first-waits"],
    also=[
        "bank.nonce-lock.client-leaves",
        "bank.repetition.after-lost-answers",
    ],
)
class BooksAtEachEnd(Bank):
    """Books a deposit for every request that has waited for its consumption."""

    def book(self, spend: Spend) -> None:
        with self.ledger.transaction():
            self.ledger.mark_settled(spend, self.now())
            if spend.account_id:
                self.set_balance(spend.account_id, self.ledger.balance(spend.account_id) + spend.amount)
                self.account_used(spend.account_id)


@fault(
    id="bank.books-repeated-deposits",
    breaks=["PAY-074", "PAY-092"],
    trips=["bank.repetition.deposit"],
    also=[
        "bank.ledger.session",
        "bank.nonce-lock.client-leaves",
        "bank.nonce-lock.consume-answer-lost",
        "bank.repetition.after-lost-answers",
        "bank.repetition.while-the-first-waits",
    ],
)
class BooksRepeatedDeposits(Bank):
    """Recognises a repeated deposit and adds its amount all the same."""

    async def deposit(self, deposit: Deposit) -> int:
        known = self.ledger.find_spend(deposit.credit.nonce)
        balance = await super().deposit(deposit)
        if known is not None:
            balance += deposit.credit.value.amount
            self.set_balance(self.account_id(deposit.token), balance)
        return balance


@fault(
    id="bank.empties-again",
    breaks=["PAY-083", "PAY-092"],
    trips=["bank.repetition.withdraw-full", "bank.withdraw-full.race"],
    also=[
        "bank.withdraw-full.race-with-others",
    ],
)
class EmptiesAgain(Bank):
    """Remembers what an emptied account was worth, and makes a new credit of it for every repetition."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.emptied: dict[bytes, int] = {}

    def withdraw_full(self, token: AccountToken) -> Reply:
        account_id = self.account_id(token)
        balance = self.ledger.balance(account_id)
        if not balance and account_id in self.emptied:
            credit, usable_from = self.issue(self.value_of_all(self.emptied[account_id]))
            return Reply(messages.encode_withdraw_full_response(credit), usable_from)
        self.emptied[account_id] = balance
        self.account_used(account_id)
        return super().withdraw_full(token)


@fault(
    id="bank.gives-the-first-credit-for-ever",
    breaks=["PAY-083"],
    trips=["bank.repetition.withdraw-full"],
)
class GivesTheFirstCreditForEver(Bank):
    """Repeats the credit of a full withdrawal although something has been deposited since."""

    def account_used(self, account_id: bytes) -> None:
        return
