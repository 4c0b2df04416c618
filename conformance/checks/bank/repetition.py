"""Repetition: clients that lose an answer ask again, octet for octet, and should lose no money by it."""

from __future__ import annotations

from functools import partial

import anyio

from conformance.peers.at_once import at_once
from conformance.peers.bank import BankCase, Reply, finalized
from conformance.registry import check
from conformance.requirements import Level
from conformance.verdicts import Violation, expect
from openpcc_ref.banking import messages
from openpcc_ref.banking.messages import Deposit, Exchange, Withdrawal

DEPLOYED = "PAY-D09"
_PAUSE_S = 0.02
_NOT_YET = (409, 423, 425, 429, 503)


@check(
    id="bank.repetition.deposit",
    requirements=["PAY-092"],
    title="A repeated deposit is answered with the balance",
)
async def deposit(case: BankCase) -> None:
    """A deposit is repeated. The second answer should be 200 with the balance, into which the credit went once."""
    token, credit = await case.funded(1), case.mint.credit(20)
    await case.paid_in(token, credit)
    reply = await case.deposit(token, credit)
    balance = await case.balance(token)
    if balance != 21:
        raise _costs("a balance of 1 + 20 after the credit of 20 was deposited twice", f"a balance of {balance}")
    if _expect_repeated(reply, "deposit", deployed=reply.status == 500):
        answered = reply.read(messages.decode_deposit_response, "a repeated deposit")
        expect(answered == 21, expected="the balance 21", observed=f"the balance {answered}")


@check(
    id="bank.repetition.withdraw",
    requirements=["PAY-092"],
    title="A repeated withdrawal is answered with the same signatures, for nothing",
)
async def withdraw(case: BankCase) -> None:
    """A batch of two is withdrawn, then a single credit, then the batch is asked for again. The answer should have the
    batch's signatures, and its sum be debited once."""
    token, pendings = await case.funded(96), case.pendings(10, 11)
    requests = [pending.request for pending in pendings]
    first = (await case.withdraw(token, requests)).read(_two_signatures, "a withdrawal")
    await case.signed(token, case.pendings(5))
    reply = await case.withdraw(token, requests)
    balance = await case.balance(token)
    again = reply.read(_two_signatures, "a repeated withdrawal") if reply.status == 200 else None
    same = again is not None and again[1] == first[1]
    if not same or balance != 70:
        raise Violation(
            "the signatures of the first answer, and 70 left of 96",
            f"status {reply.status}{'' if again is None else f' with {_same_or_other(same)}'}, and {balance} left",
            deployed=DEPLOYED if same and balance == 49 else None,
            level=None if balance == (49 if same else 70) else Level.MUST,
        )


@check(
    id="bank.repetition.withdraw-full",
    requirements=["PAY-092"],
    title="A repeated full withdrawal is answered with the same credit",
)
async def withdraw_full(case: BankCase) -> None:
    """An account is emptied twice. The second answer should be the first one's credit: if it were lost, all would
    be. Once something is deposited, emptying must give that."""
    token = await case.funded(48)
    first = await case.emptying(token)
    reply = await case.withdraw_full(token)
    if _expect_repeated(reply, "full withdrawal", deployed=reply.status == 500):
        again = reply.read(messages.decode_withdraw_full_response, "a repeated full withdrawal")
        if again != first:
            raise _costs("the credit of the first answer", f"another one, of {again.value.amount}")
    await case.paid_in(token, case.mint.credit(7))
    worth = (await case.emptying(token)).value.amount
    if worth != 7:
        raise _costs("a credit of 7 after a further deposit", f"one of {worth}")


@check(
    id="bank.repetition.exchange",
    requirements=["PAY-092"],
    title="A repeated exchange is answered with the same signature",
)
async def exchange(case: BankCase) -> None:
    """A credit is exchanged twice for the same message. The second answer should be the first one's signature: if it
    were lost, the credit would be."""
    credit, pending = case.mint.credit(48), case.mint.pending(48)
    first = (await case.exchange(credit, pending)).read(messages.decode_exchange_response, "an exchange")
    reply = await case.exchange(credit, pending)
    if _expect_repeated(reply, "exchange", deployed=reply.status == 500):
        again = reply.read(messages.decode_exchange_response, "a repeated exchange")
        expect(again == first, expected="the signature of the first answer", observed="another")


