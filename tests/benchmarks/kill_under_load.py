"""Kills a bank and its nonce lock (SIGKILL) again and again while clients use them; run by hand.

``python tests/benchmarks/kill_under_load.py [KILLS]`` starts both as programs on databases in a temporary directory.
Clients deposit, withdraw, exchange and empty accounts, repeating each request until it has a definite answer, and try
to spend spent credits. Within a second of serving, one of the two programs is killed and started again, KILLS times in
all (200 unless told). In the end every account must have exactly the balance its client expects, every credit that is
held must be worth its value once, and every spent one nothing. Exit status 1 otherwise.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import PIPE
from time import monotonic
from typing import Any

import anyio
from anyio.abc import Process

from conformance.vectors.currency_keys import DEPLOYED_1024
from openpcc_ref.banking import messages, nonce_state
from openpcc_ref.banking.accounts import AccountToken
from openpcc_ref.banking.messages import Deposit, Exchange, Withdrawal
from openpcc_ref.credits import AnyCredit, Credit, Issuer, Payee, UnblindedCredit, currency
from openpcc_ref.http1 import Http1Error, IncomingRequest, Responder, exchange, listen
from openpcc_ref.services.launch import main as run_service
from openpcc_ref.services.nonce_lock import NonceLockService
from openpcc_ref.sources import system_clock, system_random

KILLS = 200
CLIENTS = 8
LOCK_S = 1
"""Locks end soon here, or clients would spend the run waiting for those that a kill left behind."""

MESSAGE = ((b"content-type", b"application/octet-stream"),)
KEY = DEPLOYED_1024
ISSUER = Issuer(KEY, random=system_random, clock=system_clock, allow_test_key=True)
PAYEE = Payee(KEY.public_key, random=system_random, clock=system_clock, allow_test_key=True)


class Wrong(Exception):
    """Money was lost or made."""


@dataclass
class Program:
    """A service that is killed and started again; its database stays."""

    command: list[str]
    config: dict[str, Any]
    process: Process | None = None
    url: str = ""

    async def start(self) -> None:
        self.process = await anyio.open_process(self.command, stdin=PIPE, stdout=PIPE, stderr=None)
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        await self.process.stdin.send(json.dumps(self.config).encode() + b"\n")
        self.url = json.loads(await self.process.stdout.receive())["url"]

    async def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        await self.process.wait()
        await self.process.aclose()

    async def post(self, path: str, content: bytes) -> tuple[int, bytes]:
        response, answer = await exchange(self.url, b"POST", path.encode(), MESSAGE, content, step_s=10)
        return response.status, answer


@dataclass
class Load:
    """What all clients share: the bank, and what they did."""

    bank: Program
    minted: int = 0
    gained: int = 0
    done: Counter[str] = field(default_factory=Counter)
    spent: list[Credit] = field(default_factory=list)
    stopping: bool = False

    async def insist(self, path: str, content: bytes) -> tuple[int, bytes]:
        """Repeat a request until repeating can change nothing."""
        while True:
            try:
                status, answer = await self.bank.post(path, content)
            except Http1Error:
                self.done["unanswered"] += 1
            else:
                if status < 500 and status != 409:
                    self.done[f"{path} {status}"] += 1
                    return status, answer
                self.done[f"answered {status}"] += 1
            await anyio.sleep(0.05)


@dataclass
class Client:
    """Knows what it must have: a balance, and credits."""

    load: Load
    token: AccountToken = field(default_factory=lambda: AccountToken(system_random(32)))
    balance: int = 0
    held: list[AnyCredit] = field(default_factory=list)

    async def run(self) -> None:
        actions: list[Callable[[], Awaitable[None]]] = [
            self.mint, self.deposit, self.deposit, self.withdraw, self.swap, self.empty, self.cheat,
        ]  # fmt: skip
        while not self.load.stopping:
            await random.choice(actions)()

    async def mint(self) -> None:
        pending = PAYEE.begin(currency.exact(random.choice((16, 100, 1024))))
        self.held.append(pending.finalize(ISSUER.blind_sign(pending.request)))
        self.load.minted += pending.request.value.amount
        await anyio.lowlevel.checkpoint()

    async def deposit(self) -> None:
        credit = next((credit for credit in self.held if isinstance(credit, Credit)), None)
        if credit is None:
            await self.mint()
            return
        content = messages.encode_deposit_request(Deposit(self.token, credit))
        status, answer = await self.load.insist("/deposit", content)
        self.held.remove(credit)
        self.load.spent.append(credit)
        self.balance += credit.value.amount
        _expect(status == 200 and messages.decode_deposit_response(answer) == self.balance, "deposit", status)

    async def withdraw(self) -> None:
        if self.balance < 48:
            await self.deposit()
            return
        pending = [PAYEE.begin(currency.exact(16)) for _ in range(3)]
        withdrawal = Withdrawal(self.token, tuple(credit.request for credit in pending))
        status, answer = await self.load.insist("/withdraw", messages.encode_withdraw_request(withdrawal))
        _expect(status == 200, "withdrawal", status)
        balance, signatures = messages.decode_withdraw_response(answer, 3)
        _expect(balance == self.balance - 48, "balance after a withdrawal", status)
        self.balance = balance
        self.held += [credit.finalize(signature) for credit, signature in zip(pending, signatures, strict=True)]

    async def swap(self) -> None:
        if not self.held:
            await self.mint()
            return
        old = self.held[-1]
        pending = PAYEE.begin(old.value)
        content = messages.encode_exchange_request(Exchange(old, pending.request.blinded_message))
        status, answer = await self.load.insist("/exchange", content)
        _expect(status == 200, "exchange", status)
        self.held.remove(old)
        self.held.append(pending.finalize(messages.decode_exchange_response(answer)))
        self.load.spent.append(Credit(old.value, old.nonce, old.signature))

    async def empty(self) -> None:
        status, answer = await self.load.insist("/withdraw-full", messages.encode_withdraw_full_request(self.token))
        if self.balance == 0:
            return
        _expect(status == 200, "emptying", status)
        credit: UnblindedCredit = messages.decode_withdraw_full_response(answer)
        self.load.gained += credit.value.amount - self.balance
        self.held.append(credit)
        self.token, self.balance = AccountToken(system_random(32)), 0

    async def cheat(self) -> None:
        if not self.load.spent:
            return
        content = messages.encode_deposit_request(Deposit(self.token, random.choice(self.load.spent)))
        status, answer = await self.load.insist("/deposit", content)
        own = status == 200 and messages.decode_deposit_response(answer) == self.balance  # its own deposit, repeated
        _expect(status == 410 or own, "second deposit", status)

    async def finish(self) -> int:
        """Deposit everything that is held; return what the account is worth then."""
        while self.held:
            if any(isinstance(credit, Credit) for credit in self.held):
                await self.deposit()
            else:
                await self.swap()
        _, answer = await self.load.insist("/balance", messages.encode_balance_request(self.token))
        _expect(messages.decode_balance_response(answer) == self.balance, "balance", 200)
        return self.balance


def _expect(holds: bool, what: str, status: int) -> None:
    if not holds:
        raise Wrong(f"{what}: status {status}")


def _door(lock: Program) -> Callable[[IncomingRequest, Responder], Awaitable[None]]:
    """One address for a nonce lock that moves with every start."""

    async def handle(request: IncomingRequest, responder: Responder) -> None:
        content = b"".join([chunk.data async for chunk in request.body()])
        try:
            status, answer = await lock.post(request.target.decode(), content)
        except Http1Error:
            status, answer = 503, b""
        await responder.send_head(status, ((b"content-length", str(len(answer)).encode()),))
        await responder.send(answer)
        await responder.finish()

    return handle


async def _kill(programs: list[Program], load: Load, kills: int) -> None:
    for number in range(kills):
        await anyio.sleep(random.uniform(0.05, 0.9))
        program = random.choice(programs)
        await program.kill()
        load.done[f"kills of {program.command[-1]}"] += 1
        await program.start()
        if number % 20 == 19:
            sys.stderr.write(f"{number + 1} kills\n")
    load.stopping = True


async def main(kills: int) -> None:
    began = monotonic()
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        lock = Program([sys.executable, __file__, "nonce_lock"], {"database": str(directory / "nonces.db")})
        door = await stack.enter_async_context(listen(_door(lock)))
        config = {
            "currency_key": {"p": f"{KEY.p:x}", "q": f"{KEY.q:x}"},
            "allow_test_key": True,
            "nonce_lock_url": door.url,
            "database": str(directory / "bank.db"),
        }
        bank = Program([sys.executable, "-m", "openpcc_ref.services.bank"], config)
        load = Load(bank)
        clients = [Client(load) for _ in range(CLIENTS)]
        await lock.start()
        await bank.start()
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(_kill, [bank, bank, lock], load, kills)
                for client in clients:
                    group.start_soon(client.run)
            total = sum([await client.finish() for client in clients])
            for credit in load.spent:
                content = messages.encode_deposit_request(Deposit(AccountToken(system_random(32)), credit))
                status, _ = await load.insist("/deposit", content)
                _expect(status == 410, "deposit of a spent credit", status)
        finally:
            await bank.kill()
            await lock.kill()
    for what, count in sorted(load.done.items()):
        print(f"{count:7} {what}")
    print(f"minted {load.minted}, gained by rounding {load.gained}, held in the end {total}")
    print(f"{len(load.spent)} credits spent, {kills} kills, {monotonic() - began:.0f} s")
    if total != load.minted + load.gained:
        raise Wrong(f"{total - load.minted - load.gained} too much")


if __name__ == "__main__":
    if sys.argv[1:] == ["nonce_lock"]:
        nonce_state.LOCK_S = LOCK_S
        run_service(NonceLockService, [])
    else:
        anyio.run(main, int(sys.argv[1]) if len(sys.argv) > 1 else KILLS)
