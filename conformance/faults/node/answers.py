"""Nodes whose answers are right at first sight: later tokens, ends, padding and nonces are not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from typing import ClassVar

from conformance.faults import fault
from conformance.faults.node.base import FaultyNode
from conformance.faults.node.responses import FilteringWorker
from openpcc_ref.compute_messages import Form, ReceiverContext, ResponseSealer
from openpcc_ref.compute_node import EngineRequest, UsageReader
from openpcc_ref.http1 import Http1Error, IncomingRequest, IncomingResponse, Responder, field_value
from openpcc_ref.services.node import UNOPENED
from openpcc_ref.services.node_worker import SealedAnswer, Worker


class _FirstOnly(FilteringWorker):
    async def filtered(self, response: IncomingResponse) -> AsyncIterator[bytes]:
        held: list[bytes] | None = None
        async for chunk in response.body():
            if held is None:
                held = []
                yield chunk.data
            else:
                held.append(chunk.data)
        yield b"".join(held or ())


@fault(
    id="node.responses.later-held",
    breaks=["NODE-060"],
    trips=["node.responses.every-token"],
    also=["node.streams.credit-spent"],
)
class LaterHeld(FaultyNode):
    """Passes the first piece of a stream on at once, and the others at the end."""

    worker = _FirstOnly


class _TakingShort(Worker):
    async def pass_back(self, engine: EngineRequest, response: IncomingResponse, context: ReceiverContext) -> None:
        if response.status != 200 or field_value(response.fields, b"content-length") is None:
            await super().pass_back(engine, response, context)
            return
        content, usage = b"", UsageReader(engine.path)
        with suppress(Http1Error):
            async for chunk in response.body():
                usage.feed(chunk.data)
                content += chunk.data
        kept = tuple(line for line in response.fields if line[0] != b"content-length")
        await self.answer(context, response.status, kept, content)
        await self.end(response.status, usage.finish())


@fault(id="node.responses.short-is-whole", breaks=["MSG-045", "NODE-064"], trips=["node.responses.engine-cut"])
class ShortIsWhole(FaultyNode):
    """Takes what came of an answer for all of it, whatever length was declared."""

    worker = _TakingShort


class _UnpaddedStream(SealedAnswer):
    async def finish(self) -> None:
        ends = self._encoder.finish()[:2]  # of content and of trailers
        await self._write(self._sealer.seal(ends) + self._sealer.finish())


class _NoPaddingInStreams(Worker):
    def sealed_answer(
        self, context: ReceiverContext, status: int, fields: tuple[tuple[bytes, bytes], ...], length: int | None
    ) -> SealedAnswer:
        kind = _UnpaddedStream if status == 200 and length is None else SealedAnswer
        return kind(self, context, status, fields, length)


@fault(id="node.responses.streams-unpadded", breaks=["MSG-073"], trips=["node.responses.padded"])
class StreamsUnpadded(FaultyNode):
    """Does not pad streams."""

    worker = _NoPaddingInStreams


class _CountedNonces(Worker):
    count = 0

    def response_sealer(self, context: ReceiverContext, form: Form) -> ResponseSealer:
        _CountedNonces.count += 1
        return ResponseSealer(context, form, random=lambda size: _CountedNonces.count.to_bytes(size, "big"))


@fault(id="node.responses.counted-nonces", breaks=["MSG-052"], trips=["node.responses.fresh-nonce"])
class CountedNonces(FaultyNode):
    """Takes a counter for the nonce of a response, and opens no request twice."""

    worker = _CountedNonces
    known: ClassVar[set[bytes]] = set()

    async def compute(self, request: IncomingRequest, responder: Responder) -> None:
        key = field_value(request.fields, b"x-encapsulated-key") or b""
        if key in self.known:
            await self.refuse(responder, 400, UNOPENED)
            return
        self.known.add(key)
        await super().compute(request, responder)
