"""``demo``: one prompt through the reference stack, and what each party saw of it."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import anyio
import click

from conformance.cli.options import fail
from conformance.results import Exit
from conformance.sightings import Secret, Sighting, Sightings, by_party
from conformance.vectors.currency_keys import DEPLOYED_1024
from openpcc_ref.client.errors import NoAnswer, Refused
from openpcc_ref.client.funds import Funds
from openpcc_ref.client.pipeline import Answer, Client
from openpcc_ref.client.wallet.operations import DepositCredit
from openpcc_ref.credits.credit import Credit, UnblindedCredit
from openpcc_ref.errors import Rejected
from openpcc_ref.services.engine import Engine
from openpcc_ref.services.stack import Stack, StackSettings, open_stack
from openpcc_ref.services.stack_client import open_client
from openpcc_ref.sources import system_random

SETTINGS = StackSettings(DEPLOYED_1024)
CREDIT = 200
MAX_TOKENS = 24
MAX_DELAY_S = 0.05
"""The client's random waits are cut short: a demonstration has one client, and nobody to hide it among."""
DEADLINE_S = 60.0
DEFAULT_PROMPT = "Which party learns what I ask?"

Out = Callable[[str], object]
"""Takes a piece of text for the terminal as it comes."""


class MarkedEngine(Engine):
    """An engine whose answers begin with a word that occurs nowhere else."""

    def __init__(self, marker: str) -> None:
        self.marker = marker

    def tokens(self, asked: dict[str, Any]) -> Iterator[str]:
        yield f"{self.marker} "
        yield from list(super().tokens(asked))[1:]


@dataclass(frozen=True, slots=True)
class Spent:
    """What the client paid, and where the refund went."""

    answer: Answer
    credit: Credit
    refund: UnblindedCredit
    deposit: DepositCredit


@click.command()
@click.argument("prompt", default=DEFAULT_PROMPT)
def demo(prompt: str) -> None:
    """Send PROMPT through the reference stack, and show what each party saw of it.

    Ends with 1 when a party saw what it must not see.
    """
    try:
        sightings, watched = anyio.run(converse, SETTINGS, prompt, lambda text: click.echo(text, nl=False))
    except (NoAnswer, Refused, Rejected, TimeoutError) as error:
        fail(f"the stack did not answer: {error}", Exit.FAILED)
    for line in report(sightings, watched):
        click.echo(line)
    code = verdict(sightings)
    if code is not Exit.CLEAN:
        raise SystemExit(int(code))


async def converse(
    settings: StackSettings, prompt: str, out: Out, *, engine_class: type[MarkedEngine] = MarkedEngine
) -> tuple[list[Sighting], Sightings]:
    """Send a prompt, stream the answer to ``out``, and return what each party saw.

    Raises what the client raises, and TimeoutError.
    """
    watched, marks = Sightings(), (f"prompt-{system_random(8).hex()}", f"answer-{system_random(8).hex()}")
    settings = replace(settings, watcher=watched, engine=engine_class(marks[1]))
    address = own_address()
    with anyio.fail_after(DEADLINE_S):
        async with (
            open_stack(settings) as stack,
            open_client(stack, credit_size=CREDIT, max_delay_s=MAX_DELAY_S, local_host=address) as (client, funds),
        ):
            spent = await _spend(client, funds, settings.models[0], f"{prompt} {marks[0]}", out)
    return watched.find(secrets_of(stack, spent, marks, address)), watched


