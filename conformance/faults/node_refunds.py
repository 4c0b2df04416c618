"""Nodes that report another refund than they owe."""

from __future__ import annotations

from typing import Any

from conformance.faults import fault
from conformance.faults.node_base import FaultyNode
from openpcc_ref.compute_node import Footer, Usage
from openpcc_ref.credits.currency import encode_text, exact, neighbours
from openpcc_ref.http1 import Fields, Responder
from openpcc_ref.services.node_worker import Worker


class _Keeping(Worker):
    def refund(self, status: int, usage: Usage | None) -> Any:
        return super().refund(status, usage) if status >= 400 else None


@fault(
    id="node.refunds.keeps",
    breaks=["NODE-051"],
    trips=["node.refunds.usage", "node.refunds.prices", "node.refunds.last-usage", "node.refunds.rounding"],
    also=["node.streams.broken-lines"],
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
    also=["node.refunds.nothing-left", "node.refunds.rounding", "node.streams.broken-lines"],
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
        "node.refunds.engine-error",
        "node.refunds.last-usage",
        "node.refunds.prices",
        "node.refunds.rounding",
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
    also=["node.streams.broken-lines"],
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
