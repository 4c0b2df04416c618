"""The bank over HTTP: every operation, every refusal, races, repeats, and a nonce lock that fails."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import anyio
import pytest
from money import CURRENCY_KEY, KEY, Town, make_bank, open_town, post

from openpcc_ref.banking import messages
from openpcc_ref.banking.accounts import AccountToken
from openpcc_ref.banking.messages import Deposit, Exchange, Withdrawal
from openpcc_ref.banking.nonce_state import LOCK_S
from openpcc_ref.banking.spends import Spend
from openpcc_ref.credits import (
    ATTESTATION,
    MAX_AMOUNT,
    AnyCredit,
    BlindSignRequest,
    Credit,
    CurrencyValue,
    Nonce,
    PendingCredit,
    blind_rsa,
    currency,
)
from openpcc_ref.http1 import IncomingRequest, Responder, exchange, field_value, listen
from openpcc_ref.protobuf.error_pb2 import Error
from openpcc_ref.services.bank import Bank
from openpcc_ref.services.config import ConfigRejected
from openpcc_ref.services.nonce_lock_client import NonceLockUnavailable

pytestmark = pytest.mark.anyio


@pytest.fixture
async def town() -> AsyncIterator[Town]:
    async with open_town() as town:
        yield town


async def deposit(town: Town, token: AccountToken, credit: Credit) -> tuple[int, bytes]:
    return await town.ask("/deposit", messages.encode_deposit_request(Deposit(token, credit)))


async def withdraw(town: Town, token: AccountToken, *requests: BlindSignRequest) -> tuple[int, bytes]:
    return await town.ask("/withdraw", messages.encode_withdraw_request(Withdrawal(token, requests)))


async def withdraw_full(town: Town, token: AccountToken) -> tuple[int, bytes]:
    return await town.ask("/withdraw-full", messages.encode_withdraw_full_request(token))


async def swap(town: Town, credit: AnyCredit, pending: PendingCredit) -> tuple[int, bytes]:
    request = messages.encode_exchange_request(Exchange(credit, pending.request.blinded_message))
    return await town.ask("/exchange", request)


async def balance(town: Town, token: AccountToken) -> int:
    status, content = await town.ask("/balance", messages.encode_balance_request(token))
    assert status == 200
    return messages.decode_balance_response(content)


async def funded(town: Town, *amounts: int) -> AccountToken:
    token = town.token()
    for amount in amounts:
        assert (await deposit(town, token, town.mint.credit(amount)))[0] == 200
    return token


async def test_deposits_add_up_beyond_the_largest_value(town: Town) -> None:
    token, total = town.token(), 0
    for amount in (1, 2, 3, 4, MAX_AMOUNT):
        total += amount
        status, content = await deposit(town, token, town.mint.credit(amount))
        assert (status, messages.decode_deposit_response(content)) == (200, total)
    assert await balance(town, token) == total
    status, _ = await withdraw_full(town, token)
    assert (status, await balance(town, token)) == (422, total)


async def test_a_credit_is_deposited_once(town: Town) -> None:
    token, other, credit = town.token(), town.token(), town.mint.credit(100)
    first = await deposit(town, token, credit)
    assert await deposit(town, token, credit) == first == (200, messages.encode_deposit_response(100))
    assert (await deposit(town, other, credit))[0] == 410
    assert (await swap(town, credit, town.mint.pending(100)))[0] == 410
    assert (await balance(town, token), await balance(town, other)) == (100, 0)


async def test_a_late_repetition_is_a_double_spend(town: Town) -> None:
    token, credit = town.token(), town.mint.credit(100)
    await deposit(town, token, credit)
    town.clock.advance(seconds=601)
    assert (await deposit(town, token, town.mint.credit(1)))[0] == 200
    assert (await deposit(town, token, credit))[0] == 410
    assert await balance(town, token) == 101


async def test_the_same_nonce_under_another_value_is_spent_too(town: Town) -> None:
    token, credit = town.token(), town.mint.credit(100)
    await deposit(town, token, credit)
    bigger = replace(credit, value=currency.exact(128))
    forged = replace(bigger, signature=_signed(town, bigger.nonce, bigger.value))
    assert (await deposit(town, token, forged))[0] == 410
    assert await balance(town, token) == 100


def _signed(town: Town, nonce: Nonce, value: CurrencyValue) -> bytes:
    """What a client gets signed that uses one nonce twice."""
    state = blind_rsa.blind(KEY.public_key, nonce.blind_bytes, value.blind_bytes, blinding_factor=12345)
    signature = town.mint.issuer.blind_sign(BlindSignRequest(value, state.blinded_message))
    return blind_rsa.finalize(state, signature)


async def test_of_64_deposits_at_once_one_succeeds(town: Town) -> None:
    credit, tokens, statuses = town.mint.credit(100), [town.token() for _ in range(64)], []

    async def one(token: AccountToken) -> None:
        statuses.append((await deposit(town, token, credit))[0])

    async with anyio.create_task_group() as group:
        for token in tokens:
            group.start_soon(one, token)
    assert statuses.count(200) == 1
    assert set(statuses) <= {200, 409, 410}
    assert sum([await balance(town, token) for token in tokens]) == 100


@pytest.mark.parametrize("value", [currency.ZERO, ATTESTATION, CurrencyValue(17, special=True)])
async def test_what_has_no_amount_is_refused_everywhere(town: Town, value: CurrencyValue) -> None:
    token, credit = await funded(town, 64), town.mint.credit(value)
    assert (await deposit(town, token, credit))[0] == 400
    assert (await swap(town, credit, town.mint.pending(0)))[0] == 400
    assert (await withdraw(town, token, town.mint.payee.begin(value).request))[0] == 400
    assert await balance(town, token) == 64


@pytest.mark.parametrize("part", ["value", "timestamp", "random", "signature", "length", "range"])
async def test_a_credit_that_was_changed_is_refused_and_not_locked(town: Town, part: str) -> None:
    credit = town.mint.credit(64)
    changed = {
        "value": replace(credit, value=currency.exact(MAX_AMOUNT)),
        "timestamp": replace(credit, nonce=replace(credit.nonce, timestamp=credit.nonce.timestamp + 3600)),
        "random": replace(credit, nonce=replace(credit.nonce, random=bytes(16))),
        "signature": replace(credit, signature=bytes([credit.signature[0] ^ 1]) + credit.signature[1:]),
        "length": replace(credit, signature=credit.signature + b"\0"),
        "range": replace(credit, signature=b"\xff" * 128),
    }[part]
    token = town.token()
    assert (await deposit(town, token, changed))[0] == 400
    assert (await swap(town, changed, town.mint.pending(64)))[0] == 400
    assert await balance(town, token) == 0
    assert town.lock.find(changed.nonce) is None


@pytest.mark.parametrize("hours", [-28, 28])
async def test_a_credit_of_another_time_is_refused(town: Town, hours: int) -> None:
    town.clock.advance(hours=hours)
    credit = town.mint.credit(64)
    town.clock.advance(hours=-hours)
    assert (await deposit(town, town.token(), credit))[0] == 400
    assert (await swap(town, credit, town.mint.pending(64)))[0] == 400


async def test_a_batch_is_signed_in_order_and_debited(town: Town) -> None:
    token = await funded(town, 62)
    pending = [town.mint.pending(amount) for amount in (3, 30, 4)]
    status, content = await withdraw(town, token, *[credit.request for credit in pending])
    assert status == 200
    left, signatures = messages.decode_withdraw_response(content, 3)
    for credit, signature in zip(pending, signatures, strict=True):
        town.mint.issuer.verify(credit.finalize(signature))
    assert left == await balance(town, token) == 62 - 37


async def test_a_repeated_batch_is_debited_once(town: Town) -> None:
    token = await funded(town, 62)
    requests = [town.mint.pending(20).request for _ in range(2)]
    first = await withdraw(town, token, *requests)
    assert await withdraw(town, token, *requests) == first
    assert await balance(town, token) == 22
    assert (await withdraw(town, token, *reversed(requests)))[0] == 402


async def test_fifteen_of_the_largest_value(town: Town) -> None:
    token = await funded(town, *[MAX_AMOUNT] * 15)
    pending = [town.mint.pending(MAX_AMOUNT) for _ in range(15)]
    status, content = await withdraw(town, token, *[credit.request for credit in pending])
    assert (status, messages.decode_withdraw_response(content, 15)[0]) == (200, 0)


@pytest.mark.parametrize(("amounts", "status"), [((), 400), ((1,) * 16, 400), ((1,) * 1000, 400), ((3, 0, 3), 400)])
async def test_batches_of_a_wrong_shape(town: Town, amounts: tuple[int, ...], status: int) -> None:
    token = await funded(town, 8)
    requests = [
        BlindSignRequest(currency.exact(amount), number.to_bytes(128, "big")) for number, amount in enumerate(amounts)
    ]
    assert (await withdraw(town, token, *requests))[0] == status
    assert await balance(town, token) == 8


async def test_a_batch_with_one_bad_request_changes_nothing(town: Town) -> None:
    token, good = await funded(town, 8), town.mint.pending(3).request
    modulus = KEY.public_key.modulus
    for bad in (b"", bytes(127), bytes(129), modulus.to_bytes(128, "big"), b"\xff" * 128, good.blinded_message):
        assert (await withdraw(town, token, good, BlindSignRequest(good.value, bad)))[0] == 400
    assert await balance(town, token) == 8


async def test_unknown_empty_and_poor_accounts_get_the_same_answer(town: Town) -> None:
    empty, poor, unknown = await funded(town, 2), await funded(town, 2), town.token()
    assert (await withdraw(town, empty, town.mint.pending(2).request))[0] == 200
    answers = set()
    for token in (empty, poor, unknown):
        request = messages.encode_withdraw_request(Withdrawal(token, (town.mint.pending(3).request,)))
        response, content = await exchange(town.bank_url, b"POST", b"/withdraw", (), request)
        answers.add((response.status, response.fields, content))
    assert len(answers) == 1
    assert await withdraw_full(town, empty) == await withdraw_full(town, unknown)
    assert await balance(town, poor) == 2


async def test_an_account_is_emptied_once_and_the_answer_can_be_had_again(town: Town) -> None:
    token = await funded(town, 64)
    status, content = first = await withdraw_full(town, token)
    credit = messages.decode_withdraw_full_response(content)
    town.mint.issuer.verify(credit)
    assert (status, credit.value.amount, await balance(town, token)) == (200, 64, 0)
    assert await withdraw_full(town, token) == first
    pending = town.mint.pending(64)
    status, content = await swap(town, credit, pending)
    exchanged = pending.finalize(messages.decode_exchange_response(content))
    assert await deposit(town, token, exchanged) == (200, messages.encode_deposit_response(64))
    again = messages.decode_withdraw_full_response((await withdraw_full(town, token))[1])
    assert again.nonce != credit.nonce


async def test_an_emptied_account_is_unknown_when_nobody_can_ask_again(town: Town) -> None:
    token = await funded(town, 64)
    await withdraw_full(town, token)
    town.clock.advance(seconds=601)
    assert await withdraw_full(town, token) == await withdraw_full(town, town.token())


async def test_emptying_rounds_to_a_neighbour(town: Town) -> None:
    amounts = set()
    for _ in range(40):
        credit = messages.decode_withdraw_full_response((await withdraw_full(town, await funded(town, 62, 7)))[1])
        amounts.add(credit.value.amount)
    assert amounts == {68, 72}


async def test_an_exchange_is_answered_again_for_the_same_message_only(town: Town) -> None:
    credit, pending, other = town.mint.credit(64), town.mint.pending(64), town.mint.pending(64)
    first = await swap(town, credit, pending)
    pending.finalize(messages.decode_exchange_response(first[1]))
    assert await swap(town, credit, pending) == first
    assert (await swap(town, credit, other))[0] == 410
    assert (await deposit(town, town.token(), credit))[0] == 410


@pytest.mark.parametrize("blinded", [b"", bytes(127), bytes(129), b"\xff" * 128])
async def test_an_exchange_for_what_cannot_be_signed_leaves_the_credit_alone(town: Town, blinded: bytes) -> None:
    credit = town.mint.credit(64)
    assert (await town.ask("/exchange", messages.encode_exchange_request(Exchange(credit, blinded))))[0] == 400
    assert (await deposit(town, town.token(), credit))[0] == 200


async def test_tokens_of_another_length_bad_content_other_methods_and_paths(town: Town) -> None:
    for path in ("/deposit", "/withdraw", "/withdraw-full", "/exchange", "/balance"):
        for content in (b"", b"\xff", b"\x0a\x1f" + bytes(31), b"\x0a\x21" + bytes(33), b"\x12\x1f" + bytes(31)):
            status, answer = await town.ask(path, content)
            assert (status, bool(Error.FromString(answer).Message)) == (400, True)
        assert (await town.ask(path, bytes(town.bank.max_content + 1)))[0] == 413
        response, _ = await exchange(town.bank_url, b"GET", path.encode())
        assert (response.status, field_value(response.fields, b"allow")) == (405, b"POST")
    assert (await town.ask("/deposits", b""))[0] == 404
    assert await balance(town, town.token()) == 0


# -- a nonce lock that fails -------------------------------------------------------------------------------------------


class StubbornLock:
    """Answers paths with statuses as told; passes the rest to a real one."""

    def __init__(self, town: Town, **statuses: int) -> None:
        self.town = town
        self.statuses = statuses
        self.asked: list[str] = []

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Bank]:
        async with listen(self._handle) as server:
            yield make_bank(server.url, self.town.clock)

    async def _handle(self, request: IncomingRequest, responder: Responder) -> None:
        path = request.target.decode().removeprefix("/")
        self.asked.append(path)
        content = b"".join([chunk.data async for chunk in request.body()])
        status = self.statuses.get(path, 0)
        answer = b""
        if not status or status == 1:  # 1: it happens, and nobody hears of it
            passed_on, answer = await post(self.town.lock_url, f"/{path}", content)
            status = passed_on if not status else 500
        await responder.send_head(status, ((b"content-length", str(len(answer)).encode()),))
        await responder.send(answer)
        await responder.finish()


async def test_without_a_lock_nothing_is_booked(town: Town) -> None:
    token, credit = town.token(), town.mint.credit(64)
    stubborn = StubbornLock(town, lock=500)
    async with stubborn.serving() as bank, bank.listening() as server:
        content = messages.encode_deposit_request(Deposit(token, credit))
        assert (await post(server.url, "/deposit", content))[0] == 503
        assert bank.balance(token) == 0
        stubborn.statuses.clear()
        assert (await post(server.url, "/deposit", content))[0] == 200


@pytest.mark.parametrize("status", [404, 500])
async def test_a_failed_consumption_is_released_and_not_booked(town: Town, status: int) -> None:
    token, credit = town.token(), town.mint.credit(64)
    stubborn = StubbornLock(town, consume=status)
    async with stubborn.serving() as bank, bank.listening() as server:
        content = messages.encode_deposit_request(Deposit(token, credit))
        assert (await post(server.url, "/deposit", content))[0] == 503
        assert (bank.balance(token), stubborn.asked) == (0, ["lock", "consume", "release"])
        assert town.lock.find(credit.nonce) is None
        stubborn.statuses.clear()
        assert (await post(server.url, "/deposit", content))[0] == 200
        assert bank.balance(token) == 64


async def test_a_consumption_that_nobody_heard_of_is_booked(town: Town) -> None:
    token, credit = town.token(), town.mint.credit(64)
    async with StubbornLock(town, consume=1).serving() as bank:
        assert await bank.deposit(Deposit(token, credit)) == 64


async def test_an_exchange_whose_consumption_failed_gives_no_signature_until_it_succeeds(town: Town) -> None:
    credit, pending = town.mint.credit(64), town.mint.pending(64)
    stubborn = StubbornLock(town, consume=500)
    async with stubborn.serving() as bank, bank.listening() as server:
        content = messages.encode_exchange_request(Exchange(credit, pending.request.blinded_message))
        assert (await post(server.url, "/exchange", content))[0] == 503
        assert stubborn.asked == ["lock", "consume"]
        other = Exchange(credit, town.mint.pending(64).request.blinded_message)
        assert (await post(server.url, "/exchange", messages.encode_exchange_request(other)))[0] == 409
        stubborn.statuses.clear()
        status, answer = await post(server.url, "/exchange", content)
        assert status == 200
        pending.finalize(messages.decode_exchange_response(answer))


async def test_what_was_left_half_done_is_settled_at_the_next_start(town: Town) -> None:
    token, credit = town.token(), town.mint.credit(64)
    stubborn = StubbornLock(town, consume=1, release=500)
    async with stubborn.serving() as bank:
        with pytest.raises(Exception, match="release: status 500"):
            await bank.deposit(Deposit(token, credit))
        assert bank.balance(token) == 0
        stubborn.statuses.clear()
        async with bank.running():
            with anyio.fail_after(30):
                while not bank.balance(token):
                    await anyio.lowlevel.checkpoint()
        assert (bank.balance(token), bank.ledger.unsettled()) == (64, [])


class BankWithALateTask(Bank):
    """While a repeated deposit is under way, an earlier look at what was left half done comes to its end."""

    stale: Spend | None = None

    async def consume(self, spend: Spend) -> None:
        stale = self.stale
        if stale is not None and spend.ticket != stale.ticket:
            self.stale = None
            assert not await self.resume(stale)
        await super().consume(spend)


async def test_a_task_that_comes_late_does_not_drop_the_deposit_that_replaced_its_own() -> None:
    async with open_town(BankWithALateTask) as town:
        token, credit = town.token(), town.mint.credit(64)
        stubborn = StubbornLock(town, consume=500, release=500)
        async with stubborn.serving() as bank:
            late = BankWithALateTask(KEY, bank.nonce_lock, bank.ledger, clock=town.clock, allow_test_key=True)
            with pytest.raises(NonceLockUnavailable):
                await late.deposit(Deposit(token, credit))
            stubborn.statuses.clear()
            town.clock.advance(seconds=LOCK_S)
            (late.stale,) = late.ledger.unsettled()
            assert await late.deposit(Deposit(token, credit)) == 64


# -- configuration -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"currency_key": {"p": CURRENCY_KEY["p"], "q": CURRENCY_KEY["p"]}}, "config.currency_key"),
        ({"currency_key": {"p": "11", "q": CURRENCY_KEY["q"]}}, "config.currency_key"),
        ({"currency_key": {"p": "x", "q": CURRENCY_KEY["q"]}}, "config.currency_key.p"),
        ({"currency_key": {"p": CURRENCY_KEY["p"]}}, "config.currency_key.q"),
        ({"allow_test_key": False}, "config.currency_key"),
        ({"allow_test_key": 1}, "config.allow_test_key"),
        ({"nonce_lock_url": "nowhere"}, "config.nonce_lock_url"),
        ({"database": "/nonexistent/bank.db"}, "config.database"),
        ({"color": "red"}, "config"),
    ],
)
def test_a_configuration_that_cannot_be_used(changes: dict[str, object], where: str) -> None:
    config = {"currency_key": CURRENCY_KEY, "allow_test_key": True, "nonce_lock_url": "http://127.0.0.1:9"}
    Bank.from_config({**config, "database": None})
    with pytest.raises(ConfigRejected) as caught:
        Bank.from_config({**config, **changes})
    assert caught.value.where == where
