"""Nodes that treat requests in one form, streams or traced requests otherwise than they must."""

from __future__ import annotations

from dataclasses import replace

from conformance.faults import fault
from conformance.faults.node.base import FaultyNode
from conformance.faults.node.workers import LenientWorker, field_of
from openpcc_ref.binary_http import RequestHead
from openpcc_ref.compute_messages import Form, ReceiverContext
from openpcc_ref.compute_node import EngineRequest
from openpcc_ref.errors import Rejected
from openpcc_ref.http1 import Fields
from openpcc_ref.services.node_worker import Worker


class _StreamWords(Worker):
    async def ask_engine(self, engine: EngineRequest, context: ReceiverContext) -> None:
        body = engine.body.replace(b'"ping"', b'"Answer politely. ping"') if engine.stream else engine.body
        await super().ask_engine(replace(engine, body=body), context)


@fault(
    id="node.requests.stream-words",
    breaks=["NODE-040"],
    trips=["node.requests.forwarded"],
    also=["node.json.nothing-else-changed"],
)
class StreamWords(FaultyNode):
    """Puts words of its own before the prompt of a streamed request."""

    worker = _StreamWords


class _LongInChunks(LenientWorker):
    def left_out(self, head: RequestHead, body: bytes) -> tuple[str, ...]:
        return ("compute-node.body.long",) if self.parameters.form is Form.CHUNKED else ()


@fault(id="node.requests.long-in-chunks", breaks=["NODE-036"], trips=["node.requests.body-limit"])
class LongInChunks(FaultyNode):
    """Takes longer bodies when they come in chunks."""

    worker = _LongInChunks


class _Tracing(Worker):
    traced = b""

    def validate(self, head: RequestHead, body: bytes, broken: Rejected | None) -> EngineRequest:
        self.traced = field_of(head, b"traceparent")
        return super().validate(head, body, broken)

    def engine_fields(self, engine: EngineRequest) -> Fields:
        return (*super().engine_fields(engine), *(((b"traceparent", self.traced),) if self.traced else ()))


@fault(id="node.requests.tracing", breaks=["NODE-014"], trips=["node.requests.fields-hidden"])
class Tracing(FaultyNode):
    """Goes on with the client's trace towards the engine."""

    worker = _Tracing
