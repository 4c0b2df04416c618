"""A client that sends arbitrary bytes and reads what comes back as HTTP/1.1 responses."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

import anyio
import h11
from anyio.abc import ByteStream

from openpcc_ref.http1 import Failure, Fields, Http1Error, Tap

_GONE = (OSError, anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream)


@dataclass(frozen=True, slots=True)
class RawAnswer:
    """A complete response."""

    status: int
    fields: Fields
    content: bytes


class RawClient:
    """One connection that keeps no rules."""

    def __init__(self, stream: ByteStream, number: int, *, tap: Tap, step_s: float) -> None:
        self._stream = stream
        self._number = number
        self._tap = tap
        self._step_s = step_s
        self._unread = b""

    async def send(self, data: bytes) -> None:
        """Send bytes; nothing happens if the peer is gone, for then it has said so."""
        self._tap(self._number, "out", anyio.current_time(), data)
        try:
            with anyio.fail_after(self._step_s):
                await self._stream.send(data)
        except TimeoutError as error:
            raise Http1Error(Failure.TIMEOUT, where="raw request", expected="a peer that reads") from error
        except _GONE:
            return

    async def close_write(self) -> None:
        """Send no more."""
        with suppress(*_GONE, NotImplementedError):  # TLS cannot
            await self._stream.send_eof()

    async def answer(self) -> RawAnswer | None:
        """Return the next final response, or None when the connection ends or says nothing within the step."""
        machine = _asked()
        if self._unread:  # nothing would mean the end
            machine.receive_data(self._unread)
            self._unread = b""
        head: h11.Response | None = None
        content = b""
        while True:
            try:
                event = machine.next_event()
            except h11.RemoteProtocolError:
                return None
            if event is h11.NEED_DATA:
                data = await self._receive()
                if data is None:
                    return None
                machine.receive_data(data)
            elif isinstance(event, h11.Response):
                head = event
            elif isinstance(event, h11.Data):
                content += event.data
            elif isinstance(event, h11.EndOfMessage) and head is not None:
                self._unread = machine.trailing_data[0]
                fields = tuple((bytes(name), bytes(value)) for name, value in head.headers)
                return RawAnswer(head.status_code, fields, content)
            elif isinstance(event, h11.ConnectionClosed):
                return None

    async def status(self) -> int | None:
        """Return the status of the next response as soon as its first line is here; None when there is none."""
        while b"\n" not in self._unread:
            data = await self._receive()
            if not data:
                return None
            self._unread += data
        found = re.match(rb"HTTP/1\.[01] (\d{3})", self._unread)
        return int(found[1]) if found else None

    async def _receive(self) -> bytes | None:
        try:
            with anyio.fail_after(self._step_s):
                data = await self._stream.receive()
        except TimeoutError:
            return None
        except _GONE:
            data = b""
        self._tap(self._number, "in", anyio.current_time(), data)
        return data


async def dial(url: str) -> ByteStream:
    """Connect to the origin of an http or https URL. Raises :class:`Http1Error`."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    try:
        if parts.scheme == "https":
            return await anyio.connect_tcp(host, parts.port or 443, tls=True, tls_standard_compatible=False)
        return await anyio.connect_tcp(host, parts.port or 80)
    except OSError as error:
        raise Http1Error(Failure.UNREACHABLE, where=url, expected="a server that listens") from error


def _asked() -> h11.Connection:
    """Return a state machine that has sent a request and waits for the response."""
    machine = h11.Connection(h11.CLIENT)
    machine.send(h11.Request(method=b"POST", target=b"/", headers=[(b"host", b"relay"), (b"content-length", b"0")]))
    machine.send(h11.EndOfMessage())
    return machine
