"""Banks that look at things too early, too late, or not as closely as they should, or blame themselves for it."""

from __future__ import annotations

import random
from typing import Any

import anyio

from conformance.faults import fault
from conformance.faults.bank.base import CrashingBank, LenientBank, OwnIssuer
from openpcc_ref.banking import accounts, messages
from openpcc_ref.banking.messages import Withdrawal
from openpcc_ref.credits import AnyCredit, CurrencyValue, Nonce, PrivateKey, blind_rsa
from openpcc_ref.credits.errors import CreditRejected
from openpcc_ref.http1 import IncomingRequest
from openpcc_ref.protobuf import bank_pb2
from openpcc_ref.services.bank import Bank
from openpcc_ref.services.ledger import Reply


@fault(
    id="bank.empties-beside-others",
    breaks=["PAY-083"],
    trips=["bank.withdraw-full.race-with-others"],
)
class EmptiesBesideOthers(Bank):
    """Empties one account at a time, but lets deposits and withdrawals in while it makes the credit."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.emptying = anyio.Lock()

    async def answer_withdraw_full(self, request: IncomingRequest, content: bytes) -> bytes:
        token = messages.decode_withdraw_full_request(content)
        account_id = self.account_id(token)
        async with self.emptying:
            balance = self.ledger.balance(account_id)
            await anyio.sleep(0.005)
            if balance:
                self.set_balance(account_id, balance)
            return self.withdraw_full(token).content


@fault(
    id="bank.tosses-a-coin",
    breaks=["PAY-008"],
    trips=["bank.withdraw-full.rounding-probability"],
)
class TossesACoin(Bank):
    """Rounds up as often as down, however near the lower neighbour is."""

    def value_of_all(self, balance: int) -> CurrencyValue:
        return accounts.value_of_all(balance, random.choice((0.0, 1.0)))


@fault(
    id="bank.looks-for-the-account-first",
    breaks=["PAY-081"],
    trips=["bank.withdraw.unknown-and-empty-alike"],
    also=[
        "bank.account.token-length",
        "bank.repetition.other-account",
        "bank.withdraw.*",
    ],
)
class LooksForTheAccountFirst(Bank):
    """Refuses unknown accounts before it looks at the batch: with a bad one, anyone can ask which accounts exist."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.known: set[bytes] = set()

    def account_used(self, account_id: bytes) -> None:
        super().account_used(account_id)
        self.known.add(account_id)

    def withdraw(self, withdrawal: Withdrawal) -> Reply:
        if self.account_id(withdrawal.token) not in self.known:
            accounts.debit(0, 1)
        return super().withdraw(withdrawal)


@fault(
    id="bank.verifies-when-it-has-the-lock",
    breaks=["PAY-109"],
    trips=["bank.signature.before-lock"],
)
class VerifiesWhenItHasTheLock(Bank):
    """Looks before the lock whether a signature is one at all, and computes after it."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.unverified: dict[bytes, AnyCredit] = {}

    def verify(self, credit: AnyCredit) -> None:
        if not any(credit.signature):
            super().verify(credit)
        self.unverified[credit.nonce.random] = credit

    async def lock(self, nonce: Nonce) -> str:
        ticket = await super().lock(nonce)
        try:
            self.issuer.verify(self.unverified[nonce.random])
        except CreditRejected:
            await self.nonce_lock.release(nonce, ticket)
            raise
        return ticket


@fault(
    id="bank.blames-itself-for-missing-money",
    breaks=["PAY-091"],
    trips=["bank.status.uncovered", "bank.status.above-largest-value"],
)
class BlamesItselfForMissingMoney(CrashingBank):
    """Says 500 where a balance is too small or too large, as deployed banks do."""

    codes = ("account.uncovered", "account.above-maximum")


@fault(
    id="bank.blames-itself-for-unusable-messages",
    breaks=["PAY-091"],
    trips=["bank.status.unusable-message"],
)
class BlamesItselfForUnusableMessages(CrashingBank):
    """Says 500 where a blinded message cannot be signed, as deployed banks do."""

    codes = ("blind-rsa.blinded-message.length", "blind-rsa.blinded-message.range")


@fault(
    id="bank.begins-nonces-with-the-time",
    breaks=["PAY-020"],
    trips=["bank.withdraw-full.credit"],
)
class BeginsNoncesWithTheTime(OwnIssuer):
    """Draws the nonces of its credits as identifiers that sort by time."""

    def nonce(self) -> Nonce:
        drawn = super().nonce()
        return Nonce(drawn.timestamp, self.now().to_bytes(6, "big") + drawn.random[6:])


@fault(
    id="bank.signs-under-any-bytes",
    breaks=["PAY-004", "PAY-055"],
    trips=["bank.withdraw.value-too-long"],
    also=[
        "bank.credit.value-too-long",
    ],
)
class SignsUnderAnyBytes(LenientBank):
    """Charges for the first two bytes of a value, and signs under all of them."""

    without = ("currency.bytes.trailing",)

    def __init__(self, key: PrivateKey, *arguments: Any, **options: Any) -> None:
        super().__init__(key, *arguments, **options)
        self.private_key = key

    async def answer_withdraw(self, request: IncomingRequest, content: bytes) -> bytes:
        answer = await super().answer_withdraw(request, content)
        asked = bank_pb2.BatchWithdrawRequest.FromString(content).requests
        if all(len(one.value.currency) == 2 for one in asked):
            return answer
        balance, _ = messages.decode_withdraw_response(answer, len(asked))
        signatures = [blind_rsa.blind_sign(self.private_key, one.blinded_message, one.value.currency) for one in asked]
        return messages.encode_withdraw_response(balance, signatures)
