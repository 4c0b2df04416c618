"""Workers come from a zygote, serve once, share nothing, and end when they are told to."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from openpcc_ref.services.worker_pool import WorkerPool, WorkerProcess
from openpcc_ref.services.worker_zygote import KILLED

pytestmark = pytest.mark.anyio

PROGRAM = (sys.executable, str(Path(__file__).with_name("obedient_worker.py")))
IDLE = pytest.mark.parametrize("idle", [0, 1, 3])


@asynccontextmanager
async def pool(idle: int = 1) -> AsyncIterator[WorkerPool]:
    workers = WorkerPool(PROGRAM, idle=idle)
    with anyio.fail_after(30):
        async with workers.running():
            yield workers


async def told(process: WorkerProcess, order: str) -> tuple[int, int, int]:
    """Give an order; return process id, that of the zygote, and how many orders the worker remembers."""
    await process.send(order.encode() + b"\n")
    async for line in process.output():
        pid, parent, remembered = map(int, line.split())
        return pid, parent, remembered
    raise AssertionError("the worker said nothing")


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


@IDLE
async def test_each_request_has_a_process_that_remembers_nothing(idle: int) -> None:
    seen = []
    async with pool(idle) as workers:
        for _ in range(4):
            async with workers.worker() as process:
                seen.append(await told(process, "exit 0"))
    assert len({pid for pid, _, _ in seen}) == 4
    assert len({parent for _, parent, _ in seen}) == 1
    assert [remembered for _, _, remembered in seen] == [1] * 4


@IDLE
async def test_workers_live_side_by_side_and_end_apart(idle: int) -> None:
    """If one held the leash of another, the other's end would not be noticed."""
    async with pool(idle) as workers, workers.worker() as first:
        one, *_ = await told(first, "hang")
        async with workers.worker() as second:
            two, *_ = await told(second, "exit 7")
            assert await second.wait() == 7
        assert is_gone(two)
        assert not is_gone(one)
        await first.end()
        assert await first.wait() == KILLED
        assert is_gone(one)


@pytest.mark.parametrize(("order", "status"), [("exit 0", 0), ("exit 10", 10), ("raise it", 1), ("die", KILLED)])
async def test_exit_statuses(order: str, status: int) -> None:
    async with pool() as workers, workers.worker() as process:
        await told(process, order)
        assert await process.wait() == status
        assert [data async for data in process.output()] == []


async def test_the_end_of_input_reaches_a_worker() -> None:
    async with pool() as workers, workers.worker() as process:
        await told(process, "read")
        await process.send(bytes(2**20))
        await process.send_eof()
        assert await process.wait() == 0


async def test_a_worker_that_has_ended_takes_no_more() -> None:
    async with pool() as workers, workers.worker() as process:
        await told(process, "exit 0")
        await process.wait()
        with pytest.raises(BrokenPipeError):
            await process.send(b"more")


async def test_a_caller_that_fails_ends_its_worker() -> None:
    pids = []

    async def fail(workers: WorkerPool) -> None:
        async with workers.worker() as process:
            pids.append((await told(process, "read"))[0])
            raise LookupError

    async with pool() as workers:
        with pytest.raises(LookupError):
            await fail(workers)
        assert is_gone(pids[0])


async def test_nothing_is_left_when_the_pool_closes() -> None:
    async with pool(2) as workers:
        async with workers.worker() as process:
            _, zygote, _ = await told(process, "exit 0")
        assert not is_gone(zygote)
    assert is_gone(zygote)


async def test_a_zygote_that_dies_is_replaced() -> None:
    async with pool(0) as workers:
        async with workers.worker() as process:
            _, first, _ = await told(process, "exit 0")
        os.kill(first, signal.SIGKILL)
        while True:  # until its end has come through
            async with workers.worker() as process:
                await process.send(b"exit 0\n")
                if [data async for data in process.output()]:
                    break


async def test_an_interrupt_of_the_terminal_is_for_the_front_end() -> None:
    async with pool() as workers:
        async with workers.worker() as process:
            _, zygote, _ = await told(process, "exit 0")
        os.kill(zygote, signal.SIGINT)
        for _ in range(3):
            async with workers.worker() as process:
                assert (await told(process, "exit 0"))[1] == zygote


async def test_a_program_that_forks_nothing() -> None:
    workers = WorkerPool((sys.executable, "-c", "pass"), idle=0)
    with anyio.fail_after(30):
        async with workers.running(), workers.worker() as process:
            assert [data async for data in process.output()] == []
            assert await process.wait() is None
