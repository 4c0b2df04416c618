"""The world around a bank: the runner is all clients in front of it and the nonce lock behind it."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeVar
from urllib.parse import urlsplit

import anyio

from conformance.ledger import Books
from conformance.peers.address import listen_address
from conformance.peers.at_once import exchange_beside_others
from conformance.peers.hosted_nonce_lock import HostedNonceLock, operation_of
from conformance.peers.mint import Mint
from conformance.peers.scripted import Received
from conformance.peers.taps import Taps
from conformance.runfile import Limits, TargetSettings
from conformance.targets import RunningTarget, Target
from conformance.transcript import Transcript
from conformance.verdicts import Violation, expect
from openpcc_ref.banking import messages
from openpcc_ref.banking.accounts import AccountToken
from openpcc_ref.banking.messages import Deposit, Exchange, Withdrawal
from openpcc_ref.credits import AnyCredit, BlindSignRequest, Credit, PendingCredit, UnblindedCredit
from openpcc_ref.credits.credit import verify_credit
from openpcc_ref.credits.rsa_keys import TEST_KEY_BITS
from openpcc_ref.errors import Rejected
from openpcc_ref.http1 import Connection, Fields, Responder, connect
from openpcc_ref.services.message_service import MEDIA_TYPE
from openpcc_ref.sources import system_random

PATHS = ("/deposit", "/withdraw", "/withdraw-full", "/exchange", "/balance")
MESSAGE: Fields = ((b"content-type", MEDIA_TYPE),)

_NOTICE_S = 0.1
"""What a bank has to notice that its client is gone, before the nonce lock answers."""

_PAUSE_S = 0.02
"""Between two attempts of a client that insists."""

_Read = TypeVar("_Read")


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer."""

    status: int
    fields: Fields
    content: bytes

    def read(self, decode: Callable[[bytes], _Read], what: str) -> _Read:
        """Return what the content says; a violation unless the status is 200 and the content is its message."""
        expect(self.status == 200, expected=f"status 200 for {what}", observed=f"status {self.status}")
        try:
            return decode(self.content)
        except (Rejected, ValueError) as rejected:
            raise Violation(f"the answer to {what}", f"content that cannot be read: {rejected}") from rejected

    def expect_refused(self, what: str, *statuses: int, deployed: str | None = None) -> None:
        """Require one of these statuses, or any from 400 on; ``deployed`` excuses a 500 in their place."""
        wanted = f"status {' or '.join(map(str, statuses))}" if statuses else "a status from 400 on"
        expect(
            self.status in statuses if statuses else self.status >= 400,
            expected=f"{wanted} for {what}",
            observed=f"status {self.status}",
            deployed=deployed if self.status == 500 else None,
        )

    def expect_client_error(self, what: str, *, deployed: str | None = None) -> None:
        """Require a status that says that repeating is useless; ``deployed`` excuses a 500 in its place."""
        expect(
            400 <= self.status <= 499,
            expected=f"a status between 400 and 499 for {what}",
            observed=f"status {self.status}",
            deployed=deployed if self.status == 500 else None,
        )


