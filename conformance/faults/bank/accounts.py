"""Banks that mistake accounts, or know too much of their clients."""

from __future__ import annotations

import hashlib
from typing import Any

from conformance.faults import fault
from conformance.faults.bank.base import CrashingBank, LenientBank
from openpcc_ref.banking.accounts import AccountToken
from openpcc_ref.banking.errors import BankingRejected
from openpcc_ref.http1 import IncomingRequest, Responder
from openpcc_ref.services.bank import Bank
from openpcc_ref.services.message_service import Answer


@fault(
    id="bank.takes-tokens-of-any-length",
    breaks=["PAY-070"],
    trips=["bank.account.token-length"],
)
class TakesTokensOfAnyLength(LenientBank):
    """Fills short tokens up with zeros and cuts long ones."""

    without = ("account.token.length",)


@fault(
    id="bank.crashes-without-token",
    breaks=["PAY-070"],
    trips=["bank.account.token-absent"],
    also=[
        "bank.http.empty",
        "bank.http.random",
    ],
)
class CrashesWithoutToken(CrashingBank):
    """Says 500 where the token is missing."""

    codes = ("account.token.absent",)


@fault(
    id="bank.looks-at-half-a-token",
    breaks=["PAY-074"],
    trips=["bank.account.every-bit-counts"],
)
class LooksAtHalfAToken(Bank):
    """Knows an account by the first 16 bytes of its token."""

    def account_id(self, token: AccountToken) -> bytes:
        return token.octets[:16]


@fault(
    id="bank.reads-tokens-as-text",
    breaks=["PAY-070"],
    trips=["bank.account.any-token"],
    also=["bank.withdraw-full.balance"],  # draws its token at random, and a token in eight has a zero byte
)
class ReadsTokensAsText(Bank):
    """Takes the first zero byte for the end of a token."""

    def account_id(self, token: AccountToken) -> bytes:
        return hashlib.sha256(token.octets.split(b"\0")[0]).digest()


@fault(
    id="bank.sets-a-cookie",
    breaks=["PAY-072"],
    trips=["bank.account.nothing-kept-at-the-client"],
)
class SetsACookie(Bank):
    """Gives every client a session."""

    async def send(self, responder: Responder, answer: Answer) -> None:
        fields = (*answer.fields, (b"set-cookie", b"session=1"))
        await super().send(responder, Answer(answer.status, answer.content, answer.media_type, fields))


class _KnowingBank(Bank):
    """Remembers which accounts ever had something."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.known: set[bytes] = set()

    def set_balance(self, account_id: bytes, balance: int) -> None:
        self.known.add(account_id)
        super().set_balance(account_id, balance)

    def account_used(self, account_id: bytes) -> None:
        self.known.add(account_id)
        super().account_used(account_id)


@fault(
    id="bank.knows-no-unknown-accounts",
    breaks=["PAY-088"],
    trips=["bank.account.unknown-balance", "bank.account.empty-and-unknown-balance-alike"],
    also=[
        "bank.nonce-lock.consume-fails-exchange",
        "bank.repetition.other-account",
        "bank.account.every-bit-counts",
        "bank.credit.nanos",
        "bank.credit.nonce-incomplete",
        "bank.credit.part-missing",
        "bank.credit.special-as-amount",
        "bank.credit.value-malformed",
        "bank.credit.value-too-long",
        "bank.deposit.locked",
        "bank.deposit.race",
        "bank.deposit.spent-elsewhere",
        "bank.deposit.twice",
        "bank.exchange.deposit-race",
        "bank.http.oversized",
        "bank.nonce-lock.consume-answer-lost",
        "bank.nonce-lock.consume-fails-deposit",
        "bank.nonce-lock.garbage",
        "bank.nonce-lock.lock-fails",
        "bank.nonce-lock.unreachable",
        "bank.signature.before-lock",
        "bank.status.locked",
        "bank.status.spent",
        "bank.status.uncovered",
        "bank.withdraw-full.unknown-and-empty-alike",
        "bank.withdraw.unknown-and-empty-alike",
    ],
)
class KnowsNoUnknownAccounts(_KnowingBank):
    """Refuses to tell the balance of an account that never had anything."""

    def balance(self, token: AccountToken) -> int:
        if self.account_id(token) not in self.known:
            raise BankingRejected("account.unknown", where="account", expected="an account")
        return super().balance(token)


@fault(
    id="bank.omits-the-balance-of-unknown-accounts",
    breaks=["PAY-081"],
    trips=["bank.account.empty-and-unknown-balance-alike"],
)
class OmitsTheBalanceOfUnknownAccounts(_KnowingBank):
    """Leaves a zero balance out where there is no account, and sends it where there is one."""

    async def answer_balance(self, request: IncomingRequest, content: bytes) -> bytes:
        answer = await super().answer_balance(request, content)
        token = content[2:34]
        return answer if len(token) < 32 or self.account_id(AccountToken(token)) in self.known else b""


@fault(
    id="bank.says-which-accounts-exist",
    breaks=["PAY-081"],
    trips=["bank.withdraw.unknown-and-empty-alike", "bank.withdraw-full.unknown-and-empty-alike"],
)
class SaysWhichAccountsExist(_KnowingBank):
    """Calls an account without money empty or unknown, as it may be."""

    def account_id(self, token: AccountToken) -> bytes:
        account_id = super().account_id(token)
        self.asked = account_id
        return account_id

    def debited(self, balance: int, amount: int) -> int:
        if not balance and self.asked not in self.known:
            raise BankingRejected("account.unknown", where="account", expected="an account that exists")
        return super().debited(balance, amount)

    def value_of_all(self, balance: int) -> Any:
        self.debited(balance, balance)
        return super().value_of_all(balance)
