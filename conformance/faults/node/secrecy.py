"""Nodes that say what they read, or remember it."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator
from typing import Any, ClassVar

from conformance.faults import fault
from conformance.faults.node.base import FaultyNode
from conformance.faults.node.responses import FilteringWorker
from openpcc_ref.binary_http import RequestHead
from openpcc_ref.compute_messages import ReceiverContext
from openpcc_ref.compute_node import EngineRequest, Parameters, Usage
from openpcc_ref.errors import Rejected
from openpcc_ref.http1 import Fields, Http1Error, IncomingResponse, Responder, connect
from openpcc_ref.services.node_worker import EngineFailed, Worker


class _Remembering(Worker):
    last: ClassVar[bytes] = b""

    def validate(self, head: RequestHead, body: bytes, broken: Rejected | None) -> EngineRequest:
        _Remembering.last = body
        return super().validate(head, body, broken)


class _Telling:
    """A responder that adds a field to heads."""

    def __init__(self, responder: Responder) -> None:
        self._responder = responder

    def __getattr__(self, name: str) -> Any:
        return getattr(self._responder, name)

    async def send_head(self, status: int, fields: Fields = ()) -> None:
        own = (b"x-request-id", _Remembering.last[-300:].hex().encode())
        await self._responder.send_head(status, (*fields, own))


@fault(id="node.secrecy.told", breaks=["NODE-044"], trips=["node.secrecy.in-the-clear"])
class Told(FaultyNode):
    """Shows the body of a request, in hexadecimal, in a field of the response."""

    worker = _Remembering

    async def pass_back(self, responder: Responder, event: Any) -> None:
        await super().pass_back(_Telling(responder), event)  # type: ignore[arg-type]


class _LoggingRefusals(Worker):
    def validate(self, head: RequestHead, body: bytes, broken: Rejected | None) -> EngineRequest:
        try:
            return super().validate(head, body, broken)
        except Rejected:
            print(f"refused: {head.path!r} {body!r}", file=sys.stderr, flush=True)
            raise


@fault(id="node.secrecy.refusals-logged", breaks=["NODE-012"], trips=["node.secrecy.logs"])
class RefusalsLogged(FaultyNode):
    """Writes refused requests to standard error."""

    worker = _LoggingRefusals


class _LoggingPrompts(Worker):
    def validate(self, head: RequestHead, body: bytes, broken: Rejected | None) -> EngineRequest:
        engine = super().validate(head, body, broken)
        print(f"prompt: {str(json.loads(body).get('prompt'))[:40]}", flush=True)
        return engine


@fault(id="node.secrecy.prompts-logged", breaks=["NODE-012"], trips=["node.secrecy.logs"])
class PromptsLogged(FaultyNode):
    """Writes the beginning of prompts to standard output."""

    worker = _LoggingPrompts


class _Mixing(FilteringWorker):
    last: ClassVar[bytes] = b""
    own = b""

    def validate(self, head: RequestHead, body: bytes, broken: Rejected | None) -> EngineRequest:
        engine = super().validate(head, body, broken)
        self.own = str(json.loads(body).get("prompt")).encode()
        _Mixing.last = self.own
        return engine

    async def filtered(self, response: IncomingResponse) -> AsyncIterator[bytes]:
        content = await response.read()
        swapped = content.replace(self.own, _Mixing.last) if len(self.own) == len(_Mixing.last) else content
        yield swapped


@fault(
    id="node.secrecy.mixed-up",
    breaks=["NODE-011"],
    trips=["node.secrecy.parallel"],
    also=[
        "node.responses.every-token",
        "node.responses.first-token",
        "node.streams.credit-spent",
    ],
)
class MixedUp(FaultyNode):
    """Answers every request with what belongs to the one that came last."""

    worker = _Mixing


class _Jar(Worker):
    cookies: ClassVar[list[bytes]] = []

    async def pass_back(self, engine: EngineRequest, response: IncomingResponse, context: ReceiverContext) -> None:
        _Jar.cookies += [value for name, value in response.fields if name == b"set-cookie"]
        await super().pass_back(engine, response, context)

    def engine_fields(self, engine: EngineRequest) -> Fields:
        return (*super().engine_fields(engine), *((b"cookie", value) for value in _Jar.cookies))


@fault(id="node.secrecy.cookies", breaks=["NODE-011"], trips=["node.secrecy.nothing-kept"])
class Cookies(FaultyNode):
    """Keeps cookies of the engine for all requests."""

    worker = _Jar


class _ShowingFields(Worker):
    last: ClassVar[Fields] = ()

    async def pass_back(self, engine: EngineRequest, response: IncomingResponse, context: ReceiverContext) -> None:
        _ShowingFields.last = tuple(line for line in response.fields if line[0].startswith(b"x-"))
        await super().pass_back(engine, response, context)


class _Showing(_Telling):
    async def send_head(self, status: int, fields: Fields = ()) -> None:
        await self._responder.send_head(status, (*fields, *_ShowingFields.last))


@fault(id="node.secrecy.engine-fields", breaks=["NODE-044", "NODE-008"], trips=["node.secrecy.in-the-clear"])
class EngineFields(FaultyNode):
    """Passes fields of the engine on outside the sealed response."""

    worker = _ShowingFields

    async def pass_back(self, responder: Responder, event: Any) -> None:
        await super().pass_back(_Showing(responder), event)  # type: ignore[arg-type]


class _LoggingNonsense(Worker):
    async def ask_engine(self, engine: EngineRequest, context: ReceiverContext) -> None:
        heard: list[bytes] = []

        def tap(connection: int, direction: str, time: float, data: bytes) -> None:
            heard.extend([data] if direction == "in" else [])

        try:
            async with connect(self.settings.engine_url, tap=tap) as connection:
                await connection.send_head(b"POST", engine.path.encode(), self.engine_fields(engine))
                await connection.send(engine.body)
                await connection.finish()
                await self.pass_back(engine, await connection.response(), context)
        except Http1Error as error:
            print(f"malformed response {b''.join(heard)[:60]!r}", file=sys.stderr, flush=True)
            raise EngineFailed from error


@fault(id="node.secrecy.nonsense-logged", breaks=["NODE-012"], trips=["node.secrecy.logs"])
class NonsenseLogged(FaultyNode):
    """Quotes an engine that talks nonsense in its log."""

    worker = _LoggingNonsense


class _LoggingHosts(Worker):
    def validate(self, head: RequestHead, body: bytes, broken: Rejected | None) -> EngineRequest:
        try:
            return super().validate(head, body, broken)
        except Rejected:
            print(f"refused for host {head.authority!r}, method {head.method!r}", file=sys.stderr, flush=True)
            raise


@fault(id="node.secrecy.hosts-logged", breaks=["NODE-012"], trips=["node.secrecy.logs"])
class HostsLogged(FaultyNode):
    """Writes hosts and methods of refused requests to standard error."""

    worker = _LoggingHosts


class _SharedAmount(Worker):
    latest: ClassVar[Parameters | None] = None

    def validate(self, head: RequestHead, body: bytes, broken: Rejected | None) -> EngineRequest:
        _SharedAmount.latest = self.parameters
        return super().validate(head, body, broken)

    def refund(self, status: int, usage: Usage | None) -> Any:
        self.parameters = _SharedAmount.latest or self.parameters
        return super().refund(status, usage)


@fault(id="node.secrecy.shared-amount", breaks=["NODE-011", "NODE-051"], trips=["node.secrecy.parallel"])
class SharedAmount(FaultyNode):
    """Refunds of the amount that came last."""

    worker = _SharedAmount
