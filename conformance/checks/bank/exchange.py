"""Exchanges: one new credit of the same value for an old one."""

from __future__ import annotations

from functools import partial

from conformance.checks.bank.withdraw import unusable_messages
from conformance.peers.at_once import at_once
from conformance.peers.bank import BankCase, finalized
from conformance.peers.mint import SPECIALS
from conformance.registry import check
from conformance.verdicts import expect
from openpcc_ref.banking import messages
from openpcc_ref.banking.messages import Exchange
from openpcc_ref.credits import MAX_AMOUNT, CurrencyValue, currency

_AT_ONCE = 32


@check(
    id="bank.exchange.value",
    requirements=["PAY-085"],
    title="An exchange signs under the value of the old credit",
)
async def value(case: BankCase) -> None:
    """Credits of 1, 31, 62 and the largest value are exchanged. Each signature must finalize a credit of the same
    value, which must be good for a deposit, and the old nonces must be consumed in the common record."""
    for amount in (1, 31, 62, MAX_AMOUNT):
        old = case.mint.credit(amount)
        new = await case.exchanged(old)
        expect(
            case.lock.is_consumed(old.nonce),
            expected="the nonce of an exchanged credit to be consumed",
            observed="one that is not",
        )
        await case.paid_in(case.token(), new)


@check(
    id="bank.exchange.no-amount",
    requirements=["PAY-086", "PAY-010", "PAY-011"],
    title="A credit of nothing and special ones cannot be exchanged",
)
async def no_amount(case: BankCase) -> None:
    """A credit of nothing, the attestation token, and credits of undefined special values, all with good signatures,
    are exchanged. The bank must answer 400."""
    values: tuple[CurrencyValue, ...] = (currency.ZERO, *SPECIALS)
    for one in values:
        reply = await case.exchange(case.mint.credit(one), case.mint.pending(one))
        reply.expect_refused(f"an exchange of the value {one.blind_bytes.hex()}", 400)


@check(
    id="bank.exchange.twice",
    requirements=["PAY-085"],
    title="A credit cannot be exchanged for two",
)
async def twice(case: BankCase) -> None:
    """A credit is exchanged, then again for another blinded message. The second must be refused."""
    old = case.mint.credit(100 - 4)
    await case.exchanged(old)
    (await case.exchange(old, case.mint.pending(old.value))).expect_refused("a second exchange of one credit")


@check(
    id="bank.exchange.race",
    requirements=["PAY-085"],
    title="Of 32 exchanges of one credit at once, one succeeds",
)
async def race(case: BankCase) -> None:
    """One credit is exchanged for 32 different blinded messages at the same time. Exactly one signature must come
    back."""
    old = case.mint.credit(16)
    replies = await at_once([partial(case.exchange, old, pending) for pending in case.pendings(*[16] * _AT_ONCE)])
    taken = sum(reply.status == 200 for reply in replies)
    expect(taken == 1, expected=f"one of {_AT_ONCE} exchanges to succeed", observed=f"{taken} that did")


@check(
    id="bank.exchange.deposited",
    requirements=["PAY-085", "PAY-076"],
    title="A credit is deposited or exchanged, not both",
)
async def deposited(case: BankCase) -> None:
    """One credit is deposited and then exchanged, another is exchanged and then deposited. Each second use must be
    refused."""
    token, first, second = case.token(), case.mint.credit(12), case.mint.credit(13)
    await case.paid_in(token, first)
    (await case.exchange(first, case.mint.pending(12))).expect_refused("an exchange of a deposited credit")
    await case.exchanged(second)
    (await case.deposit(token, second)).expect_refused("a deposit of an exchanged credit")
    await case.expect_balance(token, 12, "a deposit of an exchanged credit")


@check(
    id="bank.exchange.deposit-race",
    requirements=["PAY-076", "PAY-085"],
    title="Of deposits and exchanges of one credit at once, one succeeds",
)
async def deposit_race(case: BankCase) -> None:
    """One credit is deposited into 16 accounts and exchanged for 16 messages at the same time. Exactly one of the 32
    must succeed."""
    credit = case.mint.credit(16)
    half = _AT_ONCE // 2
    replies = await at_once(
        [
            *[partial(case.deposit, case.token(), credit) for _ in range(half)],
            *[partial(case.exchange, credit, pending) for pending in case.pendings(*[16] * half)],
        ]
    )
    taken = sum(reply.status == 200 for reply in replies)
    expect(taken == 1, expected=f"one of {_AT_ONCE} uses to succeed", observed=f"{taken} that did")


@check(
    id="bank.exchange.unusable-message",
    requirements=["PAY-050", "PAY-111"],
    title="An exchange that cannot be signed leaves the credit as it was",
)
async def unusable_message(case: BankCase) -> None:
    """A credit is exchanged for messages that are empty, a byte short, a byte long, the modulus, or all ones. Each
    must be refused without spending the credit, which must then be exchanged as it should be."""
    credit = case.mint.credit(16)
    for what, message in unusable_messages(case):
        reply = await case.post("/exchange", messages.encode_exchange_request(Exchange(credit, message)))
        reply.expect_refused(f"an exchange for {what}")
    reply = await case.exchange(credit, pending := case.mint.pending(16))
    finalized(pending, reply.read(messages.decode_exchange_response, "the exchange that can be signed"))


@check(
    id="bank.exchange.spent-elsewhere",
    requirements=["PAY-100", "PAY-085"],
    title="A credit that was spent at another service cannot be exchanged",
)
async def spent_elsewhere(case: BankCase) -> None:
    """Another service has consumed the nonce of one credit in the common record, and holds that of another. Both
    exchanges must be refused."""
    spent, held = case.mint.credit(100), case.mint.credit(100)
    case.lock.spend_elsewhere(spent.nonce)
    case.lock.service.lock(held.nonce)
    for credit, what in ((spent, "consumed"), (held, "locked")):
        reply = await case.exchange(credit, case.mint.pending(100))
        reply.expect_refused(f"an exchange of a credit whose nonce is {what} in the common record")
