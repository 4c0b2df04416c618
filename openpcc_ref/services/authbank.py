"""The AuthBank: configuration of clients, credits and attestation tokens for prepaid accounts, and credits back.

Run it as ``python -m openpcc_ref.services.authbank`` with the configuration of a bank and ``"badge_seed": hex,
"accounts": [{"api_key", "organisation", "user", "active_until", "prepaid", "models"}]``. For ``GET /api/config`` it
also needs ``"client_config": {"router_url", "bank_url", "relays": [URL], "ohttp_key_configs_bundle": hex,
"currency_key_bundle": hex}``, with bundles that somebody else has signed, and may have ``"identity_policy"`` in it;
without, there is no such path. Requirements: AUTH-003 to AUTH-008, AUTH-010, AUTH-016, AUTH-018 to AUTH-031, PAY-060 to
PAY-064.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, Self

from openpcc_ref.badges import Badge, sign_badge
from openpcc_ref.banking import accounts, authbank_messages
from openpcc_ref.banking.authbank_messages import KEY_FIELD, AuthRefund, AuthSignature, AuthWithdrawal
from openpcc_ref.banking.client_config import ClientConfig, IdentityPolicy, encode_client_config
from openpcc_ref.banking.errors import BankingRejected
from openpcc_ref.banking.spends import Spend, crediting, digest
from openpcc_ref.credits.currency import CurrencyValue
from openpcc_ref.credits.issuer import BlindSignRequest, require_attestation, require_positive_amount
from openpcc_ref.errors import Rejected, require
from openpcc_ref.http1 import IncomingRequest, field_values
from openpcc_ref.services.config import Settings
from openpcc_ref.services.launch import main
from openpcc_ref.services.ledger import Ledger, Reply
from openpcc_ref.services.message_service import Route
from openpcc_ref.services.nonce_lock_client import NonceLockClient
from openpcc_ref.services.spending import STATUSES as SPENDING_STATUSES
from openpcc_ref.services.spending import SpendingService, read_currency_key

STATUSES = {
    **SPENDING_STATUSES,
    "account.api-key": 401,
    "account.refund-above-prepaid": 403,
    "account.uncovered": 429,
}
"""Status by code; 429 is what tells clients that a limit is reached. Requirements: AUTH-025."""

MAX_PREPAID = 2**62

CONFIG_PATH = b"/api/config"


@dataclass(frozen=True, slots=True)
class Customer:
    """What an API key stands for. Requirements: AUTH-008."""

    api_key: str = field(repr=False)
    organisation: str
    user: str
    active_until: datetime
    prepaid: int
    """What was paid in: the balance at first, and the most that it can be again (AUTH-030)."""
    models: tuple[str, ...]

    @property
    def account_id(self) -> bytes:
        """What the ledger knows the account by."""
        return hashlib.sha256(b"openpcc api key" + self.api_key.encode()).digest()


class AuthBank(SpendingService):
    """An AuthBank for some customers. ``badge_seed`` is an Ed25519 seed of 32 bytes."""

    def __init__(
        self,
        *args: Any,
        customers: Iterable[Customer],
        badge_seed: bytes,
        client_config: ClientConfig | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.client_config = client_config
        self.customers = {customer.api_key.encode(): customer for customer in customers}
        self.by_account = {customer.account_id: customer for customer in self.customers.values()}
        self.badge_seed = badge_seed
        for customer in self.customers.values():
            self.ledger.open_account(customer.account_id, customer.prepaid)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        settings = Settings(config)
        key, allow_test_key = read_currency_key(settings)
        nonce_lock = NonceLockClient(settings.url("nonce_lock_url"))
        ledger = Ledger(settings.optional_text("database"))
        customers = [_read_customer(account) for account in settings.objects("accounts")]
        badge_seed = settings.hex_bytes("badge_seed", 32)
        client_config = _read_client_config(settings.object("client_config")) if settings.has("client_config") else None
        settings.end()
        return cls(
            key,
            nonce_lock,
            ledger,
            customers=customers,
            badge_seed=badge_seed,
            client_config=client_config,
            allow_test_key=allow_test_key,
        )

    def routes(self) -> Mapping[bytes, Route]:
        return {
            **({CONFIG_PATH: self.answer_config} if self.client_config is not None else {}),
            b"/api/auth": self.answer_withdrawal,
            b"/api/attestationRequest": self.answer_attestation,
            b"/api/refund": self.answer_refund,
        }

    def method_of(self, request: IncomingRequest) -> bytes:
        return b"GET" if request.target.partition(b"?")[0] == CONFIG_PATH else b"POST"

    def status_of(self, rejected: Rejected) -> int:
        return STATUSES.get(rejected.code, 400)

    # -- messages ----------------------------------------------------------------------------------------------------

    async def answer_config(self, request: IncomingRequest, content: bytes) -> bytes:
        """Answer ``/api/config``, the same to all customers and at all times. Requirements: AUTH-010, AUTH-016."""
        self.customer_of(request)
        assert self.client_config is not None
        return encode_client_config(self.client_config)

    async def answer_withdrawal(self, request: IncomingRequest, content: bytes) -> bytes:
        """Answer ``/api/auth``."""
        customer = self.customer_of(request)
        withdrawal = authbank_messages.decode_withdrawal(content)
        self.require_same_key(customer, withdrawal.api_key)
        return self.withdraw(customer, withdrawal).content

    async def answer_attestation(self, request: IncomingRequest, content: bytes) -> bytes:
        """Answer ``/api/attestationRequest``."""
        customer = self.customer_of(request)
        withdrawal = authbank_messages.decode_withdrawal(content)
        self.require_same_key(customer, withdrawal.api_key)
        return self.signature(customer, self.attest(withdrawal))

    async def answer_refund(self, request: IncomingRequest, content: bytes) -> bytes:
        """Answer ``/api/refund``, without content."""
        customer = self.customer_of(request)
        refund = authbank_messages.decode_refund(content)
        self.require_same_key(customer, refund.api_key)
        await self.refund(customer, refund)
        return b""

    def customer_of(self, request: IncomingRequest) -> Customer:
        """Return whose key the request bears. Requirements: AUTH-005, AUTH-007, AUTH-026.

        Raises :class:`BankingRejected` with ``account.api-key``, whatever is wrong with it.
        """
        keys = field_values(request.fields, KEY_FIELD)
        customer = self.customers.get(keys[0]) if len(keys) == 1 else None
        if customer is None or self.clock() >= customer.active_until:
            raise _invalid_key()
        return customer

    def require_same_key(self, customer: Customer, api_key: str) -> None:
        """Refuse a message that names another key than the request's head. Requirements: AUTH-006."""
        if api_key != customer.api_key:
            raise _invalid_key()

    # -- operations --------------------------------------------------------------------------------------------------

    def withdraw(self, customer: Customer, withdrawal: AuthWithdrawal) -> Reply:
        """Sign one credit at the expense of an account.

        Requirements: AUTH-018, AUTH-019, AUTH-027, PAY-055, PAY-060, PAY-061, PAY-064.
        """
        price = self.price_of(withdrawal.request.value)
        request = digest(b"withdraw", customer.account_id, authbank_messages.encode_withdrawal(withdrawal))
        with self.ledger.transaction():
            known = self.known_reply(request)
            if known is not None:
                return known
            balance = self.debited(self.ledger.balance(customer.account_id), price)
            reply = Reply(self.signature(customer, self.sign(withdrawal.request)))
            self.ledger.set_balance(customer.account_id, balance)
            self.ledger.keep_reply(request, reply, self.now())
        return reply

    def attest(self, withdrawal: AuthWithdrawal) -> bytes:
        """Sign one attestation token, for nothing. Requirements: AUTH-020, AUTH-021, PAY-062."""
        self.require_attestation(withdrawal.request.value)
        return self.sign(withdrawal.request)

    async def refund(self, customer: Customer, refund: AuthRefund) -> None:
        """Book a credit back. Requirements: AUTH-028 to AUTH-030, PAY-063."""
        amount = self.amount_of(refund.credit.value)
        self.verify(refund.credit)
        wanted = crediting(customer.account_id, refund.credit)
        if self.known_spend(wanted) is None:
            self.require_refundable(customer, amount)
        await self.spend(wanted)

    def require_admissible(self, spend: Spend) -> None:
        """Look at the limit again with the lock in hand: other refunds may have begun meanwhile."""
        self.require_refundable(self.by_account[spend.account_id], spend.amount)

    # -- rules -------------------------------------------------------------------------------------------------------

    def price_of(self, value: CurrencyValue) -> int:
        """Return what a credit costs. Requirements: AUTH-019, PAY-055, PAY-061."""
        return require_positive_amount(value)

    def amount_of(self, value: CurrencyValue) -> int:
        """Return the amount of a credit that comes back. Requirements: AUTH-028, PAY-063."""
        return require_positive_amount(value)

    def require_attestation(self, value: CurrencyValue) -> None:
        """Refuse every value but ``01 00``. Requirements: AUTH-020, PAY-062."""
        require_attestation(value)

    def known_reply(self, request: bytes) -> Reply | None:
        """Return the answer that an identical request got a short while ago. Requirements: AUTH-027, PAY-064."""
        self.ledger.forget_old(self.now())
        return self.ledger.find_reply(request)

    def debited(self, balance: int, amount: int) -> int:
        """Return the balance after a withdrawal. Requirements: AUTH-019, PAY-060."""
        return accounts.debit(balance, amount)

    def require_refundable(self, customer: Customer, amount: int) -> None:
        """Refuse a refund of more than was withdrawn, refunds that are under way included. Requirements: AUTH-030."""
        taken_back = self.ledger.balance(customer.account_id) + self.ledger.expected(customer.account_id)
        require(
            taken_back + amount <= customer.prepaid,
            BankingRejected,
            "account.refund-above-prepaid",
            where="credit",
            expected="at most what was withdrawn from the account",
        )

    def sign(self, request: BlindSignRequest) -> bytes:
        """Return the blind signature. Requirements: AUTH-018, AUTH-022."""
        return self.issuer.blind_sign(request)

    def signature(self, customer: Customer, blind_signature: bytes) -> bytes:
        """Return the content of the answer to a withdrawal. Requirements: AUTH-023."""
        return authbank_messages.encode_signature(AuthSignature(blind_signature, self.badge_of(customer)))

    def badge_of(self, customer: Customer) -> Badge:
        """Return the account's badge: the same for equal lists of models. Requirements: AUTH-036."""
        return sign_badge(customer.models, self.badge_seed)


