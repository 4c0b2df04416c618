"""Whole sessions: the books balance, whatever order things come in."""

from __future__ import annotations

from functools import partial

from conformance.peers.at_once import at_once
from conformance.peers.bank import BankCase
from conformance.registry import check
from conformance.verdicts import expect

_ROUNDS = 12
_CLIENTS = 4


@check(
    id="bank.ledger.circle",
    requirements=["PAY-140"],
    title="Money that goes round in a circle stays what it was",
)
async def circle(case: BankCase) -> None:
    """96 is deposited, withdrawn in a batch, each credit exchanged and deposited into a new account, that one
    emptied, and the credit exchanged and deposited. 96 must arrive."""
    token = await case.funded(96)
    _, credits = await case.signed(token, case.pendings(64, 16, 12, 4))
    second = case.token()
    for credit in credits:
        await case.paid_in(second, await case.exchanged(credit))
    third = case.token()
    await case.paid_in(third, await case.exchanged(await case.emptying(second)))
    for which, owner, amount in (("first", token, 0), ("second", second, 0), ("third", third, 96)):
        await case.expect_balance(owner, amount, f"the circle, in the {which} account")


@check(
    id="bank.ledger.session",
    requirements=["PAY-140", "PAY-080", "PAY-074"],
    title="After a long session of several clients the books balance",
)
async def session(case: BankCase) -> None:
    """Four clients do, side by side and in an order drawn from the seed, what clients do: deposits, batches, too large
    ones, exchanges, credits spent twice. Afterwards each account must hold what was paid in, less what was paid out."""
    tokens = [await case.funded(96) for _ in range(_CLIENTS)]
    spent = [case.mint.credit(7) for _ in range(_CLIENTS)]
    await at_once([partial(case.deposit, token, credit) for token, credit in zip(tokens, spent, strict=True)])
    paid_in = dict.fromkeys((token.octets for token in tokens), 96 + 7)
    for _ in range(_ROUNDS):
        token = case.random.choice(tokens)
        amount = case.random.choice((1, 3, 16, 31))
        credit, pending = case.mint.credit(amount), case.mint.pending(amount)
        replies = await at_once(
            [
                partial(case.deposit, token, credit),
                partial(case.withdraw, case.random.choice(tokens), [pending.request]),
                partial(case.withdraw, token, [case.mint.pending(2048).request]),
                partial(case.deposit, case.random.choice(tokens), case.random.choice(spent)),
                partial(case.exchange, case.mint.credit(amount), case.mint.pending(amount)),
            ]
        )
        expect(replies[2].status != 200, expected="a withdrawal of 2048 to be refused", observed="status 200")
        paid_in[token.octets] += amount * (replies[0].status == 200)
    held = [await case.balance(token) for token in tokens]
    total = sum(paid_in.values())
    expect(sum(held) <= total, expected=f"at most {total} in all accounts", observed=f"{sum(held)}")
