"""Emptying an account into one credit that the bank makes alone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from itertools import combinations

from conformance.checks.bank.withdraw import expect_alike
from conformance.peers.at_once import at_once
from conformance.peers.bank import BankCase, Reply
from conformance.registry import check
from conformance.verdicts import expect
from openpcc_ref.banking import messages
from openpcc_ref.banking.accounts import AccountToken
from openpcc_ref.credits import MAX_AMOUNT, UnblindedCredit, blind_rsa, pss
from openpcc_ref.credits.nonce import QUANTUM
from openpcc_ref.sources import system_clock

Call = Callable[[], Awaitable[Reply]]

_CHANCE = 4
"""Bytes of two random nonces that may be the same: more are so once in 10^8 runs, and in all that begin with a time."""

_SKEW_S = 300
"""How far the clocks of bank and runner may differ."""


@check(
    id="bank.withdraw-full.balance",
    requirements=["PAY-083"],
    title="A full withdrawal returns a credit of the balance and leaves 0",
)
async def balance(case: BankCase) -> None:
    """Accounts of 7, 100 and the largest value, all of which a credit can have, are emptied. The credit must verify and
    have exactly the balance; afterwards the balance must be 0."""
    for amounts in ((7,), (96, 4), (MAX_AMOUNT,)):
        token, total = await case.funded(*amounts), sum(amounts)
        credit = await case.emptying(token)
        worth = credit.value.amount
        expect(worth == total, expected=f"a credit of {total}", observed=f"one of {worth}")
        await case.expect_balance(token, 0, "a full withdrawal")


@check(
    id="bank.withdraw-full.rounding",
    requirements=["PAY-083", "PAY-007"],
    title="A balance that no value has is rounded to a neighbour",
)
async def rounding(case: BankCase) -> None:
    """Ten accounts of 69 and one of 33 are emptied. No value is worth 69 or 33, so each credit must be of 68 or 72,
    or of 32 or 34, and nothing may be left."""
    for total, near in (*[(69, (68, 72))] * 10, (33, (32, 34))):
        token = await case.funded(*((64, 5) if total == 69 else (32, 1)))
        worth = (await case.emptying(token)).value.amount
        expect(worth in near, expected=f"a credit of {near[0]} or {near[1]} for {total}", observed=f"one of {worth}")
        await case.expect_balance(token, 0, "a full withdrawal")


@check(
    id="bank.withdraw-full.rounding-both-ways",
    requirements=["PAY-008"],
    title="Rounding goes both ways",
)
async def rounding_both_ways(case: BankCase) -> None:
    """40 accounts of 33 are emptied. Half of the credits should be of 32 and half of 34; that all are the same has,
    with rounding as it should be, a probability of 2 in 10^12."""
    seen = set()
    for _ in range(40):
        seen.add((await case.emptying(await case.funded(32, 1))).value.amount)
        if len(seen) > 1:
            return
    only = seen.pop()
    expect(False, expected="some of 40 credits for 33 to be of 32 and some of 34", observed=f"40 credits of {only}")


@check(
    id="bank.withdraw-full.rounding-probability",
    requirements=["PAY-008"],
    title="Rounding up is as rare as it has to be",
)
async def rounding_probability(case: BankCase) -> None:
    """64 accounts of 513 are emptied. The neighbours are 512 and 544, so one credit in 32 should be of 544: two, and
    more than 16 with a probability of 1 in 10^10. Whoever rounds by the toss of a coin gives away 15 on an average."""
    up, number = 0, 64
    for _ in range(number):
        up += (await case.emptying(await case.funded(512, 1))).value.amount > 512
    expect(
        up <= number // 4,
        expected="about 2 of 64 credits for 513 to be of 544, and the others of 512",
        observed=f"{up} of 544",
    )


@check(
    id="bank.withdraw-full.above-largest-value",
    requirements=["PAY-084"],
    title="A balance above the largest value cannot be withdrawn at once",
)
async def above_largest_value(case: BankCase) -> None:
    """An account holds one unit more than the largest value. Emptying it must fail and leave the balance; with the unit
    withdrawn, it must succeed."""
    token = await case.funded(MAX_AMOUNT, 1)
    (await case.withdraw_full(token)).expect_refused("a full withdrawal above the largest value")
    await case.expect_balance(token, MAX_AMOUNT + 1, "a refused full withdrawal")
    await case.signed(token, case.pendings(1))
    worth = (await case.emptying(token)).value.amount
    expect(worth == MAX_AMOUNT, expected=f"a credit of {MAX_AMOUNT}", observed=f"one of {worth}")


@check(
    id="bank.withdraw-full.unknown-and-empty-alike",
    requirements=["PAY-081"],
    title="Full withdrawals from unknown and from empty accounts are answered alike",
)
async def unknown_and_empty_alike(case: BankCase) -> None:
    """An account that never was and one that was emptied by a batch are emptied. Status, fields except Date, and
    content must be the same."""
    unknown = [await case.withdraw_full(case.token()) for _ in range(2)]
    expect_alike(unknown, await case.withdraw_full(await case.emptied()), "a full withdrawal from an emptied account")


@check(
    id="bank.withdraw-full.credit",
    requirements=["PAY-020", "PAY-021", "PAY-046"],
    title="A bank makes its credits as clients make theirs",
)
async def credit(case: BankCase) -> None:
    """Three accounts are emptied. The nonces must differ, and not only in a part that counts or tells the time; the
    stamps must be whole hours, and the salts must be zero: else the credits, once exchanged, or the bank itself could
    be told by them."""
    credits = [await case.emptying(await case.funded(16)) for _ in range(3)]
    fresh = len({credit.nonce.random for credit in credits})
    expect(fresh == 3, expected="three nonces that differ", observed=f"{fresh} that differ")
    for some, other in combinations((credit.nonce.random for credit in credits), 2):
        same = sum(first == second for first, second in zip(some, other, strict=True))
        expect(
            same <= _CHANCE,
            expected="16 random bytes in each nonce",
            observed=f"{same} bytes that are the same in {some.hex()} and {other.hex()}",
        )
    for one in credits:
        expect(
            one.nonce.timestamp % QUANTUM == 0,
            expected="a stamp of a whole hour",
            observed=f"{one.nonce.timestamp % QUANTUM} s past one",
        )
        expect(
            _has_zero_salt(case, one),
            expected="the signature with a salt of 48 zero bytes, which all credits have",
            observed="one that verifies, but has another salt",
        )


@check(
    id="bank.withdraw-full.stamp",
    requirements=["PAY-022"],
    title="The stamp is that of the present or the next hour",
)
async def stamp(case: BankCase) -> None:
    """An account is emptied. The stamp of the credit must be that of the present or the next hour; clocks may differ by
    five minutes."""
    now = int(system_clock().timestamp())
    stamped = (await case.emptying(await case.funded(16))).nonce.timestamp
    low, high = now - _SKEW_S - QUANTUM, now + _SKEW_S + QUANTUM
    expect(
        low < stamped <= high, expected="a stamp of this or the next hour", observed=f"one {stamped - now:+} s from now"
    )


@check(
    id="bank.withdraw-full.race",
    requirements=["PAY-083"],
    title="Full withdrawals at once give one credit",
)
async def race(case: BankCase) -> None:
    """An account is emptied by 32 requests at the same time. All that succeed must return one and the same credit: each
    further one would be money from nothing."""
    token = await case.funded(64)
    replies = await at_once([partial(case.withdraw_full, token)] * 32)
    nonces = {_credit(reply).nonce.random for reply in replies if reply.status == 200}
    expect(len(nonces) == 1, expected="one credit", observed=f"{len(nonces)} different ones")
    await case.expect_balance(token, 0, "full withdrawals")


@check(
    id="bank.withdraw-full.race-with-others",
    requirements=["PAY-083", "PAY-074", "PAY-080"],
    title="An account that is emptied while others use it pays out what it holds",
)
async def race_with_others(case: BankCase) -> None:
    """Three accounts of 8 meet, at the same time, four who deposit 1 six times each, four who withdraw 1 twice, and
    two who empty them again and again until the others are done. What was paid in must have been paid out or be left:
    a bank that reads a balance, signs, and then writes 0 pays twice what is withdrawn meanwhile, or loses what is
    deposited."""
    for _ in range(3):
        token = await case.funded(8)
        deposits, withdrawals, emptyings = await _used_at_once(case, token)
        if any(reply.status >= 500 for reply in (*deposits, *withdrawals, *emptyings)):
            continue  # what may have become of those the books allow for
        deposited, withdrawn = (sum(reply.status == 200 for reply in replies) for replies in (deposits, withdrawals))
        credits = {_credit(reply) for reply in emptyings if reply.status == 200}
        emptied, left = sum(credit.value.amount for credit in credits), await case.balance(token)
        expect(
            8 + deposited == withdrawn + emptied + left,
            expected=f"as much to be paid out and left as was paid in: 8 + {deposited}",
            observed=f"{withdrawn} in withdrawals, {emptied} in {len(credits)} full withdrawals, and {left} left",
        )


async def _used_at_once(case: BankCase, token: AccountToken) -> tuple[list[Reply], list[Reply], list[Reply]]:
    """Deposit, withdraw and empty at the same time; return the answers in this order. There are never more than 32 in
    the account, so nothing is rounded."""
    deposits, withdrawals, emptyings = list[Reply](), list[Reply](), list[Reply]()
    running = 8

    async def use(calls: Sequence[Call], replies: list[Reply]) -> Reply:
        nonlocal running
        try:
            for call in calls:
                replies.append(await call())
            return replies[-1]
        finally:
            running -= 1

    async def empty() -> Reply:
        emptyings.append(await case.withdraw_full(token))
        while running:
            emptyings.append(await case.withdraw_full(token))
        return emptyings[-1]

    def some(make: Callable[[], Call], number: int, replies: list[Reply]) -> list[Call]:
        return [partial(use, [make() for _ in range(number)], replies) for _ in range(4)]

    await at_once(
        [
            *[empty] * 2,
            *some(lambda: partial(case.deposit, token, case.mint.credit(1)), 6, deposits),
            *some(lambda: partial(case.withdraw, token, [case.mint.pending(1).request]), 2, withdrawals),
        ]
    )
    return deposits, withdrawals, emptyings


@check(
    id="bank.withdraw-full.exchange",
    requirements=["PAY-085"],
    title="The credit of a full withdrawal can be exchanged, once",
)
async def exchange(case: BankCase) -> None:
    """An account is emptied, the credit exchanged, and the new one deposited. Then the first one is exchanged again,
    for another message: that must be refused."""
    unblinded = await case.emptying(await case.funded(62))
    fresh = await case.exchanged(unblinded)
    token = case.token()
    await case.paid_in(token, fresh)
    await case.expect_balance(token, 62, "the way of 62 through a full withdrawal and an exchange")
    (await case.exchange(unblinded, case.mint.pending(62))).expect_refused("a second exchange")


def _credit(reply: Reply) -> UnblindedCredit:
    return reply.read(messages.decode_withdraw_full_response, "a full withdrawal")


def _has_zero_salt(case: BankCase, credit: UnblindedCredit) -> bool:
    """Say whether the signature is the one with the salt that all credits have."""
    framed = blind_rsa.frame(credit.nonce.blind_bytes, credit.value.blind_bytes)
    key = case.mint.key.public_key
    exponent = case.mint.exponent(credit.value.blind_bytes)
    encoded = pow(int.from_bytes(credit.signature, "big"), exponent, key.modulus)
    return encoded == int.from_bytes(pss.encode(framed, key.bits - 1, blind_rsa.ZERO_SALT), "big")
