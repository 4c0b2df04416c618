"""Banks that sign wrongly, charge wrongly, or pay out what is not there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import anyio

from conformance.faults import fault
from conformance.faults.bank.base import LenientBank, OwnIssuer
from openpcc_ref.banking import accounts, messages
from openpcc_ref.banking.messages import Withdrawal
from openpcc_ref.credits import BlindSignRequest, CurrencyValue, Nonce, currency
from openpcc_ref.credits.nonce import QUANTUM
from openpcc_ref.http1 import IncomingRequest
from openpcc_ref.services.bank import Bank
from openpcc_ref.services.ledger import Reply


@fault(
    id="bank.signs-in-reverse",
    breaks=["PAY-080"],
    trips=["bank.withdraw.batch"],
    also=[
        "bank.repetition.other-order",
        "bank.ledger.circle",
        "bank.withdraw.fifteen",
        "bank.withdraw.largest-sum",
        "bank.withdraw.uncovered",
    ],
)
class SignsInReverse(Bank):
    """Returns the signatures of a batch from the last to the first."""

    def sign(self, requests: Sequence[BlindSignRequest]) -> list[bytes]:
        return super().sign(requests)[::-1]


@fault(
    id="bank.charges-one-too-little",
    breaks=["PAY-055", "PAY-080"],
    trips=["bank.withdraw.batch", "bank.withdraw.fifteen", "bank.ledger.session"],
    also=[
        "bank.repetition.other-account",
        "bank.repetition.other-order",
        "bank.repetition.other-value",
        "bank.account.empty-and-unknown-balance-alike",
        "bank.ledger.circle",
        "bank.nonce-lock.withdrawals-need-none",
        "bank.repetition.after-lost-answers",
        "bank.repetition.at-once",
        "bank.repetition.withdraw",
        "bank.status.uncovered",
        "bank.withdraw-full.unknown-and-empty-alike",
        "bank.withdraw.largest-sum",
        "bank.withdraw.race",
        "bank.withdraw.uncovered",
        "bank.withdraw.unknown-and-empty-alike",
    ],
)
class ChargesOneTooLittle(Bank):
    """Charges a unit less than it signs for, where a withdrawal is of more than one."""

    def price_of(self, requests: Sequence[BlindSignRequest]) -> int:
        price = super().price_of(requests)
        return price - (price > 1)


@fault(
    id="bank.signs-batches-of-any-size",
    breaks=["PAY-078"],
    trips=["bank.withdraw.batch-size"],
)
class SignsBatchesOfAnySize(LenientBank):
    """Signs as much as is asked for."""

    without = ("batch.size",)


@fault(
    id="bank.signs-ten-at-most",
    breaks=["PAY-078"],
    trips=["bank.withdraw.fifteen"],
    also=[
        "bank.withdraw.largest-sum",
    ],
)
class SignsTenAtMost(Bank):
    """Refuses batches of more than ten."""

    def price_of(self, requests: Sequence[BlindSignRequest]) -> int:
        return super().price_of(requests if len(requests) <= 10 else [])


@fault(
    id="bank.signs-a-message-twice",
    breaks=["PAY-079"],
    trips=["bank.withdraw.repeated-message"],
)
class SignsAMessageTwice(LenientBank):
    """Signs one blinded message as often as a batch has it."""

    without = ("batch.repeated-message",)


@fault(
    id="bank.pays-what-it-can",
    breaks=["PAY-080", "PAY-082"],
    trips=["bank.withdraw.uncovered"],
    also=[
        "bank.withdraw.largest-sum",
    ],
)
class PaysWhatItCan(Bank):
    """Signs as much of a batch as the balance covers."""

    def withdraw(self, withdrawal: Withdrawal) -> Reply:
        balance = self.ledger.balance(self.account_id(withdrawal.token))
        covered = withdrawal.requests
        while len(covered) > 1 and self.price_of(covered) > balance:
            covered = covered[:-1]
        return super().withdraw(replace(withdrawal, requests=covered) if self.price_of(covered) else withdrawal)


@fault(
    id="bank.lends",
    breaks=["PAY-082"],
    trips=["bank.withdraw.uncovered", "bank.withdraw.race", "bank.status.uncovered"],
    also=[
        "bank.repetition.other-account",
        "bank.account.every-bit-counts",
        "bank.ledger.session",
        "bank.withdraw-full.unknown-and-empty-alike",
        "bank.withdraw.largest-sum",
        "bank.withdraw.unknown-and-empty-alike",
    ],
)
class Lends(LenientBank):
    """Lets balances go below zero."""

    without = ("account.uncovered",)


@fault(
    id="bank.counts-in-38-bits",
    breaks=["PAY-080"],
    trips=["bank.withdraw.largest-sum"],
)
class CountsIn38Bits(Bank):
    """Loses the carry of large sums."""

    def price_of(self, requests: Sequence[BlindSignRequest]) -> int:
        return super().price_of(requests) % (1 << 38)


@fault(
    id="bank.keeps-the-money-of-failed-batches",
    breaks=["PAY-080"],
    trips=["bank.withdraw.unusable-message"],
    also=[
        "bank.status.unusable-message",
    ],
)
class KeepsTheMoneyOfFailedBatches(Bank):
    """Debits a batch before it signs, and leaves it so when signing fails."""

    def withdraw(self, withdrawal: Withdrawal) -> Reply:
        account_id = self.account_id(withdrawal.token)
        before = self.ledger.balance(account_id)
        try:
            return super().withdraw(withdrawal)
        except Exception:
            total = self.price_of(withdrawal.requests)
            if total <= before:
                self.set_balance(account_id, before - total)
            raise


@fault(
    id="bank.overdraws-at-once",
    breaks=["PAY-082"],
    trips=["bank.withdraw.race"],
    also=[
        "bank.withdraw-full.race-with-others",
        "bank.ledger.session",
        "bank.repetition.after-lost-answers",
        "bank.repetition.at-once",
    ],
)
class OverdrawsAtOnce(Bank):
    """Reads the balance, signs while others do the same, and writes what is left."""

    async def answer_withdraw(self, request: IncomingRequest, content: bytes) -> bytes:
        withdrawal = messages.decode_withdraw_request(content)
        before = self.ledger.balance(self.account_id(withdrawal.token))
        await anyio.sleep(0.02)
        now = self.ledger.balance(self.account_id(withdrawal.token))
        if now != before:
            self.set_balance(self.account_id(withdrawal.token), before)
        return self.withdraw(withdrawal).content


@fault(
    id="bank.charges-a-fee-for-repetitions",
    breaks=["PAY-055"],
    trips=["bank.repetition.at-once"],
    also=[
        "bank.repetition.after-lost-answers",
        "bank.repetition.withdraw",
    ],
)
class ChargesAFeeForRepetitions(Bank):
    """Takes a unit for every repeated withdrawal."""

    def withdraw(self, withdrawal: Withdrawal) -> Reply:
        account_id = self.account_id(withdrawal.token)
        before = self.ledger.balance(account_id)
        reply = super().withdraw(withdrawal)
        if self.ledger.balance(account_id) == before:
            self.set_balance(account_id, before - 1)
        return reply


@fault(
    id="bank.keeps-the-balance",
    breaks=["PAY-083"],
    trips=["bank.withdraw-full.balance", "bank.withdraw-full.rounding", "bank.ledger.circle"],
    also=[
        "bank.account.empty-and-unknown-balance-alike",
        "bank.http.answers",
        "bank.nonce-lock.withdrawals-need-none",
        "bank.repetition.other-account",
        "bank.repetition.other-value",
        "bank.repetition.withdraw-full",
        "bank.status.uncovered",
        "bank.withdraw-full.above-largest-value",
        "bank.withdraw-full.credit",
        "bank.withdraw-full.exchange",
        "bank.withdraw-full.race",
        "bank.withdraw-full.race-with-others",
        "bank.withdraw-full.rounding-both-ways",
        "bank.withdraw-full.rounding-probability",
        "bank.withdraw-full.stamp",
        "bank.withdraw-full.unknown-and-empty-alike",
        "bank.withdraw.fifteen",
        "bank.withdraw.largest-sum",
        "bank.withdraw.uncovered",
        "bank.withdraw.unknown-and-empty-alike",
    ],
)
class KeepsTheBalance(Bank):
    """Forgets to empty the account."""

    def set_balance(self, account_id: bytes, balance: int) -> None:
        if balance:
            super().set_balance(account_id, balance)


@fault(
    id="bank.rounds-two-steps-down",
    breaks=["PAY-083", "PAY-007"],
    trips=["bank.withdraw-full.rounding"],
    also=[
        "bank.withdraw-full.rounding-both-ways",
        "bank.withdraw-full.rounding-probability",
    ],
)
class RoundsTwoStepsDown(Bank):
    """Rounds to the value below the lower neighbour."""

    def value_of_all(self, balance: int) -> CurrencyValue:
        value = super().value_of_all(balance)
        return value if value.amount == balance else CurrencyValue(value.code - 2)


@fault(
    id="bank.rounds-down",
    breaks=["PAY-008"],
    trips=["bank.withdraw-full.rounding-both-ways"],
)
class RoundsDown(Bank):
    """Keeps what cannot be represented, always."""

    def value_of_all(self, balance: int) -> CurrencyValue:
        return accounts.value_of_all(balance, 0.0)


@fault(
    id="bank.empties-in-parts",
    breaks=["PAY-084"],
    trips=["bank.withdraw-full.above-largest-value", "bank.status.above-largest-value"],
)
class EmptiesInParts(Bank):
    """Gives the largest value for what is above it, and keeps the rest."""

    def value_of_all(self, balance: int) -> CurrencyValue:
        return super().value_of_all(min(balance, currency.MAX_AMOUNT))


@fault(
    id="bank.empties-at-once",
    breaks=["PAY-083"],
    trips=["bank.withdraw-full.race"],
    also=[
        "bank.withdraw-full.race-with-others",
    ],
)
class EmptiesAtOnce(Bank):
    """Reads the balance, waits while others do the same, and gives each of them all of it."""

    async def answer_withdraw_full(self, request: IncomingRequest, content: bytes) -> bytes:
        token = messages.decode_withdraw_full_request(content)
        account_id = self.account_id(token)
        balance = self.ledger.balance(account_id)
        await anyio.sleep(0.02)
        if balance and not self.ledger.balance(account_id):
            self.set_balance(account_id, balance)
            self.account_used(account_id)
        return self.withdraw_full(token).content


@fault(
    id="bank.stamps-the-minute",
    breaks=["PAY-021"],
    trips=["bank.withdraw-full.credit"],
)
class StampsTheMinute(OwnIssuer):
    """Stamps credits with the minute in which they are made."""

    def nonce(self) -> Nonce:
        minute = self.now() // 60 * 60
        return Nonce(minute + 60 * (minute % QUANTUM == 0), self.random(16))


@fault(
    id="bank.stamps-two-hours-ago",
    breaks=["PAY-022"],
    trips=["bank.withdraw-full.stamp"],
)
class StampsTwoHoursAgo(OwnIssuer):
    """Stamps credits by a clock that is two hours slow."""

    def nonce(self) -> Nonce:
        nonce = super().nonce()
        return Nonce(nonce.timestamp - 2 * QUANTUM, nonce.random)


@fault(
    id="bank.salts-its-credits",
    breaks=["PAY-046"],
    trips=["bank.withdraw-full.credit"],
)
class SaltsItsCredits(OwnIssuer):
    """Uses a salt of its own."""

    salt = bytes(range(48))


@fault(
    id="bank.uses-a-nonce-again",
    breaks=["PAY-020"],
    trips=["bank.withdraw-full.credit"],
    also=[
        "bank.repetition.withdraw-full",
        "bank.withdraw-full.exchange",
        "bank.withdraw-full.race-with-others",
    ],
)
class UsesANonceAgain(OwnIssuer):
    """Draws the nonce from the hour alone."""

    def nonce(self) -> Nonce:
        nonce = super().nonce()
        return Nonce(nonce.timestamp, nonce.timestamp.to_bytes(16, "big"))