def _invalid_key() -> BankingRejected:
    return BankingRejected("account.api-key", where="cf-authorization", expected="a valid key (invalid API key)")


def _read_customer(settings: Settings) -> Customer:
    customer = Customer(
        api_key=settings.text("api_key"),
        organisation=settings.text("organisation"),
        user=settings.text("user"),
        active_until=settings.timestamp("active_until"),
        prepaid=settings.integer("prepaid", 0, MAX_PREPAID),
        models=tuple(settings.texts("models")),
    )
    settings.end()
    return customer


def _read_client_config(settings: Settings) -> ClientConfig:
    policy = None
    if settings.has("identity_policy"):
        names = settings.object("identity_policy")
        policy = IdentityPolicy(**{name.name: names.optional_text(name.name) for name in fields(IdentityPolicy)})
        names.end()
    config = ClientConfig(
        router_url=settings.url("router_url"),
        bank_url=settings.url("bank_url"),
        relays=tuple(settings.urls("relays")),
        ohttp_key_configs_bundle=settings.hex_bytes("ohttp_key_configs_bundle"),
        currency_key_bundle=settings.hex_bytes("currency_key_bundle"),
        identity_policy=policy,
    )
    settings.end()
    return config


if __name__ == "__main__":
    main(AuthBank, sys.argv[1:])
