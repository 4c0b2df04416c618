"""The nonce lock behind the bank: what it is asked, and what follows when it fails."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial

import anyio

from conformance.peers.bank import BankCase, Reply, finalized
from conformance.registry import check
from conformance.verdicts import Violation, expect
from openpcc_ref.banking import messages
from openpcc_ref.banking.accounts import AccountToken
from openpcc_ref.banking.messages import Deposit, Exchange
from openpcc_ref.banking.nonce_state import Locked
from openpcc_ref.credits import Credit, PendingCredit
from openpcc_ref.http1 import Http1Error

_AMOUNT = 24
_PAUSE_S = 0.02
"""Between two looks at whether an earlier request has come to its end."""


@dataclass(slots=True)
class _Attempt:
    """A deposit and an exchange of two good credits."""

    case: BankCase
    token: AccountToken
    deposited: Credit
    exchanged: Credit
    new: PendingCredit

    @staticmethod
    def of(case: BankCase) -> _Attempt:
        mint = case.mint
        return _Attempt(case, case.token(), mint.credit(_AMOUNT), mint.credit(_AMOUNT), mint.pending(_AMOUNT))

    async def make(self) -> list[tuple[str, Reply]]:
        """Ask for both and return the answers with what was asked."""
        return [
            ("a deposit", await self.case.deposit(self.token, self.deposited)),
            ("an exchange", await self.case.exchange(self.exchanged, self.new)),
        ]

    async def expect_refused(self, fault: str) -> None:
        """Ask for both; require that nothing comes of them."""
        for what, reply in await self.make():
            reply.expect_refused(f"{what} with {fault}")
        await self.case.expect_balance(self.token, 0, f"a deposit with {fault}")

    async def expect_done(self) -> None:
        """Ask for both once more; require that they succeed, as nothing had come of them."""
        self.case.lock.peer.reset()
        replies = dict(await self.make())
        replies["a deposit"].read(messages.decode_deposit_response, "a deposit once the nonce lock is well again")
        signature = replies["an exchange"].read(
            messages.decode_exchange_response, "an exchange once the nonce lock is well again"
        )
        finalized(self.new, signature)
        await self.case.expect_balance(self.token, _AMOUNT, "the repeated deposit")


@check(
    id="bank.nonce-lock.calls",
    requirements=["PAY-100", "PAY-110"],
    title="A credit is taken by one lock and one consumption",
)
async def calls(case: BankCase) -> None:
    """A credit is deposited and another exchanged. For each the nonce lock must be asked for a lock and, under its
    ticket, for the consumption; nothing but the consumption itself, repeated, may follow that."""
    attempt = _Attempt.of(case)
    for what, reply in await attempt.make():
        expect(reply.status == 200, expected=f"status 200 for {what}", observed=f"status {reply.status}")
    for what, credit in (("a deposit", attempt.deposited), ("an exchange", attempt.exchanged)):
        asked = case.lock.asked(credit.nonce)
        consumed = asked.index("consume") if "consume" in asked else len(asked)
        expect(
            asked[:1] == ["lock"] and set(asked[consumed:]) == {"consume"},
            expected=f"lock and then consume for {what}",
            observed=_told(asked),
        )


@check(
    id="bank.nonce-lock.withdrawals-need-none",
    requirements=["PAY-100"],
    title="Withdrawals and balances do not depend on the nonce lock",
)
async def withdrawals_need_none(case: BankCase) -> None:
    """The nonce lock cannot be reached. A withdrawal, a full one and a balance must be answered as ever: the nonces of
    credits that the bank signs are unknown to it, or not yet in anybody's hands."""
    token = await case.funded(62)
    async with case.lock.peer.unreachable():
        await case.signed(token, case.pendings(10))
        await case.expect_balance(token, 52, "a withdrawal without nonce lock")
        worth = (await case.emptying(token)).value.amount
    expect(worth == 52, expected="a credit of 52", observed=f"one of {worth}")


@check(
    id="bank.nonce-lock.unreachable",
    requirements=["PAY-110", "PAY-076"],
    title="Without the nonce lock nothing is taken",
)
async def unreachable(case: BankCase) -> None:
    """The nonce lock refuses connections while a credit is deposited and another exchanged. Both must be refused
    with a status from 500 on, for repeating helps here; then both must succeed. A bank that repeats its own question
    may be longer in answering than the client waits."""
    attempt = _Attempt.of(case)
    answered = True
    async with case.lock.peer.unreachable():
        try:
            for what, reply in await attempt.make():
                expect(
                    reply.status >= 500,
                    expected=f"a status from 500 on for {what} without nonce lock",
                    observed=f"status {reply.status}",
                )
        except Http1Error:  # it tries again and again, and may yet succeed: then the books show what it did
            answered = False
    if answered:
        await case.expect_balance(attempt.token, 0, "a deposit without nonce lock")
        await attempt.expect_done()


