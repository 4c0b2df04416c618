"""Routers that serve what they should not, or speak otherwise."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import anyio
from anyio.abc import SocketAttribute, SocketStream

from conformance.faults import fault
from openpcc_ref.errors import Rejected
from openpcc_ref.http1 import IncomingRequest, Responder, Server, field_value, listen
from openpcc_ref.routing import decode_event
from openpcc_ref.services.message_service import Answer
from openpcc_ref.services.router import Router

_GONE = (anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream, OSError)


@fault(id="router.interface.wordy-pong", breaks=["RTR-001"], trips=["router.interface.ping"])
class WordyPong(Router):
    """Ends its sign of life with a line feed."""

    async def answer_ping(self, request: IncomingRequest, content: bytes) -> bytes:
        return b"pong\n"


@fault(id="router.interface.any-path", breaks=["RTR-002"], trips=["router.interface.paths"])
class AnyPath(Router):
    """Takes compute requests on every path that is nothing else."""

    async def handle(self, request: IncomingRequest, responder: Responder) -> None:
        if request.target.partition(b"?")[0] not in self.routes():
            request.target = b"/"
        await super().handle(request, responder)


@fault(id="router.interface.any-method", breaks=["RTR-002"], trips=["router.interface.methods"])
class AnyMethod(Router):
    """Takes compute requests by every method."""

    async def handle(self, request: IncomingRequest, responder: Responder) -> None:
        if request.target == b"/":
            request.method = b"POST"
        await super().handle(request, responder)


@fault(id="router.interface.plain-errors", breaks=["RTR-005"], trips=["router.interface.error-messages"])
class PlainErrors(Router):
    """Refuses in plain text."""

    def error(self, status: int, text: str) -> Answer:
        return Answer(status, text.encode(), b"text/plain")


@fault(
    id="router.interface.any-content-type",
    breaks=["RTR-006"],
    trips=["router.interface.event-content-type", "router.interface.query-content-type"],
)
class AnyContentType(Router):
    """Does not look at the content type of messages."""

    def require_media_type(self, request: IncomingRequest) -> None:
        return


@fault(id="router.interface.events-at-root", breaks=["RTR-004"], trips=["router.interface.events-elsewhere"])
class EventsAtRoot(Router):
    """Takes for an event what is posted to the root without routing info."""

    async def compute(self, request: IncomingRequest, responder: Responder) -> None:
        if field_value(request.fields, b"x-routing-info") is None:
            with suppress(Rejected):
                self.table.add_event(decode_event(await self.read(request) or b""))
        await super().compute(request, responder)


@fault(
    id="router.interface.names-nobody",
    breaks=["RTR-047"],
    trips=["router.responses.no-node-id"],
)
class NamesNobody(Router):
    """Sends a node identifier also with its own refusals."""

    def error(self, status: int, text: str) -> Answer:
        answer = super().error(status, text)
        return Answer(status, answer.content, fields=((b"x-node-id", b"00000000-0000-7000-8000-000000000000"),))


@fault(id="router.interface.stuck-on-long-fields", breaks=["RTR-031"], trips=["router.robustness.large-fields"])
class StuckOnLongFields(Router):
    """Never answers when routing info is long."""

    async def compute(self, request: IncomingRequest, responder: Responder) -> None:
        if len(field_value(request.fields, b"x-routing-info") or b"") > 1 << 16:
            await anyio.sleep_forever()
        await super().compute(request, responder)


class _Listening:
    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"


@fault(id="router.interface.polite-to-noise", breaks=["RTR-002"], trips=["router.robustness.not-http"])
class PoliteToNoise(Router):
    """Answers with 200 what does not begin like HTTP."""

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[Server | _Listening]:  # type: ignore[override]
        async with listen(self.handle) as inside, anyio.create_task_group() as group:
            listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0)

            async def serve(client: SocketStream) -> None:
                async with client:
                    with suppress(*_GONE):
                        await _pass_on(client, inside.port)

            group.start_soon(listener.serve, serve)
            yield _Listening(listener.extra(SocketAttribute.local_port))
            group.cancel_scope.cancel()


async def _pass_on(client: SocketStream, port: int) -> None:
    first = await client.receive()
    if b" HTTP/1.1\r\n" not in first:
        await client.send(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        return
    async with await anyio.connect_tcp("127.0.0.1", port) as server:
        await server.send(first)
        async with anyio.create_task_group() as group:

            async def forth() -> None:
                try:
                    await _copy(client, server)
                except _GONE:
                    group.cancel_scope.cancel()

            group.start_soon(forth)
            with suppress(*_GONE):
                await _copy(server, client)
            group.cancel_scope.cancel()


async def _copy(source: SocketStream, sink: SocketStream) -> None:
    async for data in source:
        await sink.send(data)
    await sink.send_eof()
