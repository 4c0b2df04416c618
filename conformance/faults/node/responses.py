"""Nodes that answer otherwise than they must."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

from conformance.faults import fault
from conformance.faults.node.base import FaultyNode
from openpcc_ref.compute_messages import ENCODED_CHUNK, Form, ReceiverContext, ResponseSealer
from openpcc_ref.compute_node import EngineRequest, Parameters
from openpcc_ref.http1 import Chunk, Fields, Http1Error, IncomingRequest, IncomingResponse, Responder
from openpcc_ref.oblivious_http.messages import body_sealer
from openpcc_ref.services.node import INTERNAL
from openpcc_ref.services.node_worker import SealedAnswer, Worker
from openpcc_ref.sources import RandomSource


class Filtered:
    """An engine's response whose content comes through ``content``."""

    def __init__(self, response: IncomingResponse, content: Callable[[IncomingResponse], AsyncIterator[bytes]]) -> None:
        self._response = response
        self._content = content

    def __getattr__(self, name: str) -> Any:
        return getattr(self._response, name)

    async def body(self) -> AsyncIterator[Chunk]:
        async for data in self._content(self._response):
            yield Chunk(data, True, True)


class FilteringWorker(Worker):
    """Passes the engine's content on through ``filtered``."""

    async def filtered(self, response: IncomingResponse) -> AsyncIterator[bytes]:
        async for chunk in response.body():
            yield chunk.data

    async def pass_back(self, engine: EngineRequest, response: IncomingResponse, context: ReceiverContext) -> None:
        await super().pass_back(engine, Filtered(response, self.filtered), context)  # type: ignore[arg-type]


class _Collecting(Worker):
    async def pass_back(self, engine: EngineRequest, response: IncomingResponse, context: ReceiverContext) -> None:
        content = await response.read()
        kept = tuple(line for line in response.fields if line[0] != b"content-length")
        await self.answer(context, response.status, kept, content)
        await self.end(response.status, None)


@fault(
    id="node.responses.whole",
    breaks=["NODE-061", "NODE-060"],
    trips=["node.responses.form", "node.responses.first-token", "node.responses.chunk-size"],
    also=[
        "node.refunds.divided",
        "node.refunds.last-usage",
        "node.refunds.prices",
        "node.refunds.rounding",
        "node.refunds.spoken-usage",
        "node.refunds.unbiased",
        "node.refunds.usage",
        "node.responses.content-chunks",
        "node.responses.engine-failed",
        "node.responses.every-token",
        "node.responses.filled",
        "node.secrecy.parallel",
        "node.streams.broken-lines",
        "node.streams.credit-spent",
    ],
)
class Whole(FaultyNode):
    """Collects streams and seals them whole, without a look at their usage."""

    worker = _Collecting


class _Unsized:
    """An engine's response that does not say how long it is."""

    def __init__(self, response: IncomingResponse) -> None:
        self._response = response
        self.fields = tuple(line for line in response.fields if line[0] != b"content-length")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._response, name)


class _Streaming(Worker):
    async def pass_back(self, engine: EngineRequest, response: IncomingResponse, context: ReceiverContext) -> None:
        await super().pass_back(engine, _Unsized(response), context)  # type: ignore[arg-type]


@fault(id="node.responses.all-streamed", breaks=["MSG-036"], trips=["node.responses.known-length"])
class AllStreamed(FaultyNode):
    """Seals every answer of the engine in chunks, whether its length is known or not."""

    worker = _Streaming


class _Holding(FilteringWorker):
    async def filtered(self, response: IncomingResponse) -> AsyncIterator[bytes]:
        yield await response.read()


@fault(
    id="node.responses.held",
    breaks=["NODE-060"],
    trips=["node.responses.first-token"],
    also=[
        "node.responses.every-token",
        "node.streams.credit-spent",
    ],
)
class Held(FaultyNode):
    """Waits for the end of a stream before it passes on anything."""

    worker = _Holding