@check(
    id="bank.nonce-lock.lock-fails",
    requirements=["PAY-110", "PAY-076"],
    title="A failed lock takes nothing",
)
async def lock_fails(case: BankCase) -> None:
    """The nonce lock answers locks with 403, 404 and 422. The deposit and the exchange must be refused each time;
    once it is well again, both must succeed."""
    attempt = _Attempt.of(case)
    for status in (403, 404, 422):
        case.lock.peer.answer = case.lock.fails("lock", status)
        await attempt.expect_refused(f"a lock that is answered with {status}")
    await attempt.expect_done()


@check(
    id="bank.nonce-lock.refuses",
    requirements=["PAY-075", "PAY-091"],
    title="What the nonce lock refuses is the client's fault",
)
async def refuses(case: BankCase) -> None:
    """The nonce lock answers locks with 400, as it does for an expired nonce. The deposit must be refused with 400, the
    exchange with a status between 400 and 499."""
    attempt = _Attempt.of(case)
    case.lock.peer.answer = case.lock.fails("lock", 400)
    replies = dict(await attempt.make())
    replies["a deposit"].expect_refused("a deposit of what the nonce lock refuses with 400", 400)
    replies["an exchange"].expect_client_error("an exchange of what the nonce lock refuses with 400")
    await attempt.expect_done()


@check(
    id="bank.nonce-lock.garbage",
    requirements=["PAY-110", "PAY-076"],
    title="A lock without ticket is no lock",
)
async def garbage(case: BankCase) -> None:
    """The nonce lock answers locks with 200 and an empty message, an empty ticket, half a message, and text. The
    deposit and the exchange must be refused each time; once it is well again, both must succeed."""
    attempt = _Attempt.of(case)
    for what, content in (
        ("an empty answer", b""),
        ("an empty ticket", b"\x0a\x00"),
        ("half a ticket", b"\x0a\x10abcd"),
        ("text in place of a ticket", b"<html>it works</html>"),
    ):
        case.lock.peer.answer = case.lock.says("lock", content)
        await attempt.expect_refused(what)
    await attempt.expect_done()


@check(
    id="bank.nonce-lock.consume-fails-deposit",
    requirements=["PAY-110", "PAY-111"],
    title="A deposit that cannot consume is not booked, and gives the lock back",
)
async def consume_fails_deposit(case: BankCase) -> None:
    """The nonce lock grants locks and answers consumptions with 404. Two deposits must be refused, the balances stay,
    and the locks be released. Then one credit must be good for another account, and the other for the same one: what
    came to nothing is no first request that a second could repeat."""
    first, again, elsewhere = case.token(), case.mint.credit(_AMOUNT), case.mint.credit(_AMOUNT)
    case.lock.peer.answer = case.lock.fails("consume", 404)
    for credit in (again, elsewhere):
        (await case.deposit(first, credit)).expect_refused("a deposit that cannot consume")
        await case.expect_balance(first, 0, "a deposit that cannot consume")
        asked = await _asked(case, credit, "release")
        expect("release" in asked, expected="the lock to be released", observed=_told(asked))
    case.lock.peer.reset()
    await case.paid_in(case.token(), elsewhere)
    await case.paid_in(first, again)
    await case.expect_balance(first, _AMOUNT, "a deposit that was repeated when the nonce lock was well again")


@check(
    id="bank.nonce-lock.consume-fails-exchange",
    requirements=["PAY-087", "PAY-110", "PAY-111"],
    title="An exchange that cannot consume hands nothing out, and keeps nothing",
)
async def consume_fails_exchange(case: BankCase) -> None:
    """The nonce lock grants locks and answers consumptions with 404. Two exchanges must be refused without their
    signatures. Once the nonce lock is well again, the identical request must get its signature, or the old credit be
    good for a deposit. The other credit is deposited first, and the exchange repeated then: one of both must succeed,
    not both."""
    case.lock.peer.answer = case.lock.fails("consume", 404)
    attempts = [(case.mint.credit(_AMOUNT), case.mint.pending(_AMOUNT)) for _ in range(2)]
    for credit, pending in attempts:
        reply = await case.exchange(credit, pending)
        reply.expect_refused("an exchange that cannot consume")
        expect(
            len(reply.content) < case.mint.key.public_key.length,
            expected="a refusal without signature",
            observed=f"{len(reply.content)} bytes",
        )
    case.lock.peer.reset()
    for (credit, pending), exchanged_first in zip(attempts, (True, False), strict=True):
        uses = [partial(case.exchange, credit, pending), partial(case.deposit, case.token(), credit)]
        taken = await _uses_taken(case, uses if exchanged_first else uses[::-1])
        stuck = taken == 0 and isinstance(case.lock.state(credit.nonce), Locked)
        expect(
            taken == 1,
            expected="an exchange whose consumption failed to succeed when it is repeated, or its credit to be good "
            "for a deposit, and not both",
            observed="both" if taken else "neither, for the nonce is still locked" if stuck else "neither",
            deployed="PAY-D32" if stuck else None,
        )


