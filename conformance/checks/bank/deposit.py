"""Deposits: the whole amount once, or nothing."""

from __future__ import annotations

from functools import partial

from conformance.peers.at_once import at_once
from conformance.peers.bank import BankCase
from conformance.peers.mint import SPECIALS, draw_nonce
from conformance.registry import check
from conformance.verdicts import expect
from openpcc_ref.credits import MAX_AMOUNT

_AT_ONCE = 64
_TOO_FAR_HOURS = 28


@check(
    id="bank.deposit.balance",
    requirements=["PAY-074"],
    title="A deposit adds exactly its amount and returns the new balance",
)
async def balance(case: BankCase) -> None:
    """Credits of 1, 2, 16, 31, 62 and 2,621,440 go into one new account, another one into a second. After each the
    answer must be the sum so far, and `/balance` must agree."""
    token, total = case.token(), 0
    for amount in (1, 2, 16, 31, 62, 2_621_440):
        total += amount
        answered = await case.paid_in(token, case.mint.credit(amount))
        expect(answered == total, expected=f"the balance {total}", observed=f"the balance {answered}")
        await case.expect_balance(token, total, f"deposits of {total}")
    other = await case.funded(7)
    await case.expect_balance(other, 7, "a deposit of 7 into another account")
    await case.expect_balance(token, total, "a deposit into another account")


@check(
    id="bank.deposit.above-largest-value",
    requirements=["PAY-077"],
    title="A balance can be above the largest value",
)
async def above_largest_value(case: BankCase) -> None:
    """Credits of 1, 2, 3, 4 and twice the largest value are deposited. All must count."""
    token, total = case.token(), 0
    for amount in (1, 2, 3, 4, MAX_AMOUNT, MAX_AMOUNT):
        total += amount
        answered = await case.paid_in(token, case.mint.credit(amount))
        expect(answered == total, expected=f"the balance {total}", observed=f"the balance {answered}")


@check(
    id="bank.deposit.zero",
    requirements=["PAY-075"],
    title="A credit of nothing is refused",
)
async def zero(case: BankCase) -> None:
    """A credit of the value `00 00` with a good signature is deposited. The bank must answer 400; a credit of 1 must be
    accepted."""
    token = await case.funded(1)
    (await case.deposit(token, case.mint.credit(0))).expect_refused("a deposit of nothing", 400)
    await case.expect_balance(token, 1, "a deposit of nothing")


@check(
    id="bank.deposit.special",
    requirements=["PAY-075", "PAY-010", "PAY-011"],
    title="A special credit is refused",
)
async def special(case: BankCase) -> None:
    """The attestation token and credits of two undefined special values, all with good signatures, are deposited. The
    bank must answer 400 and book nothing."""
    token = await case.funded(1)
    for value in SPECIALS:
        reply = await case.deposit(token, case.mint.credit(value))
        reply.expect_refused(f"a deposit of the special value {value.blind_bytes.hex()}", 400)
        await case.expect_balance(token, 1, f"a deposit of the special value {value.blind_bytes.hex()}")


@check(
    id="bank.deposit.expired",
    requirements=["PAY-075"],
    title="A credit of another day is refused",
)
async def expired(case: BankCase) -> None:
    """Credits with good signatures, stamped 28 hours before and after the present hour, are deposited. The nonce lock
    refuses them with 400, and so must the bank; a credit of the next hour must be accepted."""
    token = case.token()
    await case.paid_in(token, case.mint.credit(4, nonce=draw_nonce(hours=1)))
    for hours in (-_TOO_FAR_HOURS, _TOO_FAR_HOURS):
        reply = await case.deposit(token, case.mint.credit(8, nonce=draw_nonce(hours=hours)))
        reply.expect_refused(f"a credit stamped {hours:+} hours", 400)
        await case.expect_balance(token, 4, f"a credit stamped {hours:+} hours")


@check(
    id="bank.deposit.twice",
    requirements=["PAY-076"],
    title="A credit cannot be deposited into two accounts",
)
async def twice(case: BankCase) -> None:
    """A credit is deposited into one account, then into another. The second must be refused, and only the first may
    have the money."""
    first, second, credit = case.token(), case.token(), case.mint.credit(100)
    await case.paid_in(first, credit)
    (await case.deposit(second, credit)).expect_refused("a second deposit of one credit")
    await case.expect_balance(second, 0, "a refused deposit")
    await case.expect_balance(first, 100, "a refused deposit into another account")