@check(
    id="bank.repetition.after-lost-answers",
    requirements=["PAY-092"],
    title="A client that hung up gets its answer when it asks again",
)
async def after_lost_answers(case: BankCase) -> None:
    """A client sends a deposit, a withdrawal and an exchange, and hangs up each time before the answer. It repeats each
    until it is answered, as a client does: all should succeed, and each have its effect once."""
    token, credit, pendings = await case.funded(96), case.mint.credit(20), case.pendings(10)
    old, new = case.mint.credit(48), case.mint.pending(48)
    deposit = messages.encode_deposit_request(Deposit(token, credit))
    withdrawal = messages.encode_withdraw_request(Withdrawal(token, (pendings[0].request,)))
    exchange = messages.encode_exchange_request(Exchange(old, new.request.blinded_message))
    for what, path, content in (
        ("deposit", "/deposit", deposit),
        ("withdrawal", "/withdraw", withdrawal),
        ("exchange", "/exchange", exchange),
    ):
        await case.post_and_leave(path, content)
        reply = await _settled(case, path, content)
        if _expect_repeated(reply, what, deployed=reply.status == 500) and path == "/exchange":
            finalized(new, reply.read(messages.decode_exchange_response, "a repeated exchange"))
    balance = await case.balance(token)
    if balance != 106:
        raise Violation(
            "a balance of 96 + 20 - 10, each done once",
            f"a balance of {balance}",
            deployed=DEPLOYED if balance == 96 else None,
            level=Level.MUST if balance > 106 else None,
        )


@check(
    id="bank.repetition.at-once",
    requirements=["PAY-080", "PAY-055"],
    title="One withdrawal asked for many times at once is paid for what is signed",
)
async def at_the_same_time(case: BankCase) -> None:
    """16 octet-identical withdrawals of 10 reach an account of 96 at the same time. The signature is one and the
    same, so the bank may debit it once or, without recognising repetitions, each time it answers 200: nothing else."""
    token = await case.funded(96)
    (pending,) = case.pendings(10)
    replies = await at_once([partial(case.withdraw, token, [pending.request])] * 16)
    signed = [reply for reply in replies if reply.status == 200]
    balance = await case.balance(token)
    expect(
        bool(signed) and balance in (86, 96 - 10 * len(signed)),
        expected="a debit of 10, or of 10 for each answer",
        observed=f"{len(signed)} answers and a balance of {balance}",
    )
    if balance != 86:
        raise Violation("one debit of 10", f"a balance of {balance}", deployed=DEPLOYED, level=Level.SHOULD)


async def _settled(case: BankCase, path: str, content: bytes) -> Reply:
    """Repeat a request as long as the answer may mean that the first one still runs, or for as long as a step may
    take."""
    reply = await case.post(path, content)
    until = anyio.current_time() + case.step_s
    while reply.status in _NOT_YET and anyio.current_time() < until:
        await anyio.sleep(_PAUSE_S)
        reply = await case.post(path, content)
    return reply


def _costs(expected: str, observed: str) -> Violation:
    """Return a violation by which somebody has money too much or too little: no matter of convenience any more."""
    return Violation(expected, observed, level=Level.MUST)


def _same_or_other(same: bool) -> str:
    return "the same signatures" if same else "other signatures"


def _two_signatures(content: bytes) -> tuple[int, tuple[bytes, ...]]:
    return messages.decode_withdraw_response(content, 2)


def _expect_repeated(reply: Reply, what: str, *, deployed: bool) -> bool:
    return expect(
        reply.status == 200,
        expected=f"status 200 for a repeated {what}",
        observed=f"status {reply.status}",
        deployed=DEPLOYED if deployed else None,
    )
