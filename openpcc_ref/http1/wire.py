"""One connection: a byte stream with a deadline on every wait, a tap, and the state machine of h11."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import anyio
import h11
from anyio.abc import ByteStream

from openpcc_ref.binary_http import Fields
from openpcc_ref.http1.errors import Failure, Http1Error
from openpcc_ref.http1.messages import MAX_HEAD, Chunk, Tap
from openpcc_ref.http1.sockets import SocketStream

_numbers = count(1)

_GONE = (OSError, anyio.ClosedResourceError, anyio.BrokenResourceError)


class Wire:
    """Moves events of one connection. ``step_s`` bounds every single wait for the peer, in seconds."""

    def __init__(
        self, socket: SocketStream, role: Any, *, tap: Tap | None, step_s: float, stream: ByteStream | None = None
    ) -> None:
        self.id = next(_numbers)
        self.step_s = step_s
        self.machine = h11.Connection(our_role=role, max_incomplete_event_size=MAX_HEAD)
        self.spoiled = False
        """Whether bytes went past the state machine or the connection was aborted: it is not to be used again."""
        self._socket = socket
        self._stream: ByteStream = stream or socket
        self._tap = tap
        self._ended = False
        self._between_chunks = True

    async def next_event(self, where: str, expected: str) -> Any:
        """Return the next event from the peer; ``where`` and ``expected`` describe the wait in errors."""
        while True:
            try:
                event = self.machine.next_event()
            except h11.RemoteProtocolError as error:
                failure = Failure.CLOSED if self._ended else Failure.MALFORMED
                raise Http1Error(
                    failure, where=where, expected=expected, detail=str(error), status=error.error_status_hint
                ) from error
            if event is not h11.NEED_DATA:
                self._bound(event, where)
                return event
            self.machine.receive_data(await self.receive(where, expected))

    def _bound(self, event: Any, where: str) -> None:
        """Hold complete heads to the limit too: h11 bounds only what is still incomplete."""
        size = sum(len(name) + len(value) + 4 for name, value in getattr(event, "headers", ()))
        if size > MAX_HEAD:
            expected = f"at most {MAX_HEAD} bytes of field lines"
            raise Http1Error(Failure.MALFORMED, where=where, expected=expected, detail=f"{size} bytes", status=431)

    async def receive(self, where: str, expected: str) -> bytes:
        """Return some bytes, none at the end of the stream."""
        with self._step(where, expected):
            try:
                data = await self._stream.receive()
            except anyio.EndOfStream:
                self._ended = True
                return b""
        if self._tap is not None:
            self._tap(self.id, "in", anyio.current_time(), data)
        return data

    async def send_event(self, event: Any, where: str) -> None:
        """Send one event. Raises ValueError for what HTTP/1.1 does not allow here."""
        try:
            data = self.machine.send(event)
        except h11.LocalProtocolError as error:
            raise ValueError(f"{where}: {error}") from error
        if data:
            await self.send(data, where)

    async def send(self, data: bytes, where: str) -> None:
        """Send bytes as they are."""
        with self._step(where, "a peer that reads"):
            # Noted first: the answer may be read by another task before this one goes on.
            if self._tap is not None:
                self._tap(self.id, "out", anyio.current_time(), data)
            await self._stream.send(data)

    async def body(self, where: str, *, chunked: bool) -> AsyncIterator[Chunk | h11.EndOfMessage]:
        """Yield the content that comes next, then the event that ends it."""
        while True:
            event = await self.next_event(where, "the rest of the content")
            if isinstance(event, h11.Data):
                # h11 forgets that a chunk starts when its size arrives before its data.
                starts, self._between_chunks = chunked and self._between_chunks, event.chunk_end
                yield Chunk(bytes(event.data), starts, event.chunk_end)
                continue
            self._between_chunks = True
            if not isinstance(event, h11.EndOfMessage):
                raise Http1Error(Failure.CLOSED, where=where, expected="the rest of the content")
            yield event
            return

    async def close_write(self) -> None:
        """Send no more on this connection; receiving goes on."""
        self.spoiled = True
        with self._step("half-close", "an open connection"):
            await self._stream.send_eof()

    async def linger(self, limit: int) -> None:
        """Read away at most ``limit`` bytes, so that closing does not cost the peer our last words."""
        left = limit
        try:
            await self._stream.send_eof()
            while left > 0 and (data := await self.receive("linger", "the end of the connection")):
                left -= len(data)
        except (*_GONE, Http1Error, NotImplementedError):
            return

    def abort(self) -> None:
        """Reset the connection."""
        self.spoiled = True
        self._socket.reset()

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    @contextmanager
    def _step(self, where: str, expected: str) -> Iterator[None]:
        try:
            with anyio.fail_after(self.step_s):
                yield
        except TimeoutError as error:
            detail = f"waited {self.step_s:g} s"
            raise Http1Error(Failure.TIMEOUT, where=where, expected=expected, detail=detail) from error
        except (*_GONE, ssl.SSLError) as error:
            raise Http1Error(Failure.RESET, where=where, expected=expected, detail=_reason(error)) from error


def make(kind: Any, **values: Any) -> Any:
    """Return an event to send. Raises ValueError for values that HTTP/1.1 does not allow."""
    try:
        return kind(**values)
    except h11.LocalProtocolError as error:
        raise ValueError(f"{kind.__name__}: {error}") from error


def is_chunked(fields: Fields) -> bool:
    """Say whether the content of a message comes in the chunked transfer coding, the only one h11 admits."""
    return any(name == b"transfer-encoding" for name, _ in fields)


def lines(headers: Any) -> Fields:
    """Return the field lines of an event, names in lower case."""
    return tuple((bytes(name), bytes(value)) for name, value in headers)


def _reason(error: BaseException) -> str:
    return error.strerror or "" if isinstance(error, OSError) else ""
