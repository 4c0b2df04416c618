"""A runner-hosted neighbour: a server that remembers what arrives and answers as the check says."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field

import anyio

from conformance.targets import TargetFailed
from conformance.verdicts import Violation
from openpcc_ref.http1 import Fields, Http1Error, IncomingRequest, Responder, Server, Tap, exchange, listen


@dataclass(slots=True, eq=False)
class Received:
    """One request at a peer, growing as it arrives."""

    method: bytes
    target: bytes
    fields: Fields
    connection: int
    step_s: float
    chunks: list[bytes] = field(default_factory=list)
    trailers: Fields = ()
    ended: bool = False
    """Whether the request is over, cleanly or not."""
    complete: bool = False
    """Whether it ended as its framing says it must."""
    _changed: anyio.Event = field(default_factory=anyio.Event)

    @property
    def body(self) -> bytes:
        """All content that has arrived so far."""
        return b"".join(self.chunks)

    async def content(self, length: int) -> bytes:
        """Wait until at least ``length`` bytes of content are here; a violation if they do not come."""
        await self._until(
            lambda: len(self.body) >= length, f"{length} bytes of the request's content to arrive behind the subject"
        )
        return self.body

    async def end(self) -> None:
        """Wait until the request is over, cleanly or not; a violation if it stays open."""
        await self._until(lambda: self.ended, "the end of the request")

    async def _until(self, holds: Callable[[], bool], awaited: str) -> None:
        with anyio.move_on_after(self.step_s):
            while not holds() and not self.ended:
                await self._changed.wait()
        if not holds():
            how = "the request ended" if self.ended else f"nothing more came within {self.step_s:g} s"
            raise Violation(awaited, f"{how} after {len(self.body)} bytes")

    async def take(self, request: IncomingRequest) -> None:
        """Read the whole request, noting each piece as it comes."""
        try:
            async for chunk in request.body():
                self.chunks.append(chunk.data)
                self._notify()
            self.trailers = request.trailers
            self.complete = True
        except Http1Error:
            self.complete = False
        finally:
            self.ended = True
            self._notify()

    def _notify(self) -> None:
        changed, self._changed = self._changed, anyio.Event()
        changed.set()


Answer = Callable[[Received, Responder], Awaitable[None]]

_PATIENCE_S = 3600.0
"""How long a neighbour keeps an idle connection: longer than any run, so that reusing one never races its end."""

_CATCH_UP = b"CATCH-UP"
"""The method of the runner's own request to a neighbour."""


class ScriptedPeer:
    """A neighbour of the subject. ``answer`` is what it does with a request, until the next case."""

    def __init__(self, honest: Answer, *, step_s: float) -> None:
        self._honest = honest
        self._step_s = step_s
        self._server: Server | None = None
        self._arrived = anyio.Event()
        self._failures: list[Exception] = []
        self.answer = honest
        self.requests: list[Received] = []
        self.malformed: list[str] = []
        """What was wrong with request heads that are no HTTP: whoever serves less strictly would take them for some."""

    @property
    def url(self) -> str:
        assert self._server is not None
        return self._server.url

    def reset(self) -> None:
        """Forget what arrived and become honest again."""
        self.answer = self._honest
        self.requests = []
        self.malformed = []
        self._failures = []
        self._arrived = anyio.Event()

    def raise_failure(self) -> None:
        """Raise what went wrong in this peer since the last reset, which is the suite's doing and not the subject's."""
        for failure in self._failures:
            raise failure

    @asynccontextmanager
    async def serve(self, *, host: str = "127.0.0.1", port: int = 0, tap: Tap | None = None) -> AsyncIterator[None]:
        """Serve while the context is open. Raises :class:`TargetFailed` when the address cannot be listened on."""
        async with AsyncExitStack() as stack:
            listening = listen(
                self._handle,
                host=host,
                port=port,
                tap=tap,
                step_s=_PATIENCE_S,
                failed=self._note_failure,
                refused=lambda error: self.malformed.append(str(error)),
            )
            try:
                self._server = await stack.enter_async_context(listening)
            except OSError as error:
                raise TargetFailed(f"cannot listen on {host}:{port}: {error.strerror}") from error
            yield

    @asynccontextmanager
    async def unreachable(self) -> AsyncIterator[None]:
        """Refuse connections while the context is open; the address stays the same."""
        assert self._server is not None
        async with self._server.paused():
            yield

    async def arrival(self, number: int = 1) -> Received:
        """Wait for the head of the ``number``-th request of this case; a violation if it does not come."""
        with anyio.move_on_after(self._step_s):
            while len(self.requests) < number:
                await self._arrived.wait()
        if len(self.requests) < number:
            raise Violation(
                f"request {number} to arrive behind the subject",
                f"{len(self.requests)} arrived within {self._step_s:g} s",
            )
        return self.requests[number - 1]

    async def catch_up(self) -> None:
        """Take in what is already on its way. Without this an answer of the subject's can be judged before what the
        subject sent here earlier: connections are taken in order, and this request comes on the last of them."""
        with suppress(Http1Error):  # nobody gets through to a peer that is unreachable
            await exchange(self.url, _CATCH_UP, step_s=self._step_s)

    async def _handle(self, request: IncomingRequest, responder: Responder) -> None:
        if request.method == _CATCH_UP:
            await responder.send_head(204)
            await responder.finish()
            return
        received = Received(request.method, request.target, request.fields, request.connection_id, self._step_s)
        self.requests.append(received)
        arrived, self._arrived = self._arrived, anyio.Event()
        arrived.set()
        if request.method == b"CONNECT":  # what would follow is no HTTP any more
            await _refuse(responder)
            return
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(received.take, request)
                await self.answer(received, responder)
                await received.end()
                group.cancel_scope.cancel()
        except* (Violation, Http1Error):
            pass  # the check sees what follows from it, on the other side

    def _note_failure(self, failure: Exception) -> None:
        self._failures.append(failure)


async def _refuse(responder: Responder) -> None:
    await responder.send_head(405, ((b"content-length", b"0"),))
    await responder.finish()


async def answer_after_request(
    received: Received, responder: Responder, status: int, fields: Fields, body: bytes
) -> None:
    """Read the request to its end, then answer with a sized body."""
    await received.end()
    await responder.send_head(status, (*fields, (b"content-length", str(len(body)).encode())))
    if body:
        await responder.send(body)
    await responder.finish()