@check(
    id="bank.deposit.race",
    requirements=["PAY-076"],
    title="Of 64 deposits of one credit at once, one succeeds",
)
async def race(case: BankCase) -> None:
    """One credit is deposited into 64 accounts at the same time. Exactly one deposit must succeed, and the balances
    must be the credit's amount in sum."""
    credit, tokens = case.mint.credit(100), [case.token() for _ in range(_AT_ONCE)]
    replies = await at_once([partial(case.deposit, token, credit) for token in tokens])
    taken = sum(reply.status == 200 for reply in replies)
    expect(taken == 1, expected=f"one of {_AT_ONCE} deposits to succeed", observed=f"{taken} that did")
    held = sum([await case.balance(token) for token in tokens])
    expect(held == 100, expected="100 in all accounts together", observed=f"{held}")


@check(
    id="bank.deposit.many-at-once",
    requirements=["PAY-074"],
    title="Deposits into one account at once all count",
)
async def many_at_once(case: BankCase) -> None:
    """32 different credits are deposited into one account at the same time; what is answered with 5xx is repeated. All
    must be accepted and add up: a bank that reads a balance, waits, and writes it back loses some."""
    token, amount, number = case.token(), 3, _AT_ONCE // 2
    deposits = [partial(case.deposit, token, case.mint.credit(amount)) for _ in range(number)]
    replies = await at_once(deposits)
    for at, reply in enumerate(replies):
        if reply.status >= 500:
            replies[at] = await case.insisting(deposits[at])
    statuses = sorted({reply.status for reply in replies})
    expect(statuses == [200], expected="status 200 for each", observed=f"statuses {statuses}")
    await case.expect_balance(token, amount * number, f"{number} deposits of {amount} at once")


@check(
    id="bank.deposit.nonce-under-another-value",
    requirements=["PAY-076"],
    title="A spent nonce is spent under every value",
)
async def nonce_under_another_value(case: BankCase) -> None:
    """A client has one nonce signed under two values. The credit of 100 is deposited; the one of 128, with a good
    signature and the same nonce, must be refused."""
    token, nonce = case.token(), draw_nonce()
    await case.paid_in(token, case.mint.credit(100, nonce=nonce))
    reply = await case.deposit(token, case.mint.credit(128, nonce=nonce))
    reply.expect_refused("a spent nonce under another value")
    await case.expect_balance(token, 100, "a spent nonce under another value")


@check(
    id="bank.deposit.locked",
    requirements=["PAY-076"],
    title="A credit that another service holds is refused",
)
async def locked(case: BankCase) -> None:
    """Another service has locked the nonce of a credit. Its deposit must be refused, and the lock must stay that
    service's; once that has released it, the deposit must succeed."""
    token, credit = case.token(), case.mint.credit(100)
    ticket = case.lock.service.lock(credit.nonce)
    (await case.deposit(token, credit)).expect_refused("a locked nonce")
    await case.expect_balance(token, 0, "a deposit of a locked nonce")
    expect(
        case.lock.state(credit.nonce) is not None,
        expected="the lock of the other service to stay",
        observed="a nonce that is free",
    )
    case.lock.service.release(credit.nonce, ticket)
    await case.paid_in(token, credit)


@check(
    id="bank.deposit.spent-elsewhere",
    requirements=["PAY-100", "PAY-076"],
    title="A credit that was spent at another service is refused",
)
async def spent_elsewhere(case: BankCase) -> None:
    """Another service, a router, say, has consumed the nonce of a credit in the common record. Its deposit must be
    refused. A bank with a record of its own, or with none, cannot know."""
    token, credit = case.token(), case.mint.credit(100)
    case.lock.spend_elsewhere(credit.nonce)
    (await case.deposit(token, credit)).expect_refused("a nonce that is consumed in the common record")
    await case.expect_balance(token, 0, "a deposit of a credit spent elsewhere")