async def _uses_taken(case: BankCase, uses: Sequence[Callable[[], Awaitable[Reply]]]) -> int:
    """Ask for each use in turn, again and again until one is taken, then once more for all; return how many were."""
    taken = [False] * len(uses)

    async def ask() -> None:
        for at, use in enumerate(uses):
            taken[at] = (await use()).status == 200 or taken[at]

    until = anyio.current_time() + case.step_s
    await ask()
    while not any(taken) and anyio.current_time() < until:
        await anyio.sleep(_PAUSE_S)
        await ask()
    await ask()
    return sum(taken)


async def _asked(case: BankCase, credit: Credit, awaited: str) -> list[str]:
    """Return what the nonce lock was asked for a credit, when ``awaited`` is among it or a step has passed: a bank may
    answer its client before it tidies up."""
    until = anyio.current_time() + case.step_s
    asked = case.lock.asked(credit.nonce)
    while awaited not in asked and anyio.current_time() < until:
        await anyio.sleep(_PAUSE_S)
        asked = case.lock.asked(credit.nonce)
    return asked


@check(
    id="bank.nonce-lock.consume-answer-lost",
    requirements=["PAY-093", "PAY-076"],
    title="A consumption whose answer is lost is booked at most once",
)
async def consume_answer_lost(case: BankCase) -> None:
    """The nonce lock consumes and hangs up. Whatever the bank answers, the identical deposit is repeated, and the
    credit is deposited elsewhere: together they must make no more than its amount, and a deposit that was answered
    with 200 must be in the balance."""
    first, second, credit = case.token(), case.token(), case.mint.credit(_AMOUNT)
    case.lock.peer.answer = case.lock.loses_answers("consume")
    replies = [await case.deposit(first, credit)]
    case.lock.peer.reset()
    replies.append(await case.deposit(first, credit))
    (await case.deposit(second, credit)).expect_refused("a deposit of a consumed credit elsewhere")
    held = await case.balance(first)
    owed = _AMOUNT if any(reply.status == 200 for reply in replies) else 0
    expect(owed <= held <= _AMOUNT, expected=f"a balance of {owed} to {_AMOUNT}", observed=f"a balance of {held}")
    await case.expect_balance(second, 0, "a refused deposit")


@check(
    id="bank.nonce-lock.client-leaves",
    requirements=["PAY-111"],
    title="A client that hangs up leaves no lock behind",
)
async def client_leaves(case: BankCase) -> None:
    """Clients send a deposit and an exchange and reset the connection while the nonce lock has not yet answered the
    bank. When the bank is through with it, the nonce must be free or consumed, not locked: a locked credit cannot be
    used by anyone. The client repeats its request meanwhile."""
    attempt = _Attempt.of(case)
    exchange = Exchange(attempt.exchanged, attempt.new.request.blinded_message)
    for path, content, credit in (
        ("/deposit", messages.encode_deposit_request(Deposit(attempt.token, attempt.deposited)), attempt.deposited),
        ("/exchange", messages.encode_exchange_request(exchange), attempt.exchanged),
    ):
        case.lock.peer.reset()
        await case.post_and_leave_while_locking(path, content)
        reply = await case.post(path, content)
        until = anyio.current_time() + case.step_s
        while isinstance(case.lock.state(credit.nonce), Locked) and anyio.current_time() < until:
            await anyio.sleep(_PAUSE_S)
            reply = await case.post(path, content)
        if isinstance(case.lock.state(credit.nonce), Locked):
            raise Violation(
                f"a nonce that is free or consumed when the client of {path} has gone",
                f"a locked one after {case.step_s:g} s, and status {reply.status} for the repeated request",
                deployed="PAY-D31",
            )


def _told(asked: list[str]) -> str:
    return " and ".join(asked) or "no call"
