"""Payee and issuer, processor and exchanger: what each hands out, and in which order."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import anyio
import pytest

from conformance.vectors.coins import coin_source
from conformance.vectors.currency_keys import DEPLOYED_1024
from openpcc_ref.credits import (
    ATTESTATION,
    BlindSignRequest,
    Credit,
    CreditRejected,
    CurrencyValue,
    Exchanger,
    Issuer,
    Nonce,
    Payee,
    PendingCredit,
    Processor,
    UnblindedCredit,
    currency,
)
from openpcc_ref.credits.issuer import request_from_message, request_to_message

pytestmark = pytest.mark.anyio

HOUR = datetime(2025, 1, 1, tzinfo=UTC)
TEN, NINE = currency.exact(10), currency.exact(9)


@dataclass
class Record:
    """A nonce lock in memory that notes what it is asked, and fails when told to."""

    asked: list[str] = field(default_factory=list)
    states: dict[bytes, str] = field(default_factory=dict)
    failing: set[str] = field(default_factory=set)

    def _note(self, verb: str) -> None:
        self.asked.append(verb)
        if verb in self.failing:
            raise ConnectionError(f"{verb} cannot be reached")

    async def lock(self, nonce: Nonce) -> str:
        self._note("lock")
        if nonce.random in self.states:
            raise CreditRejected("nonce.unavailable", where="nonce", expected="a nonce that is free")
        self.states[nonce.random] = "locked"
        return "ticket"

    async def consume(self, nonce: Nonce, ticket: str) -> None:
        self._note("consume")
        assert ticket == "ticket"
        self.states[nonce.random] = "consumed"

    async def release(self, nonce: Nonce, ticket: str) -> None:
        await anyio.lowlevel.checkpoint()
        self._note("release")
        assert self.states.pop(nonce.random) == "locked"


def payee(second: int = 600) -> Payee:
    return Payee(
        DEPLOYED_1024.public_key,
        random=coin_source(f"payee {second}", "random"),
        clock=lambda: HOUR + timedelta(seconds=second),
        allow_test_key=True,
    )


def issuer(second: int = 600) -> Issuer:
    return Issuer(
        DEPLOYED_1024,
        random=coin_source(f"issuer {second}", "random"),
        clock=lambda: HOUR + timedelta(seconds=second),
        allow_test_key=True,
    )


def paid(value: CurrencyValue = TEN) -> Credit:
    pending = payee().begin(value)
    return pending.finalize(issuer().blind_sign(pending.request))


def test_a_credit_is_made_by_both_and_known_to_the_payee_alone() -> None:
    pending = payee().begin(TEN)
    request = request_from_message(request_to_message(pending.request))
    assert request == pending.request
    credit = pending.finalize(issuer().blind_sign(request))
    assert credit.value == TEN
    assert credit.nonce.timestamp % 3600 == 0
    payee().verify(credit)
    issuer().verify(credit)
    assert credit.nonce.blind_bytes not in request.blinded_message


def test_a_payee_s_credits_differ_in_nonce_and_blinded_message() -> None:
    one = payee()
    pending = [one.begin(TEN) for _ in range(20)]
    assert len({credit.request.blinded_message for credit in pending}) == 20


def test_a_pending_credit_is_handed_out_once_and_survives_a_wrong_signature() -> None:
    pending = payee().begin(TEN)
    for wrong in (b"", bytes(128), issuer().blind_sign(BlindSignRequest(NINE, pending.request.blinded_message))):
        with pytest.raises(CreditRejected, match=r"blind-rsa\.blind-signature\."):
            pending.finalize(wrong)
    right = issuer().blind_sign(pending.request)
    pending.finalize(right)
    with pytest.raises(ValueError, match="already finalized"):
        pending.finalize(right)


def test_a_credit_of_the_next_hour_waits_for_second_30() -> None:
    """At second 29 the next hour comes up once in 124 draws; the credit then waits until the same moment."""

    def drawn(second: int) -> list[PendingCredit]:
        one = payee(second)
        return [one.begin(TEN) for _ in range(600)]

    start = int(HOUR.timestamp())
    for second, waits in ((29, {start + 29, start + 30}), (30, {start + 30}), (3599, {start + 3599})):
        assert {pending.usable_from for pending in drawn(second)} == waits


def test_an_unblinded_credit_verifies_and_is_of_another_kind() -> None:
    for value in (TEN, ATTESTATION):
        credit, usable_from = issuer().issue_unblinded(value)
        assert isinstance(credit, UnblindedCredit)
        assert usable_from == int(HOUR.timestamp()) + 600
        payee().verify(credit)


@pytest.mark.parametrize(("length", "code"), [(0, "length"), (127, "length"), (129, "length")])
def test_an_issuer_refuses_what_it_cannot_sign(length: int, code: str) -> None:
    with pytest.raises(CreditRejected, match=rf"blinded-message\.{code}"):
        issuer().blind_sign(BlindSignRequest(TEN, bytes(length)))


async def test_a_payment_is_verified_locked_and_consumed_in_this_order() -> None:
    record, credit = Record(), paid()
    transaction = await Processor(issuer(), record).begin(credit)
    assert record.asked == ["lock"]
    await transaction.commit()
    assert record.states == {credit.nonce.random: "consumed"}
    with pytest.raises(CreditRejected, match=r"nonce\.unavailable"):
        await Processor(issuer(), record).begin(credit)
    assert record.asked == ["lock", "consume", "lock"]


async def test_a_credit_that_does_not_verify_is_never_locked() -> None:
    record, credit = Record(), paid()
    forged = Credit(NINE, credit.nonce, credit.signature)
    with pytest.raises(CreditRejected, match=r"signature\.invalid"):
        await Processor(issuer(), record).begin(forged)
    with pytest.raises(CreditRejected, match=r"signature\.invalid"):
        await Exchanger(issuer(), record).exchange(forged, payee().begin(NINE).request)
    assert record.asked == []


async def test_an_unblinded_credit_does_not_pay() -> None:
    record = Record()
    credit, _ = issuer().issue_unblinded(TEN)
    with pytest.raises(TypeError, match="must be exchanged"):
        await Processor(issuer(), record).begin(credit)  # type: ignore[arg-type]
    assert record.asked == []


async def test_a_payment_that_is_rolled_back_can_be_made_again() -> None:
    record, credit = Record(), paid()
    for _ in range(3):
        transaction = await Processor(issuer(), record).begin(credit)
        await transaction.rollback()
        assert record.states == {}


async def test_a_transaction_is_settled_once() -> None:
    record = Record()
    transaction = await Processor(issuer(), record).begin(paid())
    await transaction.commit()
    await transaction.rollback()
    with pytest.raises(ValueError, match="already settled"):
        await transaction.commit()
    assert record.asked == ["lock", "consume"]
    with pytest.raises(ValueError, match="already settled"):
        await transaction.commit_with_unspent(NINE)


async def test_the_rest_of_a_payment_comes_back_after_the_nonce_is_consumed() -> None:
    record = Record()
    transaction = await Processor(issuer(), record).begin(paid())
    with pytest.raises(CreditRejected, match=r"credit\.unspent\.above-payment"):
        await transaction.commit_with_unspent(currency.exact(11))
    with pytest.raises(CreditRejected, match=r"currency\.amount\.special"):
        await transaction.commit_with_unspent(ATTESTATION)
    assert record.asked == ["lock"]
    rest, _ = await transaction.commit_with_unspent(NINE)
    assert record.asked == ["lock", "consume"]
    assert rest.value == NINE
    payee().verify(rest)


async def test_a_nonce_lock_that_fails_leaves_nothing_handed_out() -> None:
    record = Record(failing={"consume"})
    transaction = await Processor(issuer(), record).begin(paid())
    with pytest.raises(ConnectionError):
        await transaction.commit_with_unspent(NINE)
    assert record.asked == ["lock", "consume", "release"]
    assert record.states == {}


async def test_a_lock_is_released_even_when_the_task_is_cancelled() -> None:
    record = Record()
    transaction = await Processor(issuer(), record).begin(paid())
    with anyio.CancelScope() as scope:
        scope.cancel()
        await transaction.rollback()
    assert record.states == {}


async def test_an_exchange_gives_a_signature_for_an_equal_value() -> None:
    for credit in (paid(), issuer().issue_unblinded(TEN)[0]):
        record = Record()
        pending = payee(601).begin(TEN)
        signature = await Exchanger(issuer(), record).exchange(credit, pending.request)
        assert record.asked == ["lock", "consume"]
        payee().verify(pending.finalize(signature))
        with pytest.raises(CreditRejected, match=r"nonce\.unavailable"):
            await Exchanger(issuer(), record).exchange(credit, payee(602).begin(TEN).request)


async def test_an_exchange_for_another_value_is_refused_before_anything_else() -> None:
    record = Record()
    with pytest.raises(CreditRejected, match=r"credit\.exchange\.other-value"):
        await Exchanger(issuer(), record).exchange(paid(), payee(601).begin(NINE).request)
    assert record.asked == []


async def test_an_exchange_that_cannot_be_signed_releases_the_nonce() -> None:
    record = Record()
    with pytest.raises(CreditRejected, match=r"blinded-message\.length"):
        await Exchanger(issuer(), record).exchange(paid(), BlindSignRequest(TEN, b"short"))
    assert record.asked == ["lock", "release"]
    assert record.states == {}


async def test_an_exchange_whose_nonce_may_be_consumed_gives_nothing_and_releases_nothing() -> None:
    record = Record(failing={"consume"})
    with pytest.raises(ConnectionError):
        await Exchanger(issuer(), record).exchange(paid(), payee(601).begin(TEN).request)
    assert record.asked == ["lock", "consume"]
