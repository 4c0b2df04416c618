"""Worker processes, each used once. Requirements: NODE-011."""

from __future__ import annotations

import math
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import anyio
from anyio.abc import Process

from openpcc_ref.http1.sockets import SocketStream
from openpcc_ref.services.worker_zygote import ORDER

END_S = 5.0
"""How long a worker may take to end after its output did, in seconds."""

ZYGOTE = (sys.executable, "-m", "openpcc_ref.services.worker_zygote")


class WorkerProcess:
    """One worker: it reads what is sent, and its output can be received. OSError means that it has ended."""

    def __init__(self, stdin: SocketStream, stdout: SocketStream, leash: SocketStream) -> None:
        self._stdin = stdin
        self._stdout = stdout
        self._leash = leash
        self._status: int | None = None

    async def send(self, data: bytes) -> None:
        """Send to its standard input."""
        await self._stdin.send(data)

    async def send_eof(self) -> None:
        """End its standard input."""
        await self._stdin.send_eof()

    async def output(self) -> AsyncIterator[bytes]:
        """Yield its standard output as it comes."""
        with suppress(anyio.EndOfStream):
            while True:
                yield await self._stdout.receive()

    async def wait(self) -> int | None:
        """Wait for its end and return the exit status; None when nobody knows it."""
        if self._status is None:
            with suppress(anyio.EndOfStream, OSError):
                self._status = (await self._leash.receive(1))[0]
        return self._status

    async def end(self) -> None:
        """End it, by force if it has not ended by itself."""
        with suppress(OSError):
            await self._leash.send_eof()
        with anyio.move_on_after(END_S):
            await self.wait()
        for stream in (self._stdin, self._stdout, self._leash):
            stream.close()


class WorkerPool:
    """Keeps ``idle`` workers ready, so that a request need not wait for one to start; none serves a second request.

    ``command`` is the program that they are forked from. Without idle workers it starts with the first request.
    """

    def __init__(self, command: tuple[str, ...] = ZYGOTE, *, idle: int = 2) -> None:
        self._command = command
        self._idle = idle
        self._send, self._receive = anyio.create_memory_object_stream[WorkerProcess](math.inf)
        self._wanted = anyio.Semaphore(idle)
        self._starting = anyio.Lock()
        self._zygote: Process | None = None
        self._control: socket.socket | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep workers ready while the context is open; those left over end with it."""
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(self._supply)
                try:
                    yield
                finally:
                    group.cancel_scope.cancel()
        finally:
            with anyio.CancelScope(shield=True):
                self._send.close()
                async for process in self._receive:
                    await process.end()
                await self._end_zygote()

    async def _supply(self) -> None:
        while True:
            await self._wanted.acquire()
            self._send.send_nowait(await self._start())

    async def _start(self) -> WorkerProcess:
        ours, theirs = zip(*(socket.socketpair() for _ in range(3)), strict=True)
        try:
            async with self._starting:
                await self._order([end.fileno() for end in theirs])
        except BaseException:
            for end in ours:
                end.close()
            raise
        finally:
            for end in theirs:
                end.close()
        return WorkerProcess(*map(SocketStream, ours))

    async def _order(self, descriptors: list[int]) -> None:
        """Have a worker forked, by a new zygote if there is none."""
        if self._zygote is None or self._zygote.returncode is not None:
            await self._start_zygote()
        while True:
            assert self._control is not None
            try:
                socket.send_fds(self._control, [ORDER], descriptors)
                return
            except BlockingIOError:
                await anyio.wait_writable(self._control)
            except BrokenPipeError:
                await self._start_zygote()

    async def _start_zygote(self) -> None:
        await self._end_zygote()
        self._control, theirs = socket.socketpair()
        self._control.setblocking(False)
        with theirs:
            # What a worker says of a failure goes nowhere: it has seen a prompt.
            self._zygote = await anyio.open_process(
                list(self._command), stdin=theirs.fileno(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )

    async def _end_zygote(self) -> None:
        if self._zygote is None or self._control is None:
            return
        self._control.close()
        with anyio.move_on_after(END_S):
            await self._zygote.wait()
        if self._zygote.returncode is None:
            with suppress(ProcessLookupError):
                self._zygote.kill()
        await self._zygote.aclose()
        self._zygote = None

    @asynccontextmanager
    async def worker(self) -> AsyncIterator[WorkerProcess]:
        """Hand out a worker that has served nobody; it is gone afterwards, whatever happens."""
        process = await self._take()
        try:
            yield process
            with anyio.move_on_after(END_S):
                await process.wait()
        finally:
            with anyio.CancelScope(shield=True):
                await process.end()

    async def _take(self) -> WorkerProcess:
        if not self._idle:
            return await self._start()
        process = await self._receive.receive()
        self._wanted.release()
        return process
