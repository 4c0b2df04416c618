"""The compute node: the front end that passes sealed requests to workers, and tells the router that it is there.

Run it as ``python -m openpcc_ref.services.node`` with the configuration ``{"secret_key": hex of 32 bytes, "models":
[…], "tags": […], "badge_public_key": hex, "engine_url": …}``; for a node that registers itself also ``"router_url"``,
and for one that takes longer bodies than deployed nodes do ``"max_body"``, up to 64 MiB.
It follows the texts where deployed nodes differ. Requirements: NODE-001 to NODE-015, NODE-055 to NODE-064, RTR-087,
RTR-088.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Self, TypeAlias

import anyio

from openpcc_ref.compute_messages import COMPUTE_SUITE
from openpcc_ref.compute_node import (
    MAX_BODY,
    Footer,
    Header,
    NodeRules,
    OutputDecoder,
    Parameters,
    decode_parameters,
    refusal_message,
)
from openpcc_ref.credits.currency import encode_text, exact
from openpcc_ref.errors import Rejected
from openpcc_ref.hpke import kem
from openpcc_ref.http1 import (
    Fields,
    Http1Error,
    IncomingRequest,
    Responder,
    Server,
    Tap,
    exchange,
    field_value,
    field_values,
    listen,
)
from openpcc_ref.protobuf.error_pb2 import Error
from openpcc_ref.routing import NodeEvent, RoutingInfo, encode_event, make_node_id, tags
from openpcc_ref.services.config import Settings
from openpcc_ref.services.forwarding import CHUNKED, both_ways
from openpcc_ref.services.launch import Service, main
from openpcc_ref.services.message_service import MEDIA_TYPE
from openpcc_ref.services.node_worker import EXIT_UNOPENED, WorkerSettings
from openpcc_ref.services.worker_pool import END_S, WorkerPool, WorkerProcess
from openpcc_ref.sources import Clock, RandomSource, system_clock, system_random

HEARTBEAT_S = 60.0
"""Pause between heartbeats, in seconds. Requirements: RTR-087."""

LARGEST_BODY = 64 * 2**20
"""Bytes of a body that a node can be told to take: what the texts promise. Requirements: NODE-036 (NODE-D21)."""

UNOPENED = "failed to decapsulate encrypted request"
INTERNAL = "internal server error"

Deliver: TypeAlias = Callable[[Header | bytes | Footer], Awaitable[None]]
"""Takes the parts of a worker's output in order."""


class WorkerFailed(Exception):
    """A worker ended before its output did; ``unopened`` says that it could not open the request."""

    def __init__(self, *, unopened: bool) -> None:
        super().__init__()
        self.unopened = unopened


