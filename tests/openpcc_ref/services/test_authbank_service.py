"""The AuthBank: configuration, credits, attestation tokens and refunds for prepaid accounts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta

import anyio
import pytest
from money import KEY, MESSAGE, Mint, SetClock, open_town, post

from openpcc_ref.badges import Badge, require_signature, sign_badge
from openpcc_ref.banking import authbank_messages, messages
from openpcc_ref.banking.accounts import AccountToken
from openpcc_ref.banking.authbank_messages import KEY_FIELD, AuthRefund, AuthWithdrawal
from openpcc_ref.banking.client_config import ClientConfig, IdentityPolicy, encode_client_config
from openpcc_ref.banking.messages import Deposit
from openpcc_ref.credits import ATTESTATION, BlindSignRequest, Credit, CurrencyValue, PendingCredit, currency
from openpcc_ref.http1 import Fields, exchange, field_value
from openpcc_ref.protobuf.error_pb2 import Error
from openpcc_ref.services.authbank import AuthBank, Customer
from openpcc_ref.services.config import ConfigRejected
from openpcc_ref.services.ledger import Ledger
from openpcc_ref.services.nonce_lock_client import NonceLockClient

pytestmark = pytest.mark.anyio

SEED = bytes(range(32))
PREPAID = 1000
KEY_OF_ALICE, KEY_OF_BOB = "alice-key", "bob-key"


@dataclass
class Counter:
    """An AuthBank with two customers, and a client of it."""

    service: AuthBank
    url: str
    bank_url: str
    mint: Mint
    clock: SetClock
    api_key: str = KEY_OF_ALICE

    def fields(self) -> Fields:
        return (*MESSAGE, (KEY_FIELD, self.api_key.encode()))

    async def withdraw(self, request: BlindSignRequest, path: str = "/api/auth") -> tuple[int, bytes]:
        content = authbank_messages.encode_withdrawal(AuthWithdrawal(self.api_key, request))
        return await post(self.url, path, content, self.fields())

    async def credit(self, amount: int) -> Credit:
        pending: PendingCredit = self.mint.pending(amount)
        status, content = await self.withdraw(pending.request)
        assert status == 200
        return pending.finalize(authbank_messages.decode_signature(content).blind_signature)

    async def refund(self, credit: Credit) -> int:
        content = authbank_messages.encode_refund(AuthRefund(self.api_key, credit))
        return (await post(self.url, "/api/refund", content, self.fields()))[0]

    @property
    def balance(self) -> int:
        return self.service.ledger.balance(self.service.customers[self.api_key.encode()].account_id)


@asynccontextmanager
async def open_counter() -> AsyncIterator[Counter]:
    async with open_town() as town:
        until = town.clock.now + timedelta(days=1)
        customers = [
            Customer(key, "org", key, until, PREPAID, ("b-model", "a-model")) for key in (KEY_OF_ALICE, KEY_OF_BOB)
        ]
        service = AuthBank(
            KEY,
            NonceLockClient(town.lock_url),
            Ledger(None),
            customers=customers,
            badge_seed=SEED,
            clock=town.clock,
            allow_test_key=True,
        )
        async with service.listening() as server:
            yield Counter(service, server.url, town.bank_url, town.mint, town.clock)


@pytest.fixture
async def counter() -> AsyncIterator[Counter]:
    async with open_counter() as counter:
        yield counter


async def test_a_withdrawal_is_debited_and_signed(counter: Counter) -> None:
    credit = await counter.credit(992)
    counter.mint.issuer.verify(credit)
    assert counter.balance == PREPAID - 992


async def test_every_answer_has_the_accounts_badge(counter: Counter) -> None:
    _, content = await counter.withdraw(counter.mint.pending(8).request)
    badge = authbank_messages.decode_signature(content).badge
    assert badge == sign_badge(["a-model", "b-model"], SEED) == Badge(("a-model", "b-model"), badge.signature)
    with pytest.raises(Exception, match=r"badge\.signature"):
        require_signature(badge, bytes(31) + b"\1")


async def test_a_repeated_withdrawal_is_debited_once(counter: Counter) -> None:
    request = counter.mint.pending(64).request
    assert await counter.withdraw(request) == await counter.withdraw(request)
    assert counter.balance == PREPAID - 64


async def test_what_the_balance_does_not_cover_is_a_limit(counter: Counter) -> None:
    assert (await counter.withdraw(counter.mint.pending(1024).request))[0] == 429
    assert counter.balance == PREPAID


@pytest.mark.parametrize("octets", [b"\1\0", b"\0\0", b"\4\0", b"\0", b"\1\1", b"\3\0", b"\0\x0a\xff"])
async def test_what_is_no_amount_is_not_sold(counter: Counter, octets: bytes) -> None:
    message = authbank_messages.authbank_pb2.AuthWithdrawalRequest(api_key=KEY_OF_ALICE, blinded_message=bytes(128))
    message.value.currency = octets
    status, answer = await post(counter.url, "/api/auth", message.SerializeToString(), counter.fields())
    assert (status, bool(Error.FromString(answer).Message), counter.balance) == (400, True, PREPAID)


async def test_a_token_costs_nothing(counter: Counter) -> None:
    pending = counter.mint.payee.begin(ATTESTATION)
    status, content = await counter.withdraw(pending.request, "/api/attestationRequest")
    counter.mint.issuer.verify(pending.finalize(authbank_messages.decode_signature(content).blind_signature))
    assert (status, counter.balance) == (200, PREPAID)


@pytest.mark.parametrize("value", [currency.ZERO, currency.exact(16), CurrencyValue(1, special=True)])
async def test_a_token_has_one_value(counter: Counter, value: CurrencyValue) -> None:
    request = counter.mint.payee.begin(value).request
    assert (await counter.withdraw(request, "/api/attestationRequest"))[0] == 400


@pytest.mark.parametrize("blinded", [b"", bytes(127), bytes(129), b"\xff" * 128])
async def test_what_cannot_be_signed_is_not_debited(counter: Counter, blinded: bytes) -> None:
    assert (await counter.withdraw(BlindSignRequest(currency.exact(64), blinded)))[0] == 400
    assert (await counter.withdraw(BlindSignRequest(ATTESTATION, blinded), "/api/attestationRequest"))[0] == 400
    assert counter.balance == PREPAID


async def test_a_refund_is_booked_once(counter: Counter) -> None:
    credit = await counter.credit(64)
    assert [await counter.refund(credit) for _ in range(2)] == [200, 200]
    assert counter.balance == PREPAID
    counter.api_key = KEY_OF_BOB
    assert (await counter.refund(credit), counter.balance) == (410, PREPAID)
    deposit = messages.encode_deposit_request(Deposit(AccountToken(bytes(32)), credit))
    assert (await post(counter.bank_url, "/deposit", deposit))[0] == 410


async def test_of_many_refunds_at_once_one_is_booked(counter: Counter) -> None:
    credit, other = await counter.credit(64), replace(counter, api_key=KEY_OF_BOB)
    await other.credit(64)
    statuses = []

    async def refund(customer: Counter) -> None:
        statuses.append(await customer.refund(credit))

    async with anyio.create_task_group() as group:
        for number in range(20):
            group.start_soon(refund, (counter, other)[number % 2])
    assert 200 in statuses
    assert counter.balance + other.balance == 2 * PREPAID - 64


async def test_more_than_was_withdrawn_is_not_taken_back(counter: Counter) -> None:
    await counter.credit(64)
    assert (await counter.refund(counter.mint.credit(128)), counter.balance) == (403, PREPAID - 64)


@pytest.mark.parametrize("value", [currency.ZERO, ATTESTATION])
async def test_what_has_no_amount_is_not_taken_back(counter: Counter, value: CurrencyValue) -> None:
    await counter.credit(64)
    assert (await counter.refund(counter.mint.credit(value)), counter.balance) == (400, PREPAID - 64)


async def test_a_forged_or_expired_credit_is_not_taken_back(counter: Counter) -> None:
    credit = await counter.credit(64)
    assert await counter.refund(replace(credit, value=currency.exact(62))) == 400
    counter.clock.advance(hours=-28)
    assert await counter.refund(credit) == 400
    assert counter.balance == PREPAID - 64


@pytest.mark.parametrize("path", ["/api/auth", "/api/attestationRequest", "/api/refund"])
async def test_without_one_valid_key_nothing_happens(counter: Counter, path: str) -> None:
    withdrawal = AuthWithdrawal(KEY_OF_ALICE, counter.mint.pending(64).request)
    content = authbank_messages.encode_withdrawal(withdrawal)
    if path == "/api/refund":
        content = authbank_messages.encode_refund(AuthRefund(KEY_OF_ALICE, await counter.credit(64)))
    before = counter.balance
    for keys in ((), (b"nobody",), (b"Bearer alice-key",), (b"bob-key",), (b"alice-key", b"alice-key"), (b"",)):
        fields = (*MESSAGE, *((KEY_FIELD, key) for key in keys))
        status, answer = await post(counter.url, path, content, fields)
        assert (status, "invalid API key" in Error.FromString(answer).Message) == (401, True)
    counter.clock.advance(days=1)
    assert (await post(counter.url, path, content, counter.fields()))[0] == 401
    assert counter.balance == before


async def test_bad_content_methods_and_paths(counter: Counter) -> None:
    for path in ("/api/auth", "/api/attestationRequest", "/api/refund"):
        assert (await post(counter.url, path, b"\xff", counter.fields()))[0] == 400
        assert (await exchange(counter.url, b"GET", path.encode()))[0].status == 405
    assert (await post(counter.url, "/api/mint", b"", counter.fields()))[0] == 404


async def test_content_may_come_in_chunks(counter: Counter) -> None:
    content = authbank_messages.encode_withdrawal(AuthWithdrawal(KEY_OF_ALICE, counter.mint.pending(64).request))
    fields = (*counter.fields(), (b"transfer-encoding", b"chunked"))
    response, _ = await exchange(counter.url, b"POST", b"/api/auth", fields, content)
    assert (response.status, counter.balance) == (200, PREPAID - 64)


def test_a_configuration_makes_the_same_service() -> None:
    account = {
        "api_key": "k",
        "organisation": "o",
        "user": "u",
        "active_until": "2030-01-01T00:00:00Z",
        "prepaid": 5,
        "models": ["m"],
    }
    service = AuthBank.from_config(
        {
            "currency_key": {"p": f"{KEY.p:x}", "q": f"{KEY.q:x}"},
            "allow_test_key": True,
            "nonce_lock_url": "http://127.0.0.1:9",
            "badge_seed": SEED.hex(),
            "accounts": [account],
        }
    )
    assert service.ledger.balance(service.customers[b"k"].account_id) == 5
    assert "'k'" not in repr(service.customers[b"k"])


CLIENT_CONFIG = ClientConfig("http://r.test", "http://b.test", ("http://relay.test",), b"\xaa", b"\xbb")


async def get(url: str, path: str, fields: Fields) -> tuple[int, bytes | None, bytes]:
    response, content = await exchange(url, b"GET", path.encode(), fields)
    return response.status, field_value(response.fields, b"content-type"), content


async def test_the_configuration_is_the_same_for_all_customers(counter: Counter) -> None:
    counter.service.client_config = CLIENT_CONFIG
    dated = (b"x-currency-date", b"Mon, 23 Nov 2026 04:00:00 GMT")
    answers = {
        await get(counter.url, "/api/config", ((KEY_FIELD, key.encode()), *more))
        for key in (KEY_OF_ALICE, KEY_OF_BOB)
        for more in ((), (dated,))
    }
    assert answers == {(200, b"application/octet-stream", encode_client_config(CLIENT_CONFIG))}


async def test_the_configuration_is_for_customers(counter: Counter) -> None:
    counter.service.client_config = CLIENT_CONFIG
    for fields in ((), ((KEY_FIELD, b"nobody"),), ((KEY_FIELD, b"Bearer " + KEY_OF_ALICE.encode()),)):
        status, _, content = await get(counter.url, "/api/config", fields)
        assert (status, b"relay.test" in content) == (401, False)
        assert "invalid API key" in Error.FromString(content).Message
    counter.clock.now += timedelta(days=2)
    assert (await get(counter.url, "/api/config", counter.fields()))[0] == 401


async def test_the_configuration_is_asked_for_with_get(counter: Counter) -> None:
    counter.service.client_config = CLIENT_CONFIG
    assert (await post(counter.url, "/api/config", b"", counter.fields()))[0] == 405
    assert (await get(counter.url, "/api/auth", counter.fields()))[0] == 405


async def test_without_a_configuration_there_is_no_such_path(counter: Counter) -> None:
    assert (await get(counter.url, "/api/config", counter.fields()))[0] == 404


SERVICE_CONFIG = {
    "currency_key": {"p": f"{KEY.p:x}", "q": f"{KEY.q:x}"},
    "allow_test_key": True,
    "nonce_lock_url": "http://127.0.0.1:9",
    "badge_seed": SEED.hex(),
    "accounts": [
        {
            "api_key": "k",
            "organisation": "o",
            "user": "u",
            "active_until": "2030-01-01T00:00:00Z",
            "prepaid": 1,
            "models": ["m"],
        }
    ],
}
GIVEN = {
    "router_url": "http://r.test",
    "bank_url": "http://b.test",
    "relays": ["http://relay.test"],
    "ohttp_key_configs_bundle": "aa",
    "currency_key_bundle": "bb",
}


def test_the_configuration_comes_from_the_services_own() -> None:
    assert AuthBank.from_config(SERVICE_CONFIG).client_config is None
    assert AuthBank.from_config({**SERVICE_CONFIG, "client_config": GIVEN}).client_config == CLIENT_CONFIG
    policy = {"oidc_issuer": "i", "oidc_subject_regex": "s"}
    service = AuthBank.from_config({**SERVICE_CONFIG, "client_config": {**GIVEN, "identity_policy": policy}})
    assert service.client_config == replace(CLIENT_CONFIG, identity_policy=IdentityPolicy(**policy))


@pytest.mark.parametrize(
    ("edit", "where"),
    [
        ({"relays": []}, "relays"),
        ({"relays": ["relay.test"]}, "relays[0]"),
        ({"relays": "http://relay.test"}, "relays"),
        ({"router_url": "http://["}, "router_url"),
        ({"currency_key_bundle": ""}, "currency_key_bundle"),
        ({"currency_key_bundle": "b"}, "currency_key_bundle"),
        ({"identity_policy": {"issuer": "i"}}, "identity_policy"),
        ({"relay": "http://relay.test"}, ""),
    ],
)
def test_a_configuration_that_is_not_one(edit: dict[str, object], where: str) -> None:
    with pytest.raises(ConfigRejected) as rejected:
        AuthBank.from_config({**SERVICE_CONFIG, "client_config": {**GIVEN, **edit}})
    assert rejected.value.where == f"config.client_config.{where}".rstrip(".")