@dataclass(slots=True, kw_only=True)
class BankCase:
    """What a check of the bank has at hand."""

    url: str
    mint: Mint
    lock: HostedNonceLock
    step_s: float
    taps: Taps
    random: random.Random
    books: Books = field(default_factory=Books)

    # -- what clients have ---------------------------------------------------------------------------------------

    def token(self) -> AccountToken:
        """Return a token of an account that nobody has used."""
        return AccountToken(system_random(32))

    def pendings(self, *amounts: int) -> list[PendingCredit]:
        """Return credits that wait for their blind signatures."""
        return [self.mint.pending(amount) for amount in amounts]

    async def funded(self, *amounts: int) -> AccountToken:
        """Return the token of an account into which credits of these amounts were paid."""
        token = self.token()
        for amount in amounts:
            await self.paid_in(token, self.mint.credit(amount))
        return token

    async def emptied(self) -> AccountToken:
        """Return the token of an account that had a balance and has none."""
        token = await self.funded(16)
        (pending,) = self.pendings(16)
        reply = await self.withdraw(token, [pending.request])
        reply.read(lambda content: messages.decode_withdraw_response(content, 1), "a withdrawal of the whole balance")
        return token

    # -- operations ----------------------------------------------------------------------------------------------

    async def deposit(self, token: AccountToken, credit: Credit) -> Reply:
        """Ask for a deposit."""
        return await self.post("/deposit", messages.encode_deposit_request(Deposit(token, credit)))

    async def withdraw(self, token: AccountToken, requests: Sequence[BlindSignRequest]) -> Reply:
        """Ask for a batch."""
        return await self.post("/withdraw", messages.encode_withdraw_request(Withdrawal(token, tuple(requests))))

    async def withdraw_full(self, token: AccountToken) -> Reply:
        """Ask for everything."""
        return await self.post("/withdraw-full", messages.encode_withdraw_full_request(token))

    async def exchange(self, credit: AnyCredit, pending: PendingCredit) -> Reply:
        """Ask for a new credit in place of an old one."""
        request = Exchange(credit, pending.request.blinded_message)
        return await self.post("/exchange", messages.encode_exchange_request(request))

    async def paid_in(self, token: AccountToken, credit: Credit) -> int:
        """Deposit and return the new balance; a violation if it is refused."""
        reply = await self.deposit(token, credit)
        return reply.read(messages.decode_deposit_response, "a deposit")

    async def balance(self, token: AccountToken) -> int:
        """Return a balance; a violation if it is refused."""
        reply = await self.post("/balance", messages.encode_balance_request(token))
        return reply.read(messages.decode_balance_response, "a balance")

    async def signed(self, token: AccountToken, pendings: Sequence[PendingCredit]) -> tuple[int, list[Credit]]:
        """Withdraw a batch and return balance and credits; a violation if a signature is wrong."""
        reply = await self.withdraw(token, [pending.request for pending in pendings])
        balance, signatures = reply.read(
            lambda content: messages.decode_withdraw_response(content, len(pendings)), "a withdrawal"
        )
        return balance, [finalized(pending, one) for pending, one in zip(pendings, signatures, strict=True)]

    async def emptying(self, token: AccountToken) -> UnblindedCredit:
        """Withdraw everything and return the credit; a violation if it is refused or does not verify."""
        reply = await self.withdraw_full(token)
        credit = reply.read(messages.decode_withdraw_full_response, "a full withdrawal")
        try:
            verify_credit(self.mint.key.public_key, credit)
        except Rejected as rejected:
            raise Violation("a credit that verifies", f"one that does not: {rejected}") from rejected
        return credit

    async def insisting(self, call: Callable[[], Awaitable[Reply]]) -> Reply:
        """Repeat a call while it is answered with a status from 500 on, as clients do, as long as a step may last."""
        reply = await call()
        until = anyio.current_time() + self.step_s
        while reply.status >= 500 and anyio.current_time() < until:
            await anyio.sleep(_PAUSE_S)
            reply = await call()
        return reply

    async def exchanged(self, credit: AnyCredit) -> Credit:
        """Exchange a credit and return the new one; a violation if it is refused or the signature is wrong."""
        pending = self.mint.pending(credit.value)
        reply = await self.exchange(credit, pending)
        return finalized(pending, reply.read(messages.decode_exchange_response, "an exchange"))

    # -- HTTP ----------------------------------------------------------------------------------------------------

    def target(self, path: str) -> bytes:
        """Return the request target of a path below the bank's URL."""
        return (urlsplit(self.url).path.rstrip("/") + path).encode()

    async def post(self, path: str, content: bytes, *, fields: Fields = MESSAGE, method: bytes = b"POST") -> Reply:
        """Send a request over a connection of its own and return the whole answer."""
        status, answer = None, b""
        try:
            response, answer = await exchange_beside_others(
                self.url, method, self.target(path), fields, content, tap=self.taps.of("client"), step_s=self.step_s
            )
            status = response.status
        finally:
            self.books.note(path, content, status, answer)
        return Reply(status, response.fields, answer)

    async def post_and_leave(self, path: str, content: bytes) -> None:
        """Send a whole request and close the connection without waiting for the answer."""
        async with self._sent(path, content):
            pass

    async def post_and_leave_while_locking(self, path: str, content: bytes) -> None:
        """Send a whole request and reset the connection while the nonce lock has not yet answered the bank."""
        gone = anyio.Event()

        async def answer(received: Received, responder: Responder) -> None:
            await received.end()
            if operation_of(received) == "lock":
                await gone.wait()
            await self.lock.serve(received, responder)

        self.lock.peer.answer = answer
        async with self._sent(path, content) as connection:
            await self.lock.peer.arrival()
            await connection.abort()
        await anyio.sleep(_NOTICE_S)
        gone.set()

    @asynccontextmanager
    async def _sent(self, path: str, content: bytes) -> AsyncIterator[Connection]:
        self.books.note(path, content, None, b"")
        async with connect(self.url, tap=self.taps.of("client"), step_s=self.step_s) as connection:
            length = (b"content-length", str(len(content)).encode())
            await connection.send_head(b"POST", self.target(path), (*MESSAGE, length))
            await connection.send(content)
            await connection.finish()
            yield connection

    async def expect_balance(self, token: AccountToken, amount: int, after: str) -> None:
        """Require a balance."""
        balance = await self.balance(token)
        expect(balance == amount, expected=f"a balance of {amount} after {after}", observed=f"a balance of {balance}")

    async def close_books(self) -> None:
        """Require that everything that came in went out or is held. Requirements: PAY-140."""
        balances = {token: await self.balance(AccountToken(token)) for token in self.books.tokens}
        self.books.close(balances, self.lock.was_consumed)