async def _spend(client: Client, funds: Funds, model: str, prompt: str, out: Out) -> Spent:
    """Do one request and wait until the refund is in an account."""
    badge, nodes = await client.find_nodes(model)
    out(f"> {prompt}\n")
    body = {
        "model": model,
        "messages": [{"role": "user", "content": prompt}],
        "stream": True,
        "max_tokens": MAX_TOKENS,
    }
    async with client.ask(b"/v1/chat/completions", body, badge, nodes, amount=CREDIT) as answer:
        async for token in tokens(answer.content()):
            out(token)
    out("\n")
    refund = answer.refund
    if answer.status != 200 or refund is None:
        raise NoAnswer(f"the node answered with status {answer.status} and {'no' if refund is None else 'a'} refund")

    def deposits() -> list[DepositCredit]:
        return [done for done in funds.done if isinstance(done, DepositCredit) and done.credit.value == refund.value]

    await funds.until(lambda: bool(deposits()))
    out(f"paid {CREDIT}, of which {refund.value.amount} came back and are in a new account\n\n")
    return Spent(answer, answer.paid, refund, deposits()[0])


async def tokens(content: AsyncIterator[bytes]) -> AsyncIterator[str]:
    """Yield the tokens of a streamed chat completion as they arrive."""
    pending = b""
    async for piece in content:
        *whole, pending = (pending + piece).split(b"\n")
        for line in whole:
            if line.startswith(b"data: {"):
                for choice in json.loads(line.removeprefix(b"data: "))["choices"]:
                    yield choice["delta"].get("content", "")


def own_address() -> str | None:
    """Return an address of loopback that no server has; None on systems that have only one."""
    address = f"127.{'.'.join(str(10 + octet % 200) for octet in system_random(3))}"
    with socket.socket() as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return None
    return address


def secrets_of(stack: Stack, spent: Spent, marks: tuple[str, str], address: str | None) -> list[Secret]:
    """Return the values to search for, each with the parties that need it. Requirements: PRIV-001, PRIV-002."""
    prompt, answer = marks
    compute, paid = frozenset({"node", "engine"}), frozenset({"gateway", "router", "nonce-lock"})
    where = [Secret("address", address.encode(), frozenset({"relay", "authbank"}), is_address=True)] if address else []
    return [
        *where,
        Secret("API key", stack.api_key.encode(), frozenset({"authbank"})),
        Secret("prompt", prompt.encode(), compute),
        Secret("answer", answer.encode(), compute),
        Secret("node", spent.answer.node_id.encode(), frozenset({"gateway", "router", "node"})),
        Secret("credit", spent.credit.nonce.random, paid),
        Secret("refund", spent.refund.nonce.random, paid | {"bank"}),
        Secret("account", spent.deposit.token.octets, frozenset({"gateway", "bank"})),
    ]


def report(sightings: Sequence[Sighting], watched: Sightings) -> list[str]:
    """Return the table of who saw what, and a line for everything that is wrong with it."""
    names = [sighting.secret.name for sighting in by_party(sightings)["relay"]]
    shown = [f"{'saw of the':<14}" + "".join(f"{name:<9}" for name in names) + "bytes on connections"]
    for party, row in by_party(sightings).items():
        cells = "".join(f"{_cell(sighting):<9}" for sighting in row)
        shown.append(f"{party:<14}{cells}{watched.seen_bytes(party)} on {watched.connections(party)}")
    shown.append("")
    if "address" not in names:
        shown.append("address: not searched for, this system's loopback has one address only")
    for sighting in sightings:
        if sighting.forbidden:
            shown.append(f"LEAK  {sighting.party} must not see: {sighting.leak}")
        elif sighting.missing:
            shown.append(f"BLIND {sighting.party} was not seen to get {sighting.secret.name}, which it must have got")
    if verdict(sightings) is Exit.CLEAN:
        shown.append("Each party saw what it needs and nothing else; searched for verbatim, encoded and digested.")
    return shown


def _cell(sighting: Sighting) -> str:
    if sighting.forbidden:
        return "LEAK"
    return "blind" if sighting.missing else "saw" if sighting.leak else "-"


def verdict(sightings: Sequence[Sighting]) -> Exit:
    """Return how the command ends: a leak fails; a search that finds too little proves nothing."""
    if any(sighting.forbidden for sighting in sightings):
        return Exit.FAILED
    return Exit.SUITE_FAULT if any(sighting.missing for sighting in sightings) else Exit.CLEAN
