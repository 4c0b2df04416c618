"""What is nearly a repetition: a request that differs in one part is another one, and is done or refused as such.

A bank that recognises repetitions by too little signs for nothing, or answers one client with what is another's.
"""

from __future__ import annotations

from collections.abc import Sequence

import anyio

from conformance.peers.bank import BankCase, Reply
from conformance.peers.hosted_nonce_lock import operation_of
from conformance.peers.scripted import Received
from conformance.registry import check
from conformance.requirements import Level
from conformance.verdicts import Violation, expect
from openpcc_ref.banking import messages
from openpcc_ref.banking.accounts import AccountToken
from openpcc_ref.banking.messages import Exchange
from openpcc_ref.credits import BlindSignRequest, blind_rsa, currency
from openpcc_ref.http1 import Responder

_WHILE_S = 0.2
"""How long the nonce lock keeps a bank waiting: enough for it to take up what came meanwhile."""


def _signatures(case: BankCase, requests: Sequence[BlindSignRequest]) -> tuple[bytes, ...]:
    """Return the blind signatures that any bank with this key gives: signing draws nothing."""
    return tuple(
        blind_rsa.blind_sign(case.mint.key, request.blinded_message, request.value.blind_bytes) for request in requests
    )


async def _expect_paid_for(
    case: BankCase, token: AccountToken, requests: Sequence[BlindSignRequest], what: str
) -> tuple[bytes, ...]:
    """Ask for a batch; require the signatures of these very requests for their sum, or a refusal for nothing.

    Return the signatures, or nothing after a refusal.
    """
    before = await case.balance(token)
    reply = await case.withdraw(token, requests)
    debited = before - await case.balance(token)
    if reply.status != 200:
        expect(
            reply.status >= 400 and debited == 0,
            expected=f"{what} to be refused for nothing, if it is refused",
            observed=f"status {reply.status} and a debit of {debited}",
        )
        return ()
    _, signatures = reply.read(
        lambda content: messages.decode_withdraw_response(content, len(requests)), f"a withdrawal of {what}"
    )
    owed = sum(request.value.amount for request in requests)
    right = signatures == _signatures(case, requests)
    if not right or debited != owed:
        raise _PaidWrongly(what, owed, signatures if not right else None, debited)
    return signatures


class _PaidWrongly(Violation):
    """``signatures`` are what was answered in place of the right ones."""

    def __init__(self, what: str, owed: int, signatures: tuple[bytes, ...] | None, debited: int) -> None:
        super().__init__(
            f"the signatures of {what}, in its order, for {owed}",
            f"{'them' if signatures is None else 'other signatures'} for {debited}",
        )
        self.signatures = signatures
        self.debited = debited


@check(
    id="bank.repetition.other-account",
    requirements=["PAY-082", "PAY-080"],
    title="The same batch for another account is no repetition",
)
async def other_account(case: BankCase) -> None:
    """A batch is withdrawn from one account. The same batch is asked of an account that never was: it must be refused,
    and the answer not be the first one, in which another's balance stands."""
    token, requests = await case.funded(96), [pending.request for pending in case.pendings(10, 11)]
    reply = await case.withdraw(token, requests)
    reply.read(lambda content: messages.decode_withdraw_response(content, 2), "a withdrawal")
    (await case.withdraw(case.token(), requests)).expect_refused("the same batch from an account without money")
    await case.expect_balance(token, 75, "the same batch from another account")


@check(
    id="bank.repetition.other-value",
    requirements=["PAY-055", "PAY-080"],
    title="The same messages under other values are no repetition",
)
async def other_value(case: BankCase) -> None:
    """A credit of 1 is withdrawn, then one of 31 for the same blinded message. The bank may refuse that. If it signs
    under 31, it must debit 31: whoever recognises messages only sells 31 for 1. Repeating the first answer is no more
    than a nuisance."""
    token, (pending,) = await case.funded(96), case.pendings(1)
    first = await _expect_paid_for(case, token, [pending.request], "a first batch")
    dearer = BlindSignRequest(currency.exact(31), pending.request.blinded_message)
    try:
        await _expect_paid_for(case, token, [dearer], "the same message under 31")
    except _PaidWrongly as wrong:
        if wrong.signatures == first and wrong.debited == 0:
            wrong.level = Level.SHOULD
        raise


@check(
    id="bank.repetition.other-order",
    requirements=["PAY-080"],
    title="The same batch in another order is no repetition",
)
async def other_order(case: BankCase) -> None:
    """A batch of two is withdrawn, then the same two requests in reverse. The bank may refuse that. If it signs, the
    signatures must be in the order of the second batch, and its sum be debited."""
    token, requests = await case.funded(96), [pending.request for pending in case.pendings(10, 11)]
    await _expect_paid_for(case, token, requests, "a first batch")
    await _expect_paid_for(case, token, requests[::-1], "the batch in reverse")


@check(
    id="bank.repetition.other-credit",
    requirements=["PAY-085"],
    title="An exchange of another credit for the same message is no repetition",
)
async def other_credit(case: BankCase) -> None:
    """A credit of 4 is exchanged; then another one of 4, and one of 31, for the same blinded message. The bank may
    refuse these. If it signs, it must be under the credit's own value, and the credit be spent."""
    first, pending = case.mint.credit(4), case.mint.pending(4)
    await case.exchange(first, pending)
    blinded = pending.request.blinded_message
    for amount in (4, 31):
        credit = case.mint.credit(amount)
        reply = await case.post("/exchange", messages.encode_exchange_request(Exchange(credit, blinded)))
        if reply.status != 200:
            reply.expect_refused("an exchange for a message that was signed before")
            continue
        signature = reply.read(messages.decode_exchange_response, "an exchange for a message that was signed before")
        spent = case.lock.is_consumed(credit.nonce)
        right = (signature,) == _signatures(case, [BlindSignRequest(credit.value, blinded)])
        expect(
            spent and right,
            expected=f"a signature under {amount} for a credit of {amount} that is spent",
            observed=f"{'that' if right else 'another'} signature for one that is {'spent' if spent else 'not'}",
        )


@check(
    id="bank.repetition.while-the-first-waits",
    requirements=["PAY-074", "PAY-076"],
    title="A deposit repeated while the first one waits is booked once",
)
async def while_the_first_waits(case: BankCase) -> None:
    """A client repeats a deposit eight times while the bank waits for the nonce lock to consume its nonce. Then the
    nonce lock answers. One at least must succeed, and the account must hold the amount once: the others, whether they
    wait for the first or consume again, must not book it again."""
    token, credit = await case.funded(1), case.mint.credit(100)
    consuming, go = anyio.Event(), anyio.Event()
    replies: list[Reply] = []

    async def answer(received: Received, responder: Responder) -> None:
        await received.end()
        if operation_of(received) == "consume":
            consuming.set()
            await go.wait()
        await case.lock.serve(received, responder)

    async def deposit() -> None:
        replies.append(await case.deposit(token, credit))

    case.lock.peer.answer = answer
    async with anyio.create_task_group() as group:
        group.start_soon(deposit)
        with anyio.move_on_after(case.step_s):
            await consuming.wait()
        for _ in range(8):
            group.start_soon(deposit)
        await anyio.sleep(_WHILE_S)
        go.set()
    taken, balance = sum(reply.status == 200 for reply in replies), await case.balance(token)
    expect(
        taken > 0 and balance == 101,
        expected="a deposit to succeed, and a balance of 1 + 100",
        observed=f"{taken} that did, and a balance of {balance}",
    )
