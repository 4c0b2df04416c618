"""An HTTP/1.1 server for one handler; a request that breaks HTTP costs its sender an answer or the connection."""

from __future__ import annotations

import socket
import sys
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import anyio
import h11
from anyio.abc import TaskGroup

from openpcc_ref.binary_http import Fields
from openpcc_ref.http1.errors import Failure, Http1Error, is_http1_error
from openpcc_ref.http1.messages import Chunk, Tap
from openpcc_ref.http1.sockets import SocketStream, listen_tcp
from openpcc_ref.http1.wire import Wire, is_chunked, lines, make

STEP_S = 60.0
"""How long a server waits for its peer at each step, in seconds."""

_LINGER = 1024 * 1024
"""Bytes of an unread request that are read away after the answer."""

_AFTER_FAILED_ACCEPT_S = 0.05


class IncomingRequest:
    """A request whose head has arrived. ``target`` is the request target as received, ``version`` 1.0 or 1.1."""

    def __init__(self, wire: Wire, event: Any, client_address: str) -> None:
        self.method = bytes(event.method)
        self.target = bytes(event.target)
        self.fields = lines(event.headers)
        self.version = bytes(event.http_version)
        self.connection_id = wire.id
        self.client_address = client_address
        """The network address that the connection comes from, without port."""
        self.trailers: Fields = ()
        self.complete = False
        """Whether the request has been read to the end that its framing gives it."""
        self._wire = wire

    async def body(self) -> AsyncIterator[Chunk]:
        """Yield the content as it arrives; afterwards ``trailers`` is set.

        A client that waits for 100 (Continue) gets it now. Raises :class:`Http1Error`.
        """
        if self._wire.machine.they_are_waiting_for_100_continue and not self._wire.spoiled:
            await self._wire.send_event(h11.InformationalResponse(status_code=100, headers=[]), "100 (Continue)")
        if self.complete:
            return
        async for piece in self._wire.body("request content", chunked=is_chunked(self.fields)):
            if isinstance(piece, Chunk):
                yield piece
            else:
                self.trailers = lines(piece.headers)
                self.complete = True


class Responder:
    """Answers one request. Unless :meth:`finish` is called the answer is aborted, never cleanly ended."""

    def __init__(self, wire: Wire, request: IncomingRequest) -> None:
        self._wire = wire
        self._request = request
        self.started = False
        """Whether any part of a final answer has been sent."""
        self.finished = False

    async def send_informational(self, status: int, fields: Fields = ()) -> None:
        """Send a response of status 100 to 199."""
        event = make(h11.InformationalResponse, status_code=status, headers=list(fields))
        await self._wire.send_event(event, "1xx response")

    async def send_head(self, status: int, fields: Fields = ()) -> None:
        """Send status and fields; without content-length the content goes out in the chunked transfer coding."""
        event = make(h11.Response, status_code=status, headers=list(fields))
        self.started = True
        await self._wire.send_event(event, "response head")

    async def send(self, data: bytes) -> None:
        """Send content: exactly one chunk in the chunked transfer coding; nothing where ``data`` is empty.

        Content of an answer to HEAD is left out.
        """
        if self._request.method != b"HEAD":
            await self._wire.send_event(h11.Data(data=data), "response content")

    async def finish(self, trailers: Fields = ()) -> None:
        """End the answer. Trailers need the chunked transfer coding and are left out for an HTTP/1.0 client."""
        kept = list(trailers) if self._request.version != b"1.0" else []
        await self._wire.send_event(make(h11.EndOfMessage, headers=kept), "end of response")
        self.finished = True

    async def send_raw(self, data: bytes) -> None:
        """Send bytes past all rules; the connection closes when the handler returns."""
        self.started = self.finished = self._wire.spoiled = True
        await self._wire.send(data, "raw response")

    async def abort(self) -> None:
        """Reset the connection."""
        self.started = True
        self._wire.abort()


Handler: TypeAlias = Callable[[IncomingRequest, Responder], Awaitable[None]]
"""Answers one request; requests of one connection come one after the other, connections side by side."""


def print_failure(error: Exception) -> None:
    """Write what a handler raised to standard error."""
    traceback.print_exception(error, file=sys.stderr)


