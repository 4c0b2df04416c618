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
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import IO, Any, Protocol

import anyio
from anyio.abc import Process

from conformance.roles import Role

_LAST_WORDS = 2_000
"""How many bytes of a dead program's standard error are shown."""

_ENDING_S = 0.5
"""How long a program that went silent has to be seen ending, in seconds."""

_LISTENED = 2**20
"""How many bytes at the end of what a program said are looked at for what must not be there."""

_ASKING_S = 0.005
"""How often a starting program is asked for its URL, in seconds."""


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
        # Files and not pipes: a program that says much must never wait for somebody to read it.
        with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as words:
            launched = LaunchedTarget(self, dict(config), output, words)
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

    def __init__(self, target: LaunchTarget, config: Mapping[str, Any], output: IO[bytes], words: IO[bytes]) -> None:
        self._target = target
        self._config = config
        self._output = output
        self._words = words
        self._process: Process | None = None
        self._url = ""

    @property
    def url(self) -> str:
        return self._url

    async def launch(self) -> None:
        """Start the program and wait for its URL. Raises :class:`TargetFailed` when that does not come."""
        said_before = os.fstat(self._output.fileno()).st_size
        try:
            self._process = await anyio.open_process(
                list(self._target.command), stdout=self._output, stderr=self._words, start_new_session=True
            )
        except OSError as error:
            raise TargetFailed(f"cannot start {self._target.where}: {error.strerror}") from error
        assert self._process.stdin is not None
        try:
            with anyio.fail_after(self._target.startup_s):
                await self._process.stdin.send(json.dumps(self._config).encode() + b"\n")
                answer = await self._first_line(said_before)
        except (TimeoutError, anyio.BrokenResourceError, anyio.EndOfStream) as error:
            problem = "said nothing" if isinstance(error, TimeoutError) else "ended"
            told = _tail(self._words, _LAST_WORDS).decode(errors="replace").strip()
            raise TargetFailed(
                f"{self._target.where} {problem} before it printed its URL{await self.epitaph()}"
                + (f"; its last words: {told}" if told else "")
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

    def said(self) -> bytes:
        """Return the end of standard error and of standard output."""
        return _tail(self._words, _LISTENED) + b"\n" + _tail(self._output, _LISTENED)

    async def _first_line(self, start: int) -> bytes:
        """Return the first line on standard output from an offset on. Raises ``anyio.EndOfStream`` at its end."""
        assert self._process is not None
        while True:
            ended = self._process.returncode is not None  # asked first: what it said before its end counts
            line, newline, _ = os.pread(self._output.fileno(), _LISTENED, start).partition(b"\n")
            if newline:
                return line
            if ended:
                raise anyio.EndOfStream
            await anyio.sleep(_ASKING_S)


def _tail(file: IO[bytes], size: int) -> bytes:
    """Return the last bytes of a file that a program still writes: a seek would move the program's place in it."""
    return os.pread(file.fileno(), size, max(0, os.fstat(file.fileno()).st_size - size))
