"""Nodes that report another refund than they owe."""

from __future__ import annotations

import re
import secrets
from collections.abc import AsyncIterator
from typing import Any

from conformance.faults import fault
from conformance.faults.node.base import FaultyNode
from conformance.faults.node.responses import FilteringWorker
from openpcc_ref.compute_messages import ReceiverContext
from openpcc_ref.compute_node import EngineRequest, Footer, Header, Usage, UsageReader, refund
from openpcc_ref.credits.currency import encode_text, exact, neighbours
from openpcc_ref.http1 import Fields, IncomingResponse, Responder
from openpcc_ref.services.node_worker import Worker


class _Keeping(Worker):
    def refund(self, status: int, usage: Usage | None) -> Any:
        return super().refund(status, usage) if status >= 400 else None


@fault(
    id="node.refunds.keeps",
    breaks=["NODE-051"],
    trips=["node.refunds.usage", "node.refunds.prices", "node.refunds.last-usage", "node.refunds.rounding"],
    also=[
        "node.refunds.divided",
        "node.refunds.spoken-usage",
        "node.refunds.unbiased",
        "node.secrecy.parallel",
        "node.streams.broken-lines",
    ],
)
class Keeps(FaultyNode):
    """Keeps what an answer leaves."""

    worker = _Keeping


class _Swapping(Worker):
    def refund(self, status: int, usage: Usage | None) -> Any:
        return super().refund(status, usage and Usage(usage.output_tokens, usage.input_tokens))


@fault(
    id="node.refunds.swapped-prices",
    breaks=["NODE-051"],
    trips=["node.refunds.prices", "node.refunds.usage", "node.refunds.last-usage"],
    also=[
        "node.refunds.divided",
        "node.refunds.nothing-left",
        "node.refunds.rounding",
        "node.refunds.spoken-usage",
        "node.refunds.unbiased",
        "node.secrecy.parallel",
        "node.streams.broken-lines",
    ],
)
class SwappedPrices(FaultyNode):
    """Takes the price of output for input."""

    worker = _Swapping


class _AtLeastOne(Worker):
    def refund(self, status: int, usage: Usage | None) -> Any:
        refund = super().refund(status, usage)
        return exact(1) if refund is None and usage is not None else refund


@fault(
    id="node.refunds.at-least-one",
    breaks=["NODE-052"],
    trips=["node.refunds.nothing-left"],
    also=["node.refunds.rounding"],
)
class AtLeastOne(FaultyNode):
    """Refunds at least one credit."""

    worker = _AtLeastOne


class _Generous(Worker):
    def refund(self, status: int, usage: Usage | None) -> Any:
        return super().refund(500 if usage is None else status, usage)


@fault(
    id="node.refunds.generous",
    breaks=["NODE-052"],
    trips=["node.refunds.no-usage", "node.refunds.negative-usage"],
    also=["node.refunds.nothing-left"],
)
class Generous(FaultyNode):
    """Refunds everything where no usage is reported."""

    worker = _Generous


class _ZeroUsage(Worker):
    async def end(self, status: int, usage: Usage | None) -> None:
        await super().end(status, usage or (Usage(0, 0) if status < 400 else None))


@fault(
    id="node.refunds.zero-usage",
    breaks=["NODE-052"],
    trips=["node.refunds.no-usage", "node.refunds.negative-usage"],
    also=["node.refunds.nothing-left"],
)
class ZeroUsage(FaultyNode):
    """Takes a usage that it cannot read for zero."""

    worker = _ZeroUsage


class _ErrorsCost(Worker):
    def refund(self, status: int, usage: Usage | None) -> Any:
        return super().refund(200, usage) if status >= 400 and usage is not None else super().refund(status, usage)


@fault(id="node.refunds.errors-cost", breaks=["NODE-050"], trips=["node.refunds.engine-error"])
class ErrorsCost(FaultyNode):
    """Charges for errors of the engine that report a usage."""

    worker = _ErrorsCost


