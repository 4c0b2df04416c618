"""An HTTP/1.1 client connection, and one exchange in one call."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import anyio
import h11
from anyio.streams.tls import TLSStream

from openpcc_ref.binary_http import Fields, field_value
from openpcc_ref.http1.errors import Failure, Http1Error
from openpcc_ref.http1.messages import Chunk, Tap
from openpcc_ref.http1.sockets import SocketStream, connect_tcp
from openpcc_ref.http1.wire import Wire, is_chunked, lines, make

STEP_S = 5.0
"""How long a client waits for its peer at each step, in seconds."""

_METHODS_WITH_CONTENT = (b"POST", b"PUT", b"PATCH")


class IncomingResponse:
    """A response whose final head has arrived; ``informational`` holds the (status, fields) that came before it."""

    def __init__(self, wire: Wire, event: Any, informational: tuple[tuple[int, Fields], ...]) -> None:
        self.status: int = event.status_code
        self.fields = lines(event.headers)
        self.informational = informational
        self.trailers: Fields = ()
        self.complete = False
        """Whether the response has been read to the end that its framing gives it."""
        self._wire = wire

    async def body(self) -> AsyncIterator[Chunk]:
        """Yield the content as it arrives; afterwards ``trailers`` is set. Raises :class:`Http1Error`."""
        if self.complete:
            return
        async for piece in self._wire.body("response content", chunked=is_chunked(self.fields)):
            if isinstance(piece, Chunk):
                yield piece
            else:
                self.trailers = lines(piece.headers)
                self.complete = True

    async def read(self) -> bytes:
        """Return the rest of the content."""
        return b"".join([chunk.data async for chunk in self.body()])


class Connection:
    """A connection to a server. ``host`` is what its host field says.

    Exchanges follow each other as long as the server keeps the connection open. Sending and receiving may go on side
    by side, in two tasks.
    """

    def __init__(self, wire: Wire, host: bytes) -> None:
        self._wire = wire
        self._informational: list[tuple[int, Fields]] = []
        self.host = host

    @property
    def id(self) -> int:
        """The number under which the tap is told of this connection."""
        return self._wire.id

    async def send_head(self, method: bytes, target: bytes, fields: Fields = ()) -> None:
        """Send a request head as given, with a host field if there is none.

        Content follows only where content-length or ``transfer-encoding: chunked`` says so.
        """
        machine = self._wire.machine
        if machine.our_state is h11.DONE and machine.their_state is h11.DONE:
            machine.start_next_cycle()
        headers = list(fields)
        if field_value(fields, b"host") is None:
            headers.insert(0, (b"host", self.host))
        event = make(h11.Request, method=method, target=target, headers=headers)
        await self._wire.send_event(event, "request head")

    async def send(self, data: bytes) -> None:
        """Send content: exactly one chunk in the chunked transfer coding; nothing where ``data`` is empty."""
        await self._wire.send_event(h11.Data(data=data), "request content")

    async def finish(self, trailers: Fields = ()) -> None:
        """End the request."""
        await self._wire.send_event(make(h11.EndOfMessage, headers=list(trailers)), "end of request")

    async def send_raw(self, data: bytes) -> None:
        """Send bytes past all rules."""
        self._wire.spoiled = True
        await self._wire.send(data, "raw request")

    async def close_write(self) -> None:
        """Close the sending direction only."""
        await self._wire.close_write()

    async def abort(self) -> None:
        """Reset the connection."""
        self._wire.abort()

    async def response(self) -> IncomingResponse:
        """Wait for the head of the final response. Raises :class:`Http1Error`; after a timeout one can wait again."""
        while True:
            event = await self._wire.next_event("response head", "an HTTP/1.1 response")
            if isinstance(event, h11.Response):
                early, self._informational = tuple(self._informational), []
                return IncomingResponse(self._wire, event, early)
            if not isinstance(event, h11.InformationalResponse):
                raise Http1Error(Failure.CLOSED, where="response head", expected="an HTTP/1.1 response")
            self._informational.append((event.status_code, lines(event.headers)))


@asynccontextmanager
async def connect(
    url: str, *, tap: Tap | None = None, step_s: float = STEP_S, local_host: str | None = None
) -> AsyncIterator[Connection]:
    """Connect to the origin of ``url`` (http or https; its path is ignored). Raises :class:`Http1Error`.

    ``local_host`` is the address to connect from; by default the system chooses.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{url!r} is no http or https URL")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    socket = await _dial(parts.hostname, port, step_s, local_host)
    try:
        stream = await _secure(socket, parts.hostname, step_s) if parts.scheme == "https" else None
        wire = Wire(socket, h11.CLIENT, tap=tap, step_s=step_s, stream=stream)
        yield Connection(wire, parts.netloc.rpartition("@")[2].encode())
    finally:
        socket.close()


async def exchange(
    url: str,
    method: bytes = b"GET",
    target: bytes = b"/",
    fields: Fields = (),
    body: bytes = b"",
    *,
    tap: Tap | None = None,
    step_s: float = STEP_S,
    local_host: str | None = None,
) -> tuple[IncomingResponse, bytes]:
    """Do one exchange on a connection of its own and return the response with its whole content.

    Adds the host field and, where there is content or the method expects some, content-length, unless the fields
    already frame it. Raises :class:`Http1Error`.
    """
    framed = any(field_value(fields, name) is not None for name in (b"content-length", b"transfer-encoding"))
    if not framed and (body or method in _METHODS_WITH_CONTENT):
        fields = (*fields, (b"content-length", str(len(body)).encode()))
    async with connect(url, tap=tap, step_s=step_s, local_host=local_host) as connection:
        await connection.send_head(method, target, fields)
        if body:
            await connection.send(body)
        await connection.finish()
        response = await connection.response()
        return response, await response.read()


async def _dial(host: str, port: int, step_s: float, local_host: str | None) -> SocketStream:
    try:
        with anyio.fail_after(step_s):
            return await connect_tcp(host, port, local_host)
    except OSError as error:  # a timeout is one too
        raise Http1Error(
            Failure.UNREACHABLE, where=f"{host}:{port}", expected="a server that listens", detail=error.strerror or ""
        ) from error


async def _secure(socket: SocketStream, host: str, step_s: float) -> TLSStream:
    try:
        with anyio.fail_after(step_s):
            return await TLSStream.wrap(socket, hostname=host, standard_compatible=False)
    except (OSError, ssl.SSLError, anyio.BrokenResourceError, anyio.EndOfStream) as error:
        raise Http1Error(
            Failure.UNREACHABLE, where=host, expected="a TLS server with a valid certificate", detail=str(error)
        ) from error
