"""Worker processes, started ahead and each used once. Requirements: NODE-011."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import anyio
from anyio.abc import Process

END_S = 5.0
"""How long a worker may take to end after its output did, in seconds."""

WORKER = (sys.executable, "-m", "openpcc_ref.services.node_worker")


class WorkerPool:
    """Keeps a few idle workers, so that a request need not wait for one to start; none serves a second request."""

    def __init__(self, command: tuple[str, ...] = WORKER, *, idle: int = 2) -> None:
        self._command = command
        self._idle = idle
        self._send, self._receive = anyio.create_memory_object_stream[Process](math.inf)
        self._wanted = anyio.Semaphore(idle)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep workers ready while the context is open; those left over end with it."""
        async with anyio.create_task_group() as group:
            group.start_soon(self._supply)
            try:
                yield
            finally:
                group.cancel_scope.cancel()
        self._send.close()
        async for process in self._receive:
            await end(process)

    async def _supply(self) -> None:
        while True:
            await self._wanted.acquire()
            self._send.send_nowait(await self._start())

    async def _start(self) -> Process:
        # What a worker says of a failure goes nowhere: it has seen a prompt.
        return await anyio.open_process(list(self._command), stderr=subprocess.DEVNULL)

    @asynccontextmanager
    async def worker(self) -> AsyncIterator[Process]:
        """Hand out a worker that has served nobody; it is gone afterwards, whatever happens."""
        process = await self._receive.receive()
        self._wanted.release()
        try:
            yield process
            with anyio.move_on_after(END_S):
                await process.wait()
        finally:
            with anyio.CancelScope(shield=True):
                await end(process)


async def end(process: Process) -> None:
    """End a process, by force if it has not ended by itself."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            process.kill()
    await process.aclose()