class _RefusalsCost(Worker):
    def refund(self, status: int, usage: Usage | None) -> Any:
        return None if status >= 400 and usage is None else super().refund(status, usage)


@fault(id="node.refunds.refusals-cost", breaks=["NODE-050"], trips=["node.refunds.refusal"])
class RefusalsCost(FaultyNode):
    """Charges for refused requests."""

    worker = _RefusalsCost


class _Down(Worker):
    def refund(self, status: int, usage: Usage | None) -> Any:
        if status >= 400 or usage is None or usage.cost >= self.parameters.credit_amount:
            return super().refund(status, usage)
        lower = neighbours(self.parameters.credit_amount - usage.cost).lower
        return exact(lower) if lower else None


@fault(id="node.refunds.rounds-down", breaks=["NODE-053"], trips=["node.refunds.rounding"])
class RoundsDown(FaultyNode):
    """Always rounds down."""

    worker = _Down


@fault(id="node.refunds.unannounced", breaks=["NODE-009"], trips=["node.refunds.trailer-only"])
class Unannounced(FaultyNode):
    """Sends the trailer without announcing it."""

    async def pass_back(self, responder: Responder, event: Any) -> None:
        await super().pass_back(_Without(responder), event)  # type: ignore[arg-type]


class _Without:
    """A responder that does not announce trailers."""

    def __init__(self, responder: Responder) -> None:
        self._responder = responder

    def __getattr__(self, name: str) -> Any:
        return getattr(self._responder, name)

    async def send_head(self, status: int, fields: Fields = ()) -> None:
        await self._responder.send_head(status, tuple(line for line in fields if line[0] != b"trailer"))


@fault(
    id="node.refunds.integer",
    breaks=["NODE-010"],
    trips=["node.refunds.usage", "node.refunds.refusal"],
    also=[
        "node.refunds.divided",
        "node.refunds.engine-error",
        "node.refunds.last-usage",
        "node.refunds.prices",
        "node.refunds.rounding",
        "node.refunds.spoken-usage",
        "node.refunds.unbiased",
        "node.secrecy.parallel",
        "node.streams.broken-lines",
    ],
)
class Integer(FaultyNode):
    """Reports refunds as decimal numbers."""

    def trailers(self, footer: Footer) -> Fields:
        refund = footer.refund
        return () if refund is None else ((b"X-Refund-Amount", str(refund.amount).encode()),)


class _FirstUsage(Worker):
    async def end(self, status: int, usage: Usage | None) -> None:
        await super().end(status, Usage(0, 0) if self.streamed and usage is not None else usage)

    streamed = False

    async def pass_back(self, engine: Any, response: Any, context: Any) -> None:
        self.streamed = engine.stream
        await super().pass_back(engine, response, context)


@fault(
    id="node.refunds.streams-free",
    breaks=["NODE-051"],
    trips=["node.refunds.usage", "node.refunds.last-usage"],
    also=[
        "node.refunds.divided",
        "node.streams.broken-lines",
    ],
)
class StreamsFree(FaultyNode):
    """Reads the usage from the first piece of a stream, where it is zero."""

    worker = _FirstUsage


@fault(id="node.refunds.head-too", breaks=["NODE-010"], trips=["node.refunds.trailer-only"])
class HeadToo(FaultyNode):
    """Promises a refund of everything in the head, too."""

    async def pass_back(self, responder: Responder, event: Any) -> None:
        await super().pass_back(_Promising(responder), event)  # type: ignore[arg-type]


class _Promising(_Without):
    async def send_head(self, status: int, fields: Fields = ()) -> None:
        await self._responder.send_head(status, (*fields, (b"x-refund-amount", encode_text(exact(8)).encode())))