class Node(Service):
    """A compute node with one key. ``evidence`` is the serialized list that goes into its heartbeats."""

    def __init__(
        self,
        settings: WorkerSettings,
        *,
        node_tags: Sequence[str] = ("llm",),
        router_url: str | None = None,
        evidence: bytes = b"",
        workers: WorkerPool | None = None,
        clock: Clock = system_clock,
        random: RandomSource = system_random,
    ) -> None:
        self.settings = settings
        self.tags = frozenset(node_tags) | {tags.pair(tags.MODEL, model) for model in settings.rules.models}
        self.router_url = router_url
        self.evidence = evidence
        self.workers = workers or WorkerPool()
        self.clock = clock
        self.node_id = make_node_id(int(clock().timestamp() * 1000), random=random)
        self.event_index = 0

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        settings = Settings(config)
        max_body = settings.integer("max_body", 1, LARGEST_BODY) if settings.has("max_body") else MAX_BODY
        rules = NodeRules(settings.texts("models"), settings.hex_bytes("badge_public_key", 32), max_body)
        secret_key = settings.hex_bytes("secret_key", kem(COMPUTE_SUITE.kem_id).nsk)
        worker = WorkerSettings(secret_key, rules, settings.url("engine_url"))
        router_url = settings.url("router_url") if settings.has("router_url") else None
        node = cls(worker, node_tags=settings.texts("tags"), router_url=router_url)
        settings.end()
        return node

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep workers ready."""
        async with self.workers.running():
            yield

    @asynccontextmanager
    async def listening(self, *, tap: Tap | None = None) -> AsyncIterator[Server]:
        """Serve, and tell the router so: at once, at an interval, and at the end. Requirements: RTR-087."""
        async with listen(self.handle, tap=tap) as server, anyio.create_task_group() as group:
            group.start_soon(self.send_heartbeats, server.url)
            try:
                yield server
            finally:
                group.cancel_scope.cancel()
                with anyio.CancelScope(shield=True):
                    await self.send_event(shutdown=True)

    # -- events ------------------------------------------------------------------------------------------------------

    async def send_heartbeats(self, url: str) -> None:
        """Send heartbeats until cancelled. Requirements: RTR-087, RTR-088."""
        info = RoutingInfo(f"{url}/", f"{url}/_health", self.tags, self.evidence)
        while True:
            await self.send_event(routing_info=info)
            await anyio.sleep(HEARTBEAT_S)

    async def send_event(self, *, shutdown: bool = False, routing_info: RoutingInfo | None = None) -> None:
        """Send one event; one that does not arrive is not repeated, the next heartbeat is."""
        if self.router_url is None:
            return
        event = NodeEvent(self.node_id, self.event_index, self.clock().timestamp(), shutdown, routing_info)
        self.event_index += 1
        content, fields = encode_event(event), ((b"content-type", MEDIA_TYPE),)
        try:
            await exchange(self.router_url, b"POST", b"/node-events", fields, content)
        except Http1Error:
            return

    # -- requests ----------------------------------------------------------------------------------------------------

    async def handle(self, request: IncomingRequest, responder: Responder) -> None:
        if request.method == b"POST":
            await self.compute(request, responder)
        elif request.target == b"/_health" and request.method == b"GET":
            await _send(responder, 200, b"application/json", b'{"status":"OK"}')
        else:
            await _send(responder, 405, b"text/plain; charset=utf-8", b"Method Not Allowed\n", ((b"allow", b"POST"),))

    async def compute(self, request: IncomingRequest, responder: Responder) -> None:
        """Serve one sealed request. Requirements: NODE-003 to NODE-009."""
        try:
            parameters = self.parameters_of(request)
        except Rejected as refusal:
            await self.refuse(responder, 400, self.refusal_text(refusal))
            return
        try:
            await self.work(parameters, request, partial(self.pass_back, responder))
        except WorkerFailed as failure:
            if responder.started:
                await responder.abort()  # NODE-064
            elif failure.unopened:
                await self.refuse(responder, 400, UNOPENED)
            else:
                await self.refuse_by_own_fault(responder, parameters)

    def parameters_of(self, request: IncomingRequest) -> Parameters:
        """Return the fields in the clear. Requirements: NODE-003 to NODE-005."""
        media_types = field_values(request.fields, b"content-type")
        key, amount = (field_value(request.fields, name) or b"" for name in (b"x-encapsulated-key", b"x-credit-amount"))
        return decode_parameters(media_types[0] if len(media_types) == 1 else b"", key, amount)

    def refusal_text(self, refusal: Any) -> str:
        """Return the text of a refusal in the clear."""
        return refusal_message(refusal)

    async def refuse(self, responder: Responder, status: int, text: str) -> None:
        """Answer in the clear."""
        await _send(responder, status, MEDIA_TYPE, Error(Message=text).SerializeToString())

    async def refuse_by_own_fault(self, responder: Responder, parameters: Parameters) -> None:
        """Answer that the node failed, and refund everything. Requirements: NODE-055."""
        content = Error(Message=INTERNAL).SerializeToString()
        await responder.send_head(500, ((b"content-type", MEDIA_TYPE), (b"trailer", b"X-Refund-Amount"), *CHUNKED))
        await responder.send(content)
        try:
            everything: Fields = ((b"X-Refund-Amount", encode_text(exact(parameters.credit_amount)).encode()),)
        except Rejected:
            everything = ()
        await responder.finish(everything)

    async def pass_back(self, responder: Responder, event: Header | bytes | Footer) -> None:
        """Send a part of the worker's output on. Requirements: NODE-008 to NODE-010, NODE-060."""
        if isinstance(event, Header):
            media_type = (b"content-type", event.media_type.encode())
            await responder.send_head(200, (media_type, (b"trailer", b"X-Refund-Amount"), *CHUNKED))
        elif isinstance(event, Footer):
            await responder.finish(self.trailers(event))
        else:
            await responder.send(event)

    def trailers(self, footer: Footer) -> Fields:
        """Return the trailers of a whole response. Requirements: NODE-010."""
        return () if footer.refund is None else ((b"X-Refund-Amount", encode_text(footer.refund).encode()),)

    async def work(self, parameters: Parameters, request: IncomingRequest, deliver: Deliver) -> None:
        """Give the request to a worker of its own and deliver its output. Raises :class:`WorkerFailed`."""
        async with self.workers.worker() as process:
            try:
                await both_ways(partial(self.feed, parameters, request, process), partial(_collect, process, deliver))
            except Rejected as rejected:
                status = None
                with anyio.move_on_after(END_S):
                    status = await process.wait()
                raise WorkerFailed(unopened=status == EXIT_UNOPENED) from rejected

    async def feed(self, parameters: Parameters, request: IncomingRequest, process: WorkerProcess) -> None:
        """Pass the sealed request to a worker as it arrives; one that has ended wants no more."""
        try:
            await process.send(self.settings.to_json(parameters))
            async for chunk in request.body():
                await process.send(chunk.data)
            await process.send_eof()
        except OSError:
            return


async def _collect(process: WorkerProcess, deliver: Deliver) -> None:
    """Deliver what a worker writes. Raises :class:`Rejected` for output that does not end as it must."""
    decoder = OutputDecoder()
    async for data in process.output():
        for event in decoder.feed(data):
            await deliver(event)
    decoder.finish()


async def _send(responder: Responder, status: int, media_type: bytes, content: bytes, fields: Fields = ()) -> None:
    length = (b"content-length", str(len(content)).encode())
    await responder.send_head(status, (*fields, (b"content-type", media_type), length))
    await responder.send(content)
    await responder.finish()


if __name__ == "__main__":
    main(Node, sys.argv[1:])