class _LineBreaks(FilteringWorker):
    async def filtered(self, response: IncomingResponse) -> AsyncIterator[bytes]:
        async for chunk in response.body():
            yield chunk.data.replace(b"\r\n", b"\n")


@fault(id="node.responses.line-breaks", breaks=["NODE-060"], trips=["node.responses.stream-kept"])
class LineBreaks(FaultyNode):
    """Changes line breaks, with declared lengths as they were."""

    worker = _LineBreaks


class _Unpadded(SealedAnswer):
    async def finish(self) -> None:
        await self._write(self._sealer.seal(self._encoder.finish().rstrip(b"\0")) + self._sealer.finish())


class _NoPadding(Worker):
    async def answer(
        self, context: ReceiverContext, status: int, fields: tuple[tuple[bytes, bytes], ...], content: bytes
    ) -> None:
        sealed = _Unpadded(self, context, status, fields, len(content))
        await sealed.start()
        await sealed.content(content)
        await sealed.finish()


@fault(id="node.responses.unpadded", breaks=["MSG-073"], trips=["node.responses.padded"])
class Unpadded(FaultyNode):
    """Does not pad refusals."""

    worker = _NoPadding


class _Summary(Worker):
    async def pass_back(self, engine: EngineRequest, response: IncomingResponse, context: ReceiverContext) -> None:
        if response.status < 400:
            await super().pass_back(engine, response, context)
            return
        await response.read()
        await self.answer(context, 500, (), b"the engine failed")
        await self.end(500, None)


@fault(
    id="node.responses.error-replaced",
    breaks=["NODE-008", "NODE-050"],
    trips=["node.responses.engine-errors"],
    also=["node.refunds.engine-error"],
)
class ErrorReplaced(FaultyNode):
    """Replaces every error of the engine by one of its own."""

    worker = _Summary


class _Ending(FilteringWorker):
    async def filtered(self, response: IncomingResponse) -> AsyncIterator[bytes]:
        with suppress(Http1Error):
            async for chunk in response.body():
                yield chunk.data


@fault(
    id="node.responses.cut-is-end",
    breaks=["NODE-064", "MSG-045"],
    trips=["node.responses.engine-cut"],
)
class CutIsEnd(FaultyNode):
    """Seals what came before the engine broke off as if it were all."""

    worker = _Ending


class _Finishing:
    """A responder that does not abort."""

    def __init__(self, responder: Responder) -> None:
        self._responder = responder

    def __getattr__(self, name: str) -> Any:
        return getattr(self._responder, name)

    async def abort(self) -> None:
        await self._responder.finish()


@fault(id="node.responses.clean-end", breaks=["NODE-064"], trips=["node.responses.engine-cut"])
class CleanEnd(FaultyNode):
    """Ends the HTTP response cleanly when the worker has failed."""

    async def compute(self, request: IncomingRequest, responder: Responder) -> None:
        await super().compute(request, _Finishing(responder))  # type: ignore[arg-type]


@fault(id="node.responses.failure-costs", breaks=["NODE-055"], trips=["node.responses.engine-failed"])
class FailureCosts(FaultyNode):
    """Refunds nothing when it fails by its own fault."""

    async def refuse_by_own_fault(self, responder: Responder, parameters: Parameters) -> None:
        await self.refuse(responder, 500, INTERNAL)


class _FixedNonce(Worker):
    def response_sealer(self, context: ReceiverContext, form: Form) -> ResponseSealer:
        return ResponseSealer(context, form, random=bytes)


@fault(id="node.responses.fixed-nonce", breaks=["MSG-052"], trips=["node.responses.fresh-nonce"])
class FixedNonce(FaultyNode):
    """Seals every response with the same nonce."""

    worker = _FixedNonce


class _EagerSealer(ResponseSealer):
    def seal(self, data: bytes) -> bytes:
        sealed = b""
        for start in range(0, len(data), 64):
            sealed += super().seal(data[start : start + 64]) + self.flush()
        return sealed