class ReadingWorker(FilteringWorker):
    """Looks at each piece of the answer, and reports ``found`` as its usage."""

    path = ""
    found: Usage | None = None

    async def ask_engine(self, engine: EngineRequest, context: ReceiverContext) -> None:
        self.path = engine.path
        await super().ask_engine(engine, context)

    async def filtered(self, response: IncomingResponse) -> AsyncIterator[bytes]:
        async for chunk in response.body():
            self.look(chunk.data)
            yield chunk.data

    def look(self, piece: bytes) -> None:
        """Take a piece of the answer."""

    def usage_of(self, piece: bytes) -> Usage | None:
        """Return the usage in a piece, as if it were all."""
        reader = UsageReader(self.path)
        reader.feed(piece)
        return reader.finish()

    async def end(self, status: int, usage: Usage | None) -> None:
        await super().end(status, self.found)


class _Piecewise(ReadingWorker):
    def look(self, piece: bytes) -> None:
        self.found = self.usage_of(piece) or self.found


@fault(id="node.refunds.piecewise", breaks=["NODE-051"], trips=["node.refunds.divided"])
class Piecewise(FaultyNode):
    """Takes each piece that it reads from the engine for whole lines."""

    worker = _Piecewise


class _Adding(ReadingWorker):
    def look(self, piece: bytes) -> None:
        if usage := self.usage_of(piece):
            before = self.found or Usage(0, 0)
            read, written = before.input_tokens + usage.input_tokens, before.output_tokens + usage.output_tokens
            self.found = Usage(read, written)


@fault(
    id="node.refunds.adding",
    breaks=["NODE-051"],
    trips=["node.refunds.last-usage"],
    also=["node.refunds.divided"],
)
class Adding(FaultyNode):
    """Adds up all usages of a stream."""

    worker = _Adding


class _Credulous(ReadingWorker):
    said = b""

    def look(self, piece: bytes) -> None:
        self.said += piece

    async def end(self, status: int, usage: Usage | None) -> None:
        read = re.findall(rb'(?:prompt_tokens|prompt_eval_count)\\?": (\d+)', self.said)
        written = re.findall(rb'(?:completion_tokens|[" ]eval_count|\\"eval_count)\\?": (\d+)', self.said)
        self.found = Usage(int(read[-1]), int(written[-1])) if usage and read and written else None
        await super().end(status, usage)


@fault(id="node.refunds.credulous", breaks=["NODE-051"], trips=["node.refunds.spoken-usage"])
class Credulous(FaultyNode):
    """Searches the answer for numbers behind the names of counts, also in what the model says."""

    worker = _Credulous


class _Truths(ReadingWorker):
    said = b""

    def look(self, piece: bytes) -> None:
        self.said += piece

    def usage_of(self, piece: bytes) -> Usage | None:
        return super().usage_of(re.sub(rb'(_tokens|_count)": true', rb'\1": 1', piece))

    async def end(self, status: int, usage: Usage | None) -> None:
        self.found = self.usage_of(self.said)
        await super().end(status, usage)


@fault(id="node.refunds.truths", breaks=["NODE-052"], trips=["node.refunds.no-usage"])
class Truths(FaultyNode):
    """Takes true for one token."""

    worker = _Truths


class _Tossing(Worker):
    def refund(self, status: int, usage: Usage | None) -> Any:
        if status >= 400:
            return super().refund(status, usage)
        factor = secrets.choice((0.0, 1 - 2**-53))
        return refund(self.parameters.credit_amount, status, usage, factor)


@fault(id="node.refunds.tossing", breaks=["NODE-053"], trips=["node.refunds.unbiased"])
class Tossing(FaultyNode):
    """Tosses a coin between the neighbours, however near they are."""

    worker = _Tossing


@fault(id="node.refunds.streams-unannounced", breaks=["NODE-009"], trips=["node.refunds.trailer-only"])
class StreamsUnannounced(FaultyNode):
    """Announces no trailer for streams."""

    async def pass_back(self, responder: Responder, event: Any) -> None:
        if isinstance(event, Header) and event.max_chunk:
            media_type = (b"content-type", event.media_type.encode())
            await responder.send_head(200, (media_type, (b"transfer-encoding", b"chunked")))
        else:
            await super().pass_back(responder, event)