def finalized(pending: PendingCredit, blind_signature: bytes) -> Credit:
    """Return the credit of a blind signature; a violation if that is not one of what was asked for."""
    try:
        return pending.finalize(blind_signature)
    except Rejected as rejected:
        raise Violation("the blind signature that was asked for", f"another: {rejected}") from rejected


@dataclass(slots=True, kw_only=True)
class BankWorld:
    """The parties around one bank (``conformance.engine.World``)."""

    subject: RunningTarget
    lock: HostedNonceLock
    mint: Mint
    seed: str
    step_s: float
    taps: Taps
    capabilities: frozenset[str] = frozenset()

    @asynccontextmanager
    async def case(self, transcript: Transcript) -> AsyncIterator[BankCase]:
        """Open the world for one case; at its end the books have to balance."""
        self._reset(transcript)
        case = self._case(transcript.case_id)
        try:
            yield case
            self.lock.peer.reset()
            await case.close_books()
        finally:
            self.lock.peer.raise_failure()

    async def honest_exchange(self) -> None:
        """Deposit a credit and ask for the balance."""
        self._reset(None)
        case = self._case("control")
        await case.expect_balance(await case.funded(5), 5, "a deposit of 5")

    def _reset(self, transcript: Transcript | None) -> None:
        self.taps.reset(transcript)
        self.lock.reset()

    def _case(self, name: str) -> BankCase:
        return BankCase(
            url=self.subject.url,
            mint=self.mint,
            lock=self.lock,
            step_s=self.step_s,
            taps=self.taps,
            random=random.Random(f"{self.seed}/{name}"),
        )


@asynccontextmanager
async def open_bank_world(
    target: Target, settings: TargetSettings, *, seed: str, limits: Limits
) -> AsyncIterator[BankWorld]:
    """Start the nonce lock, then the bank with its URL and the currency key."""
    step_s = limits.step_s * limits.scale
    lock = HostedNonceLock(step_s=step_s)
    taps = Taps()
    host, port = listen_address(settings, "nonce-lock")
    key = settings.currency_key
    async with (
        lock.peer.serve(host=host, port=port, tap=taps.of("nonce-lock")),
        target.start(
            {
                "currency_key": {"p": f"{key.p:x}", "q": f"{key.q:x}"},
                "nonce_lock_url": lock.peer.url,
                "database": None,
                "allow_test_key": key.public_key.bits == TEST_KEY_BITS,
            }
        ) as subject,
    ):
        yield BankWorld(subject=subject, lock=lock, mint=Mint(key), seed=seed, step_s=step_s, taps=taps)
