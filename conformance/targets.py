"""What is under test: a running service at a URL, or a program the runner starts.

A launched program reads one JSON line (its neighbours' URLs, its keys) on standard input, prints one JSON line
``{"url": …}`` when it serves, and ends when its input closes. The embedded reference is launched the same way.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import IO, Any, Protocol

import anyio
from anyio.abc import ByteReceiveStream, Process

from conformance.roles import Role

_LAST_WORDS = 2_000
"""How many bytes of a dead program's standard error are shown."""


_ENDING_S = 0.5
"""How long a program that went silent has to be seen ending, in seconds."""


_LISTENED = 2**20
"""How many bytes at the end of standard error are looked at for what must not be there."""

_LISTENING_S = 0.02
"""How long standard output is listened to: what comes is there already."""


class TargetFailed(Exception):
    """The subject cannot be started or reached; nothing can be graded."""


class RunningTarget(Protocol):
    """A subject that serves."""

    @property
    def url(self) -> str:
        """Where it serves at present."""

    async def restart(self) -> bool:
        """Start it anew if that is possible; say whether it was."""

    async def epitaph(self) -> str:
        """Say how it ended, or nothing while it runs or where that cannot be known."""


class Target(Protocol):
    """A subject that can be brought to serve."""

    @property
    def where(self) -> str:
        """The URL or the command, for reports."""

    def start(self, config: Mapping[str, Any]) -> Any:
        """Return an async context manager that yields a :class:`RunningTarget` with that configuration."""


class NotStarted:
    """Stands for the subject until it is started: its neighbours come first."""

    url = ""

    async def restart(self) -> bool:
        return False

    async def epitaph(self) -> str:
        return ""


@dataclass(frozen=True, slots=True)
class UrlTarget:
    """A service that somebody else runs and has configured."""

    url: str

    @property
    def where(self) -> str:
        return self.url

    @asynccontextmanager
    async def start(self, config: Mapping[str, Any]) -> AsyncIterator[UrlTarget]:
        yield self

    async def restart(self) -> bool:
        return False

    async def epitaph(self) -> str:
        return ""


@dataclass(frozen=True, slots=True)
class LaunchTarget:
    """A program that the runner starts, in a process group of its own."""

    command: Sequence[str]
    name: str = ""
    startup_s: float = 20.0

    @property
    def where(self) -> str:
        return self.name or " ".join(self.command)

    @asynccontextmanager
    async def start(self, config: Mapping[str, Any]) -> AsyncIterator[LaunchedTarget]:
        with tempfile.TemporaryFile() as words:
            launched = LaunchedTarget(self, dict(config), words)
            try:
                await launched.launch()
                yield launched
            finally:
                with anyio.CancelScope(shield=True):
                    await launched.end()


def embedded(role: Role) -> LaunchTarget:
    """Return the reference service of a role, as a program of its own."""
    command = [sys.executable, "-m", f"openpcc_ref.services.{role.value.replace('-', '_')}"]
    return LaunchTarget(command, name=f"reference {role}")


class LaunchedTarget:
    """A started program."""

    def __init__(self, target: LaunchTarget, config: Mapping[str, Any], words: IO[bytes]) -> None:
        self._target = target
        self._config = config
        self._words = words
        self._process: Process | None = None
        self._url = ""

    @property
    def url(self) -> str:
        return self._url

    async def launch(self) -> None:
        """Start the program and wait for its URL. Raises :class:`TargetFailed` when that does not come."""
        try:
            self._process = await anyio.open_process(
                list(self._target.command), stderr=self._words, start_new_session=True
            )
        except OSError as error:
            raise TargetFailed(f"cannot start {self._target.where}: {error.strerror}") from error
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            with anyio.fail_after(self._target.startup_s):
                await self._process.stdin.send(json.dumps(self._config).encode() + b"\n")
                answer = await _first_line(self._process.stdout)
        except (TimeoutError, anyio.BrokenResourceError, anyio.EndOfStream) as error:
            problem = "said nothing" if isinstance(error, TimeoutError) else "ended"
            raise TargetFailed(
                f"{self._target.where} {problem} before it printed its URL{await self.epitaph()}{self._last_words()}"
            ) from error
        try:
            self._url = str(json.loads(answer)["url"])
        except (ValueError, KeyError, TypeError) as error:
            raise TargetFailed(
                f'{self._target.where}: expected one line {{"url": …}} on standard output, got {answer[:200]!r}'
            ) from error

    async def restart(self) -> bool:
        await self.end()
        await self.launch()
        return True

    async def end(self) -> None:
        """Close the program's input and, if it does not leave, kill its process group."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.stdin is not None:
            await process.stdin.aclose()
        with anyio.move_on_after(2):
            await process.wait()
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
        await process.aclose()

    async def epitaph(self) -> str:
        if self._process is None:
            return ""
        with anyio.move_on_after(_ENDING_S):  # a connection is refused before the end of the process is told
            await self._process.wait()
        code = self._process.returncode
        if code is None:
            return ""
        return f" (killed by signal {-code})" if code < 0 else f" (exit status {code})"

    async def said(self) -> bytes:
        """Return the end of standard error, and what came on standard output since this was last asked."""
        words = self._words.fileno()  # a seek would move the program's own place in the file
        parts = [os.pread(words, _LISTENED, max(0, os.fstat(words).st_size - _LISTENED))]
        if self._process is not None and self._process.stdout is not None:
            with anyio.move_on_after(_LISTENING_S), suppress(anyio.EndOfStream, anyio.BrokenResourceError):
                while True:
                    parts.append(await self._process.stdout.receive())
        return b"\n".join(parts)

    def _last_words(self) -> str:
        size = self._words.seek(0, os.SEEK_END)
        self._words.seek(max(0, size - _LAST_WORDS))
        words = self._words.read().decode(errors="replace").strip()
        return f"; its last words: {words}" if words else ""


async def _first_line(stream: ByteReceiveStream) -> bytes:
    line = b""
    while b"\n" not in line:
        line += await stream.receive()
    return line.partition(b"\n")[0]
