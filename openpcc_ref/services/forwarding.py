"""What passing messages on has in common: an upstream that may fail, and two directions at once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import anyio

from openpcc_ref.http1 import (
    Chunk,
    Connection,
    Failure,
    Fields,
    Http1Error,
    IncomingRequest,
    IncomingResponse,
    connect,
    field_value,
)

Step: TypeAlias = Callable[[], Coroutine[Any, Any, None]]


class UpstreamFailed(Exception):
    """The server behind could not be reached or broke off; ``error`` says how."""

    def __init__(self, error: Http1Error) -> None:
        super().__init__(str(error))
        self.error = error


class Upstream:
    """A connection to the server behind, used for one exchange and then closed.

    Connections are never shared between exchanges: what follows each other on one would be tied together.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._gone = False
        self._sent = 0

    @property
    def host(self) -> bytes:
        """What the host field of requests says."""
        return self._connection.host

    async def send_head(self, method: bytes, target: bytes, fields: Fields) -> None:
        """Send a request head. Raises ValueError for what HTTP/1.1 cannot carry."""
        await self._unless_gone(partial(self._connection.send_head, method, target, fields))

    async def send(self, data: bytes) -> None:
        """Send content, as one chunk in the chunked transfer coding."""
        await self._unless_gone(partial(self._connection.send, data))

    async def finish(self, trailers: Fields = ()) -> None:
        """End the request."""
        await self._unless_gone(partial(self._connection.finish, trailers))

    async def abort(self) -> None:
        """Reset the connection, so that the request is never taken for whole."""
        self._gone = True
        await self._connection.abort()

    async def response(self) -> IncomingResponse:
        """Wait for the response head; as long as the request goes on, so does the wait.

        Raises :class:`UpstreamFailed`.
        """
        while True:
            sent = self._sent
            try:
                return await self._connection.response()
            except Http1Error as error:
                if error.failure is not Failure.TIMEOUT or self._sent == sent:
                    raise UpstreamFailed(error) from error

    async def content(self, response: IncomingResponse) -> AsyncIterator[Chunk]:
        """Yield the response content as it arrives. Raises :class:`UpstreamFailed` when it breaks off."""
        try:
            async for chunk in response.body():
                yield chunk
        except Http1Error as error:
            raise UpstreamFailed(error) from error

    async def _unless_gone(self, send: Step) -> None:
        # A server may answer early and stop reading. What became of the request, its response says.
        if self._gone:
            return
        try:
            await send()
        except Http1Error:
            self._gone = True
        else:
            self._sent += 1


@asynccontextmanager
async def open_upstream(url: str, step_s: float) -> AsyncIterator[Upstream]:
    """Connect to the origin of ``url``. Raises :class:`UpstreamFailed`."""
    connecting = connect(url, step_s=step_s)
    try:
        connection = await connecting.__aenter__()
    except Http1Error as error:
        raise UpstreamFailed(error) from error
    try:
        yield Upstream(connection)
    finally:
        await connecting.__aexit__(None, None, None)


async def both_ways(request: Step, response: Step) -> None:
    """Pass a request on and its response back side by side; when the response is over, so is the request.

    What either raises is raised as it is; if both do, the upstream's failure is taken for the consequence.
    """
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(request)
            await response()
            group.cancel_scope.cancel()
    except ExceptionGroup as failures:
        raise _cause(failures) from None


def _cause(failures: ExceptionGroup[Exception]) -> Exception:
    causes = [_cause(part) if isinstance(part, ExceptionGroup) else part for part in failures.exceptions]
    return next((cause for cause in causes if not isinstance(cause, UpstreamFailed)), causes[0])


def framing(message: IncomingRequest | IncomingResponse) -> Fields:
    """Return the field that frames a message as long as that one: its length, or the chunked transfer coding."""
    length = field_value(message.fields, b"content-length")
    chunked = field_value(message.fields, b"transfer-encoding") is not None
    return ((b"content-length", length),) if length is not None and not chunked else CHUNKED


CHUNKED: Fields = ((b"transfer-encoding", b"chunked"),)


def path_of(url: str) -> bytes:
    """Return the path and query of a URL as a request target."""
    parts = urlsplit(url)
    return (parts.path or "/").encode() + (b"?" + parts.query.encode() if parts.query else b"")
