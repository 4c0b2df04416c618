"""Gateways that hide failures behind them, or fail themselves."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio

from conformance.faults import fault
from openpcc_ref.http1 import (
    Chunk,
    Failure,
    Http1Error,
    IncomingRequest,
    IncomingResponse,
    Responder,
    field_value,
    server,
)
from openpcc_ref.http1.wire import Wire
from openpcc_ref.services.forwarding import Upstream, UpstreamFailed
from openpcc_ref.services.gateway import Gateway
from openpcc_ref.services.inner_answer import InnerAnswer, Problem
from openpcc_ref.services.sealed_request import InnerRequest, SealedRequest


@fault(
    id="gateway.failures.failure-is-404",
    breaks=["OHT-071"],
    trips=["gateway.failures.unreachable", "gateway.failures.closed", "gateway.failures.not-http"],
    also=["gateway.failures.sized-cut", "gateway.failures.unsized-cut"],
)
class FailureIs404(Gateway):
    """Blames the client for a service that is down."""

    def upstream_failure(self, failure: UpstreamFailed) -> InnerAnswer:
        return InnerAnswer(404, b"404 page not found\n")


class _Forgiving:
    """An upstream whose responses never break off: what is missing is made up of zeros."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream

    async def response(self) -> IncomingResponse:
        return await self._upstream.response()

    async def content(self, response: IncomingResponse) -> AsyncIterator[Chunk]:
        left = int(field_value(response.fields, b"content-length") or 0)
        try:
            async for chunk in self._upstream.content(response):
                left -= len(chunk.data)
                yield chunk
        except UpstreamFailed:
            yield Chunk(bytes(max(left, 0)))


@fault(
    id="gateway.failures.cut-hidden",
    breaks=["OHT-072"],
    trips=["gateway.failures.sized-cut", "gateway.failures.unsized-cut"],
)
class CutHidden(Gateway):
    """Ends a response properly that broke off behind it."""

    async def forward_response(
        self, sealed: SealedRequest, inner: InnerRequest, upstream: Upstream, responder: Responder
    ) -> None:
        forgiving: Any = _Forgiving(upstream)
        await super().forward_response(sealed, inner, forgiving, responder)


@fault(
    id="gateway.failures.one-at-a-time",
    breaks=["OHT-090"],
    trips=[
        "gateway.robustness.stalled-clients",
        "gateway.robustness.stalled-service",
        "gateway.responses.concurrent",
    ],
)
class OneAtATime(Gateway):
    """Serves one request after the other."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._turn = anyio.Lock()

    async def handle(self, request: IncomingRequest, responder: Responder) -> None:
        async with self._turn:
            await super().handle(request, responder)


@fault(
    id="gateway.failures.wears-out",
    breaks=["OHT-090"],
    trips=["gateway.robustness.garbage"],
    also=["gateway.robustness.junk-content"],
)
class WearsOut(Gateway):
    """Runs out of something after some thousands of refusals."""

    refused = 0

    async def refuse(self, responder: Responder, status: int, problem: Problem) -> None:
        self.refused += 1
        await super().refuse(responder, 503 if self.refused > 5000 else status, problem)


@fault(id="gateway.failures.dies-of-cuts", breaks=["OHT-090"], trips=["gateway.robustness.broken-off"])
class DiesOfCuts(Gateway):
    """Dies when services have broken off often enough, as deployed gateways do by chance."""

    cuts = 0

    async def break_off(self, responder: Responder) -> None:
        self.cuts += 1
        if self.cuts == 200:
            os._exit(2)
        await super().break_off(responder)


@fault(id="gateway.failures.hangs-on-nonsense", breaks=["OHT-090"], trips=["gateway.robustness.not-http"])
class HangsOnNonsense(Gateway):
    """Keeps a connection open and silent that does not speak HTTP."""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async def hang(wire: Wire, error: Http1Error) -> None:
            await anyio.sleep_forever()

        server._refuse = hang
        yield


@fault(id="gateway.failures.no-health", breaks=["OHT-080"], trips=["gateway.robustness.health"])
class NoHealth(Gateway):
    """Refuses everything that is not POST."""

    async def answer_unencapsulated(self, request: IncomingRequest, responder: Responder) -> None:
        await responder.send_head(405, ((b"allow", b"POST"), (b"content-length", b"0")))
        await responder.finish()


class _ClosingIsTheEnd(_Forgiving):
    """An upstream whose responses end where it closes the connection in good order."""

    async def content(self, response: IncomingResponse) -> AsyncIterator[Chunk]:
        try:
            async for chunk in self._upstream.content(response):
                yield chunk
        except UpstreamFailed as failure:
            if failure.error.failure is not Failure.CLOSED:
                raise


@fault(
    id="gateway.failures.closing-is-the-end",
    breaks=["OHT-072"],
    trips=["gateway.failures.sized-cut", "gateway.failures.unsized-cut"],
)
class ClosingIsTheEnd(Gateway):
    """Takes the end of the service's connection for the end of its response."""

    async def forward_response(
        self, sealed: SealedRequest, inner: InnerRequest, upstream: Upstream, responder: Responder
    ) -> None:
        closing: Any = _ClosingIsTheEnd(upstream)
        await super().forward_response(sealed, inner, closing, responder)
