"""Banks that book wrongly, or twice."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from conformance.faults import fault
from conformance.faults.bank.base import CrashingBank
from openpcc_ref.banking.errors import BankingRejected
from openpcc_ref.banking.messages import Deposit
from openpcc_ref.banking.spends import Spend
from openpcc_ref.credits import MAX_AMOUNT, Nonce
from openpcc_ref.services.bank import Bank


@fault(
    id="bank.answers-with-the-old-balance",
    breaks=["PAY-074"],
    trips=["bank.deposit.balance"],
    also=[
        "bank.deposit.above-largest-value",
        "bank.http.unknown-fields",
        "bank.repetition.deposit",
    ],
)
class AnswersWithTheOldBalance(Bank):
    """Answers a deposit with the balance before it."""

    async def deposit(self, deposit: Deposit) -> int:
        return await super().deposit(deposit) - deposit.credit.value.amount


@fault(
    id="bank.caps-balances",
    breaks=["PAY-077"],
    trips=["bank.deposit.above-largest-value"],
    also=[
        "bank.status.above-largest-value",
        "bank.withdraw-full.above-largest-value",
        "bank.withdraw.largest-sum",
    ],
)
class CapsBalances(Bank):
    """Keeps no balance above the largest value."""

    def book(self, spend: Spend) -> None:
        super().book(spend)
        if spend.account_id and self.ledger.balance(spend.account_id) > MAX_AMOUNT:
            self.set_balance(spend.account_id, MAX_AMOUNT)


@fault(
    id="bank.loses-deposits-at-once",
    breaks=["PAY-074"],
    trips=["bank.deposit.many-at-once"],
    also=["bank.withdraw-full.race-with-others"],
)
class LosesDepositsAtOnce(Bank):
    """Reads the balance before it waits for the nonce lock, and writes it after."""

    async def finish(self, spend: Spend) -> None:
        balance = self.ledger.balance(spend.account_id) if spend.account_id else 0
        await super().finish(spend)
        if spend.account_id:
            self.set_balance(spend.account_id, balance + spend.amount)


class _DeafBank(Bank):
    """Takes a refused lock for a granted one where the refusal is one of ``ignored``."""

    ignored: ClassVar[tuple[str, ...]] = ()

    async def spend(self, wanted: Spend) -> Spend:
        known = self.ledger.find_spend(wanted.nonce)
        if known is not None and known.purpose == wanted.purpose and known.settled:
            return known
        try:
            return await super().spend(wanted)
        except BankingRejected as rejected:
            if rejected.code not in self.ignored:
                raise
        if wanted.account_id:
            self.set_balance(wanted.account_id, self.ledger.balance(wanted.account_id) + wanted.amount)
        return wanted


@fault(
    id="bank.takes-consumed-credits",
    breaks=["PAY-076", "PAY-085", "PAY-100"],
    trips=[
        "bank.deposit.twice",
        "bank.deposit.nonce-under-another-value",
        "bank.deposit.spent-elsewhere",
        "bank.exchange.twice",
        "bank.exchange.deposited",
        "bank.exchange.spent-elsewhere",
        "bank.status.spent",
        "bank.withdraw-full.exchange",
    ],
    also=[
        "bank.nonce-lock.consume-fails-exchange",
        "bank.credit.nanos",
        "bank.ledger.session",
        "bank.nonce-lock.consume-answer-lost",
    ],
)
class TakesConsumedCredits(_DeafBank):
    """Books a credit although its nonce is consumed."""

    ignored = ("nonce-lock.consumed",)


@fault(
    id="bank.takes-locked-credits",
    breaks=["PAY-076", "PAY-085"],
    trips=[
        "bank.deposit.locked",
        "bank.deposit.race",
        "bank.exchange.race",
        "bank.exchange.deposit-race",
        "bank.status.locked",
    ],
    also=[
        "bank.nonce-lock.consume-fails-exchange",
        "bank.exchange.spent-elsewhere",
        "bank.repetition.after-lost-answers",
    ],
)
class TakesLockedCredits(_DeafBank):
    """Books a credit although another request holds its nonce: a double spend for whoever is quick."""

    ignored = ("nonce-lock.locked",)


@fault(
    id="bank.takes-what-the-nonce-lock-refuses",
    breaks=["PAY-075", "PAY-110"],
    trips=["bank.deposit.expired", "bank.nonce-lock.lock-fails", "bank.nonce-lock.refuses"],
)
class TakesWhatTheNonceLockRefuses(_DeafBank):
    """Books a credit although the nonce lock would not have its nonce."""

    ignored = ("nonce-lock.refused",)


@fault(
    id="bank.keeps-a-record-of-its-own",
    breaks=["PAY-100"],
    trips=["bank.deposit.spent-elsewhere", "bank.exchange.spent-elsewhere", "bank.nonce-lock.calls"],
    also=[
        "bank.**",
    ],
)
class KeepsARecordOfItsOwn(Bank):
    """Asks no nonce lock, and remembers by itself what was spent here."""

    async def lock(self, nonce: Nonce) -> str:
        return "mine"

    async def consume(self, spend: Spend) -> None:
        return

    async def release(self, spend: Spend) -> None:
        return


@fault(
    id="bank.recognises-no-repetition",
    breaks=["PAY-092"],
    trips=[
        "bank.repetition.deposit",
        "bank.repetition.withdraw",
        "bank.repetition.withdraw-full",
        "bank.repetition.exchange",
        "bank.repetition.after-lost-answers",
        "bank.repetition.at-once",
    ],
    also=[
        "bank.nonce-lock.consume-fails-exchange",
        "bank.nonce-lock.client-leaves",
        "bank.status.above-largest-value",
        "bank.status.locked",
        "bank.status.spent",
        "bank.status.uncovered",
    ],
)
class RecognisesNoRepetition(CrashingBank):
    """Does every request as if it were new and says 500 where that fails, as deployed banks do."""

    codes = ("nonce-lock.consumed", "nonce-lock.locked", "account.uncovered", "account.above-maximum")

    def known_spend(self, wanted: Spend) -> Spend | None:
        known = self.ledger.find_spend(wanted.nonce)
        return super().known_spend(replace(wanted, purpose=b"another")) if known else None

    def known_reply(self, request: bytes) -> None:
        return None
