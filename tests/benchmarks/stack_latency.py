"""Requests per second and added latency of the whole stack. Run by hand: python tests/benchmarks/stack_latency.py

The stack runs in a process of its own; 1, 8 and 32 clients in this one send prompts one after the other, paid in
advance. Added latency is what a prompt takes through the stack more than straight to the engine, in the same setting.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any

import anyio
from anyio.streams.buffered import BufferedByteReceiveStream

from openpcc_ref.badges import Badge
from openpcc_ref.client.funds import Funds
from openpcc_ref.client.pipeline import Client, TrustedNode
from openpcc_ref.credits.rsa_keys import PublicKey
from openpcc_ref.http1 import exchange
from openpcc_ref.oblivious_http import decode_key_configs
from openpcc_ref.services.stack import Stack
from openpcc_ref.services.stack_client import open_client

CREDIT = 200
CLIENTS = (1, 8, 32)
PATH = b"/v1/chat/completions"


def body(model: str) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": "one two three"}], "stream": True}


@asynccontextmanager
async def served(nodes: int) -> AsyncIterator[Stack]:
    """Run the stack in a process of its own."""
    command = [sys.executable, "-m", "conformance", "serve", "--json", "--nodes", str(nodes)]
    async with await anyio.open_process(command, stderr=None) as process:
        assert process.stdout is not None
        line = await BufferedByteReceiveStream(process.stdout).receive_until(b"\n", 65536)
        told = json.loads(line)
        try:
            yield Stack(
                told["urls"],
                decode_key_configs(bytes.fromhex(told["gateway_keys"]))[0],
                PublicKey(int(told["currency_modulus"], 16)),
                bytes.fromhex(told["badge_public_key"]),
                told["api_key"],
                tuple(told["models"]),
                told["max_body"],
                {node["id"]: bytes.fromhex(node["public_key"]) for node in told["nodes"]},
            )
        finally:
            process.terminate()


async def through_stack(
    client: Client, badge: Badge, nodes: tuple[TrustedNode, ...], model: str
) -> tuple[float, float]:
    """Send one prompt; return seconds to the first content and to the end."""
    began, first = time.perf_counter(), 0.0
    async with client.ask(PATH, body(model), badge, nodes, amount=CREDIT) as answer:
        async for _ in answer.content():
            first = first or time.perf_counter() - began
    assert answer.status == 200
    return first, time.perf_counter() - began


async def to_engine(url: str, model: str) -> tuple[float, float]:
    began = time.perf_counter()
    response, _ = await exchange(url, b"POST", PATH, (), json.dumps(body(model)).encode())
    assert response.status == 200
    return time.perf_counter() - began, time.perf_counter() - began


async def measure(send: Callable[[], Awaitable[tuple[float, float]]], clients: int, each: int) -> tuple[float, Any]:
    """Return requests per second and, sorted, the times of all requests."""
    times: list[tuple[float, float]] = []

    async def one_client() -> None:
        for _ in range(each):
            times.append(await send())

    began = time.perf_counter()
    async with anyio.create_task_group() as group:
        for _ in range(clients):
            group.start_soon(one_client)
    return len(times) / (time.perf_counter() - began), times


def is_ready(funds: Funds, credits: int) -> bool:
    return funds.wallet.status.available >= credits * CREDIT


def is_closed(funds: Funds) -> bool:
    return funds.wallet.closed


def milliseconds(times: list[float]) -> str:
    cut = statistics.quantiles(times, n=20)
    return f"{statistics.median(times) * 1000:7.0f} {cut[-1] * 1000:7.0f}"


async def run(nodes: int, total: int) -> None:
    print(
        f"{datetime.now(UTC):%Y-%m-%d} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    )
    print(f"{nodes} nodes; times in ms, median and 95th percentile")
    print("clients  requests  per second  first content      whole answer       engine alone   added (median)")
    async with served(nodes) as stack:
        model = stack.models[0]
        for clients in CLIENTS:
            each = max(2, total // clients)
            async with open_client(stack, credit_size=CREDIT, target=clients * each, max_delay_s=0) as (client, funds):
                badge, trusted = await client.find_nodes(model)
                await funds.until(partial(is_ready, funds, clients * each))
                rate, times = await measure(partial(through_stack, client, badge, trusted, model), clients, each)
                _, direct = await measure(partial(to_engine, stack.urls["engine"], model), clients, each)
                firsts, wholes = ([one[part] for one in times] for part in (0, 1))
                engine = [one[1] for one in direct]
                added = (statistics.median(wholes) - statistics.median(engine)) * 1000
                print(
                    f"{clients:7} {clients * each:9} {rate:11.1f}  {milliseconds(firsts)}    {milliseconds(wholes)}"
                    f"   {milliseconds(engine)}   {added:7.0f}",
                    flush=True,
                )
                funds.wallet.close()
                funds.announce()
                await funds.until(partial(is_closed, funds))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=2)
    parser.add_argument("--requests", type=int, default=64, help="requests per line, about")
    asked = parser.parse_args()
    anyio.run(run, asked.nodes, asked.requests)
