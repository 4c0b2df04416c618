"""The bank, also called BlindBank: pseudonymous accounts, fed by credits and paid out in credits.

Run it as ``python -m openpcc_ref.services.bank`` with the configuration ``{"currency_key": {"p": hex, "q": hex},
"nonce_lock_url": …, "database": path or null}`` and, for a key of 1024 bits, ``"allow_test_key": true``. It follows the
texts where deployed banks differ. Requirements: PAY-055, PAY-070 to PAY-093, PAY-100, PAY-109 to PAY-111.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any, Self

import anyio

from openpcc_ref.banking import accounts, messages
from openpcc_ref.banking.accounts import AccountToken
from openpcc_ref.banking.messages import Deposit, Exchange, Withdrawal
from openpcc_ref.banking.spends import crediting, digest, exchanging
from openpcc_ref.credits.credit import UnblindedCredit
from openpcc_ref.credits.currency import CurrencyValue, rounding_factor
from openpcc_ref.credits.issuer import BlindSignRequest, require_positive_amount
from openpcc_ref.http1 import IncomingRequest
from openpcc_ref.services.config import Settings
from openpcc_ref.services.launch import main
from openpcc_ref.services.ledger import Ledger, Reply
from openpcc_ref.services.message_service import Route
from openpcc_ref.services.nonce_lock_client import NonceLockClient
from openpcc_ref.services.spending import SpendingService, read_currency_key


class Bank(SpendingService):
    """A bank on one ledger."""

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        settings = Settings(config)
        key, allow_test_key = read_currency_key(settings)
        nonce_lock = NonceLockClient(settings.url("nonce_lock_url"))
        ledger = Ledger(settings.optional_text("database"))
        settings.end()
        return cls(key, nonce_lock, ledger, allow_test_key=allow_test_key)

    def routes(self) -> Mapping[bytes, Route]:
        return {
            b"/deposit": self.answer_deposit,
            b"/withdraw": self.answer_withdraw,
            b"/withdraw-full": self.answer_withdraw_full,
            b"/exchange": self.answer_exchange,
            b"/balance": self.answer_balance,
        }

    # -- messages ----------------------------------------------------------------------------------------------------

    async def answer_deposit(self, request: IncomingRequest, content: bytes) -> bytes:
        """Answer ``/deposit``."""
        return messages.encode_deposit_response(await self.deposit(messages.decode_deposit_request(content)))

    async def answer_withdraw(self, request: IncomingRequest, content: bytes) -> bytes:
        """Answer ``/withdraw``."""
        return self.withdraw(messages.decode_withdraw_request(content)).content

    async def answer_withdraw_full(self, request: IncomingRequest, content: bytes) -> bytes:
        """Answer ``/withdraw-full``, not before its credit may be seen. Requirements: PAY-023."""
        reply = self.withdraw_full(messages.decode_withdraw_full_request(content))
        await self.wait_until(reply.usable_from)
        return reply.content

    async def answer_exchange(self, request: IncomingRequest, content: bytes) -> bytes:
        """Answer ``/exchange``."""
        return messages.encode_exchange_response(await self.exchange(messages.decode_exchange_request(content)))

    async def answer_balance(self, request: IncomingRequest, content: bytes) -> bytes:
        """Answer ``/balance``."""
        return messages.encode_balance_response(self.balance(messages.decode_balance_request(content)))

    # -- operations --------------------------------------------------------------------------------------------------

    async def deposit(self, deposit: Deposit) -> int:
        """Book a credit and return the new balance. Requirements: PAY-074 to PAY-077."""
        self.amount_of(deposit.credit.value)
        self.verify(deposit.credit)
        account_id = self.account_id(deposit.token)
        await self.spend(crediting(account_id, deposit.credit))
        return self.ledger.balance(account_id)

    def withdraw(self, withdrawal: Withdrawal) -> Reply:
        """Sign a batch at the expense of an account, or nothing of it. Requirements: PAY-055, PAY-078 to PAY-082."""
        total = self.price_of(withdrawal.requests)
        account_id = self.account_id(withdrawal.token)
        request = digest(b"withdraw", account_id, messages.encode_withdraw_request(withdrawal))
        with self.ledger.transaction():
            known = self.known_reply(request)
            if known is not None:
                return known
            balance = self.debited(self.ledger.balance(account_id), total)
            signatures = self.sign(withdrawal.requests)
            self.set_balance(account_id, balance)
            reply = Reply(messages.encode_withdraw_response(balance, signatures))
            self.ledger.keep_reply(request, reply, self.now())
        return reply

    def withdraw_full(self, token: AccountToken) -> Reply:
        """Empty an account into one unblinded credit. Requirements: PAY-081, PAY-083, PAY-084.

        The answer is repeated until the account is used again.
        """
        account_id = self.account_id(token)
        request = _emptying(account_id)
        with self.ledger.transaction():
            known = self.known_reply(request)
            if known is not None:
                return known
            credit, usable_from = self.issue(self.value_of_all(self.ledger.balance(account_id)))
            self.set_balance(account_id, 0)
            reply = Reply(messages.encode_withdraw_full_response(credit), usable_from)
            self.ledger.keep_reply(request, reply, self.now())
        return reply

    async def exchange(self, exchange: Exchange) -> bytes:
        """Swap a credit of either kind for a blind signature under its value. Requirements: PAY-085 to PAY-087."""
        self.amount_of(exchange.credit.value)
        self.verify(exchange.credit)
        (signature,) = self.sign([exchange.request])
        return (await self.spend(exchanging(exchange, signature))).blind_signature

    def balance(self, token: AccountToken) -> int:
        """Return a balance. Requirements: PAY-088."""
        return self.ledger.balance(self.account_id(token))

    # -- rules -------------------------------------------------------------------------------------------------------

    def account_id(self, token: AccountToken) -> bytes:
        """Return what the ledger knows an account by. Requirements: PAY-073."""
        return token.account_id

    def amount_of(self, value: CurrencyValue) -> int:
        """Return the amount of a credit that comes in. Requirements: PAY-010, PAY-011, PAY-075, PAY-086."""
        return require_positive_amount(value)

    def price_of(self, requests: Sequence[BlindSignRequest]) -> int:
        """Return what a batch costs. Requirements: PAY-055, PAY-078, PAY-079."""
        return accounts.require_batch(requests)

    def known_reply(self, request: bytes) -> Reply | None:
        """Return the answer that an identical request got a short while ago. Requirements: PAY-092."""
        self.ledger.forget_old(self.now())
        return self.ledger.find_reply(request)

    def debited(self, balance: int, amount: int) -> int:
        """Return the balance after a withdrawal. Requirements: PAY-080 to PAY-082."""
        return accounts.debit(balance, amount)

    def sign(self, requests: Sequence[BlindSignRequest]) -> list[bytes]:
        """Return the blind signatures in the order of the requests. Requirements: PAY-050, PAY-080."""
        return [self.issuer.blind_sign(request) for request in requests]

    def value_of_all(self, balance: int) -> CurrencyValue:
        """Return the value of the credit that empties an account. Requirements: PAY-083, PAY-084."""
        return accounts.value_of_all(balance, rounding_factor(self.random))

    def issue(self, value: CurrencyValue) -> tuple[UnblindedCredit, int]:
        """Return an unblinded credit and the moment from which it may be seen. Requirements: PAY-023, PAY-083."""
        return self.issuer.issue_unblinded(value)

    def set_balance(self, account_id: bytes, balance: int) -> None:
        """Write a balance down."""
        self.ledger.set_balance(account_id, balance)

    def account_used(self, account_id: bytes) -> None:
        self.ledger.forget_reply(_emptying(account_id))

    async def wait_until(self, moment: int) -> None:
        """Wait for a moment in Unix seconds. Requirements: PAY-023, PAY-024."""
        await anyio.sleep(max(0.0, moment - self.clock().timestamp()))


def _emptying(account_id: bytes) -> bytes:
    return digest(b"withdraw-full", account_id)


if __name__ == "__main__":
    main(Bank, sys.argv[1:])