class _Eager(Worker):
    def response_sealer(self, context: ReceiverContext, form: Form) -> ResponseSealer:
        return _EagerSealer(context, form, random=self.random)


@fault(id="node.responses.small-chunks", breaks=["MSG-076"], trips=["node.responses.filled"])
class SmallChunks(FaultyNode):
    """Seals every 64 bytes as a chunk of their own."""

    worker = _Eager


class _LargeChunks(ResponseSealer):
    """Seals chunks of up to ``largest`` bytes."""

    largest = 2**15

    def __init__(self, context: ReceiverContext, form: Form, *, random: RandomSource) -> None:
        super().__init__(context, form, random=random)
        self._whole = form is Form.UNCHUNKED
        self._sealing = body_sealer(form, context.aead_id, self.keys.aead_key, self.keys.aead_nonce)
        self._held = bytearray()

    def seal(self, data: bytes) -> bytes:
        self._held += data
        sealed = b""
        while not self._whole and len(self._held) >= self.largest:
            sealed += self._sealing.seal(bytes(self._held[: self.largest]))
            del self._held[: self.largest]
        return sealed

    def flush(self) -> bytes:
        held = b"" if self._whole else bytes(self._held)
        del self._held[: len(held)]
        return self._sealing.seal(held) if held else b""

    def finish(self) -> bytes:
        return self.flush() + self._sealing.seal_final(bytes(self._held))


class _Large(Worker):
    def response_sealer(self, context: ReceiverContext, form: Form) -> ResponseSealer:
        return _LargeChunks(context, form, random=self.random)


@fault(id="node.responses.large-chunks", breaks=["NODE-061", "MSG-074"], trips=["node.responses.chunk-size"])
class LargeChunks(FaultyNode):
    """Seals each piece of a stream as one chunk."""

    worker = _Large


class _OneMore(_LargeChunks):
    largest = ENCODED_CHUNK + 1


class _OneMoreByte(Worker):
    def response_sealer(self, context: ReceiverContext, form: Form) -> ResponseSealer:
        return _OneMore(context, form, random=self.random)


@fault(id="node.responses.one-byte-more", breaks=["NODE-061", "MSG-074"], trips=["node.responses.chunk-size"])
class OneByteMore(FaultyNode):
    """Fills chunks to 515 bytes."""

    worker = _OneMoreByte


class _KnownInChunks(SealedAnswer):
    def __init__(self, worker: Worker, context: ReceiverContext, status: int, fields: Fields, length: int) -> None:
        super().__init__(worker, context, status, fields, length)
        self._form = Form.CHUNKED
        self._sealer = worker.response_sealer(context, self._form)


class _Mismatching(Worker):
    async def answer(self, context: ReceiverContext, status: int, fields: Fields, content: bytes) -> None:
        sealed = _KnownInChunks(self, context, status, fields, len(content))
        await sealed.start()
        await sealed.content(content)
        await sealed.finish()


@fault(
    id="node.responses.known-in-chunks",
    breaks=["MSG-072", "NODE-061"],
    trips=["node.responses.form"],
    also=["node.responses.known-length"],
)
class KnownInChunks(FaultyNode):
    """Seals refusals, whose length is known, in chunks."""

    worker = _Mismatching


class _LongContent(SealedAnswer):
    async def content(self, data: bytes) -> None:
        await self._write(self._sealer.seal(self._encoder.content(data)) + self._sealer.flush())


class _LongPieces(Worker):
    def sealed_answer(
        self, context: ReceiverContext, status: int, fields: tuple[tuple[bytes, bytes], ...], length: int | None
    ) -> SealedAnswer:
        kind = _LongContent if status == 200 and length is None else SealedAnswer
        return kind(self, context, status, fields, length)


@fault(id="node.responses.long-content", breaks=["MSG-075"], trips=["node.responses.content-chunks"])
class LongContent(FaultyNode):
    """Encodes each piece of a stream as one content chunk."""

    worker = _LongPieces
