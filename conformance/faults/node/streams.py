"""Nodes whose streams go wrong where an engine, a client or a credit does."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

from conformance.faults import fault
from conformance.faults.node.base import FaultyNode
from conformance.faults.node.responses import FilteringWorker
from openpcc_ref.compute_node import UsageReader
from openpcc_ref.http1 import Http1Error, IncomingRequest, IncomingResponse, Responder
from openpcc_ref.services.node_worker import EngineFailed, Worker


class _Strict(FilteringWorker):
    async def filtered(self, response: IncomingResponse) -> AsyncIterator[bytes]:
        async for chunk in response.body():
            if chunk.data.startswith(b"{"):
                try:
                    json.loads(chunk.data)
                except ValueError as error:
                    raise EngineFailed from error
            yield chunk.data


@fault(id="node.streams.strict-lines", breaks=["NODE-060"], trips=["node.streams.broken-lines"])
class StrictLines(FaultyNode):
    """Fails where a piece of a stream begins like an object and is none."""

    worker = _Strict


class _Dropping(FilteringWorker):
    async def filtered(self, response: IncomingResponse) -> AsyncIterator[bytes]:
        async for chunk in response.body():
            if not chunk.data.startswith(b": "):
                yield chunk.data


@fault(id="node.streams.no-comments", breaks=["NODE-060"], trips=["node.streams.broken-lines"])
class NoComments(FaultyNode):
    """Leaves comments out of a stream."""

    worker = _Dropping


@fault(
    id="node.streams.stunned",
    breaks=["NODE-001"],
    trips=["node.streams.client-leaves"],
    also=["node.responses.first-token"],  # its client leaves as well
)
class Stunned(FaultyNode):
    """Refuses the next request after a client has left."""

    stunned = False

    async def pass_back(self, responder: Responder, event: Any) -> None:
        try:
            await super().pass_back(responder, event)
        except Http1Error:
            self.stunned = True
            raise

    async def compute(self, request: IncomingRequest, responder: Responder) -> None:
        if self.stunned:
            self.stunned = False
            await self.refuse(responder, 503, "busy")
        else:
            await super().compute(request, responder)


class _Unlimited(Worker):
    def spent(self, usage: UsageReader) -> bool:
        return False


@fault(id="node.streams.unlimited", breaks=["NODE-056"], trips=["node.streams.credit-spent"])
class Unlimited(FaultyNode):
    """Lets the engine go on when the credit is spent."""

    worker = _Unlimited