class Server:
    """A listening server; ``url`` is where, without a path."""

    def __init__(
        self,
        handler: Handler,
        host: str,
        port: int,
        *,
        tap: Tap | None,
        step_s: float,
        failed: Callable[[Exception], None],
        refused: Callable[[Http1Error], None],
    ) -> None:
        self._handler = handler
        self._tap = tap
        self._step_s = step_s
        self._failed = failed
        self._refused = refused
        self._listener = listen_tcp(host, port)
        self._resumed = anyio.Event()
        self._host = host
        self._idle: set[Wire] = set()
        self.port: int = self._listener.getsockname()[1]

    @property
    def url(self) -> str:
        return f"http://[{self._host}]:{self.port}" if ":" in self._host else f"http://{self._host}:{self.port}"

    @asynccontextmanager
    async def paused(self) -> AsyncIterator[None]:
        """Refuse new connections, and close those without a request, while the context is open."""
        self._replace_listener(reserve_only=True)
        for wire in tuple(self._idle):
            wire.close()
        try:
            yield
        finally:
            self._replace_listener(reserve_only=False)

    def _replace_listener(self, *, reserve_only: bool) -> None:
        self._close_listener()
        self._listener = listen_tcp(self._host, self.port, reserve_only=reserve_only)
        self._resumed.set()

    def _close_listener(self) -> None:
        anyio.notify_closing(self._listener)
        self._listener.close()

    async def run(self, group: TaskGroup) -> None:
        """Accept connections until cancelled."""
        try:
            while True:
                accepted = await self._accept()
                if accepted is not None:
                    group.start_soon(self._serve, *accepted)
        finally:
            self._close_listener()

    async def _accept(self) -> tuple[socket.socket, str] | None:
        """Return the next connection, or None when the listener was replaced meanwhile."""
        try:
            accepted, address = self._listener.accept()
            return accepted, address[0]
        except BlockingIOError:
            try:
                await anyio.wait_readable(self._listener)
            except anyio.ClosedResourceError:
                await anyio.lowlevel.checkpoint()
        except OSError:  # a connection that was reset before it was accepted, or a listener that only reserves
            await self._listening_again()
        return None

    async def _listening_again(self) -> None:
        if self._listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            await anyio.sleep(_AFTER_FAILED_ACCEPT_S)
            return
        self._resumed = anyio.Event()
        await self._resumed.wait()

    async def _serve(self, accepted: socket.socket, client_address: str) -> None:
        wire = Wire(SocketStream(accepted), h11.SERVER, tap=self._tap, step_s=self._step_s)
        try:
            while await self._exchange(wire, client_address):
                wire.machine.start_next_cycle()
        except Http1Error:
            pass  # the peer is gone; there is nobody to tell
        finally:
            wire.close()

    async def _exchange(self, wire: Wire, client_address: str) -> bool:
        """Serve one request; say whether another may follow on the connection."""
        self._idle.add(wire)
        try:
            event = await self._next_request(wire)
        finally:
            self._idle.discard(wire)
        if event is None:
            return False
        request = IncomingRequest(wire, event, client_address)
        responder = Responder(wire, request)
        await self._handle(request, responder)
        return await self._settle(wire, request, responder)

    async def _next_request(self, wire: Wire) -> Any:
        try:
            event = await wire.next_event("request head", "an HTTP/1.1 request")
        except Http1Error as error:
            if error.failure is Failure.MALFORMED:
                self._refused(error)
                await _refuse(wire, error)
            return None
        return event if isinstance(event, h11.Request) else None

    async def _handle(self, request: IncomingRequest, responder: Responder) -> None:
        try:
            await self._handler(request, responder)
        except Exception as error:
            if not is_http1_error(error):
                self._failed(error)
            if not responder.started:
                await _answer_failure(responder, 400 if is_http1_error(error) else 500)

    async def _settle(self, wire: Wire, request: IncomingRequest, responder: Responder) -> bool:
        """Leave the connection ready for the next request, or close it so that the peer can tell how."""
        if not responder.finished:
            wire.abort()
            return False
        if not request.complete and not wire.spoiled:
            await _read_away(request)
        reusable = wire.machine.our_state is h11.DONE and wire.machine.their_state is h11.DONE
        if not reusable or wire.spoiled:
            await wire.linger(_LINGER)
            return False
        return True


async def _read_away(request: IncomingRequest) -> None:
    left = _LINGER
    try:
        async for chunk in request.body():
            left -= len(chunk.data)
            if left < 0:
                return
    except Http1Error:
        return


async def _answer_failure(responder: Responder, status: int) -> None:
    try:
        await responder.send_head(status, ((b"content-length", b"0"), (b"connection", b"close")))
        await responder.finish()
    except (Http1Error, ValueError):
        await responder.abort()


async def _refuse(wire: Wire, error: Http1Error) -> None:
    """Answer a request that is not HTTP."""
    fields = [(b"content-length", b"0"), (b"connection", b"close")]
    await wire.send_event(h11.Response(status_code=error.status, headers=fields), "refusal")
    await wire.send_event(h11.EndOfMessage(), "refusal")
    await wire.linger(_LINGER)


@asynccontextmanager
async def listen(
    handler: Handler,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    tap: Tap | None = None,
    step_s: float = STEP_S,
    failed: Callable[[Exception], None] = print_failure,
    refused: Callable[[Http1Error], None] = lambda error: None,
) -> AsyncIterator[Server]:
    """Serve while the context is open; port 0 lets the system choose.

    ``failed`` is told what a handler raises, except :class:`Http1Error`, which is its client's doing; ``refused`` why a
    head is no HTTP and never comes to the handler. Raises OSError when the address cannot be listened on.
    """
    server = Server(handler, host, port, tap=tap, step_s=step_s, failed=failed, refused=refused)
    raised: Exception | None = None
    async with anyio.create_task_group() as group:
        group.start_soon(server.run, group)
        try:
            yield server
        except Exception as error:  # kept, so that the group does not wrap what the caller's body raised
            raised = error
        group.cancel_scope.cancel()
    if raised is not None:
        raise raised
