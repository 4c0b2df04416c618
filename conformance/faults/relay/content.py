"""Relays that change, mix, keep or complete content."""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager

import anyio

from conformance.faults import fault
from conformance.faults.relay.whole import WholeRelay, is_chunked
from openpcc_ref.http1 import (
    Failure,
    Fields,
    Http1Error,
    IncomingRequest,
    IncomingResponse,
    Responder,
    Server,
    field_value,
    listen,
)
from openpcc_ref.services.forwarding import Upstream
from openpcc_ref.services.relay import Relay


@fault(
    id="relay.changes-request-octets",
    breaks=["OHT-053"],
    trips=["relay.content.request"],
    also=[
        "relay.content.after-garbage",
        "relay.content.large",
        "relay.content.no-coding-removed",
        "relay.content.one-after-the-other",
        "relay.content.own-answer",
    ],
)
class ChangesRequestOctets(Relay):
    """Takes unchunked request content for text and turns carriage returns into line feeds."""

    async def request_content(self, request: IncomingRequest) -> AsyncIterator[bytes]:
        async for data in super().request_content(request):
            yield data if is_chunked(request) else data.replace(b"\r", b"\n")


@fault(
    id="relay.changes-chunked-request-octets",
    breaks=["OHT-053"],
    trips=["relay.content.chunked-request"],
)
class ChangesChunkedRequestOctets(Relay):
    """Drops empty lines from chunked request content."""

    async def request_content(self, request: IncomingRequest) -> AsyncIterator[bytes]:
        async for data in super().request_content(request):
            yield data.replace(b"\r\n\r\n", b"\r\n") if is_chunked(request) else data


@fault(
    id="relay.changes-response-octets",
    breaks=["OHT-053"],
    trips=["relay.content.response"],
    also=[
        "relay.content.fresh-answer",
        "relay.content.large",
        "relay.content.no-coding-removed",
        "relay.content.one-after-the-other",
        "relay.content.own-answer",
    ],
)
class ChangesResponseOctets(Relay):
    """Turns carriage returns of unchunked response content into line feeds."""

    async def response_content(self, gateway: Upstream, response: IncomingResponse) -> AsyncIterator[bytes]:
        async for data in super().response_content(gateway, response):
            yield data if is_chunked(response) else data.replace(b"\r", b"\n")


@fault(
    id="relay.changes-chunked-response-octets",
    breaks=["OHT-053"],
    trips=["relay.content.chunked-response"],
)
class ChangesChunkedResponseOctets(Relay):
    """Drops empty lines from chunked response content."""

    async def response_content(self, gateway: Upstream, response: IncomingResponse) -> AsyncIterator[bytes]:
        async for data in super().response_content(gateway, response):
            yield data.replace(b"\r\n\r\n", b"\r\n") if is_chunked(response) else data


@fault(
    id="relay.answers-with-another-status",
    breaks=["OHT-053"],
    trips=["relay.content.response", "relay.content.chunked-response"],
)
class AnswersWithAnotherStatus(Relay):
    """Answers 202 (Accepted) where the gateway answered 200 to anything longer than one block."""

    def response_status(self, response: IncomingResponse) -> int:
        one_block = field_value(response.fields, b"content-length") in (b"564", b"548")
        return response.status if one_block or response.status != 200 else 202


@fault(
    id="relay.compresses-responses",
    breaks=["OHT-053"],
    trips=["relay.content.no-coding-applied"],
)
class CompressesResponses(WholeRelay):
    """Compresses responses for clients that accept it, as web servers do."""

    async def tell(
        self, request: IncomingRequest, responder: Responder, response: IncomingResponse, answer: bytes
    ) -> None:
        if b"gzip" in (field_value(request.fields, b"accept-encoding") or b""):
            answer = gzip.compress(answer)
        await super().tell(request, responder, response, answer)


@fault(
    id="relay.decompresses",
    breaks=["OHT-053"],
    trips=["relay.content.no-coding-removed"],
)
class Decompresses(Relay):
    """Undoes gzip in responses, as client libraries do on their own, and says nothing of it."""

    async def response_content(self, gateway: Upstream, response: IncomingResponse) -> AsyncIterator[bytes]:
        coded = field_value(response.fields, b"content-encoding") == b"gzip"
        machine = zlib.decompressobj(wbits=31)
        async for data in super().response_content(gateway, response):
            yield machine.decompress(data) if coded else data

    def response_framing(self, response: IncomingResponse) -> Fields:
        coded = field_value(response.fields, b"content-encoding") == b"gzip"
        return ((b"transfer-encoding", b"chunked"),) if coded else super().response_framing(response)


@fault(
    id="relay.limits-content",
    breaks=["OHT-053"],
    trips=["relay.content.large"],
)
class LimitsContent(Relay):
    """Refuses content of more than a mebibyte, the default of a widespread web server."""

    def refusal(self, request: IncomingRequest) -> int | None:
        length = int(field_value(request.fields, b"content-length") or 0)
        return 413 if length > 2**20 else super().refusal(request)


@fault(
    id="relay.answers-whoever-waits-longest",
    breaks=["OHT-053"],
    trips=["relay.content.own-answer"],
    also=["relay.streaming.beside-others"],
)
class AnswersWhoeverWaitsLongest(Relay):
    """Gives each response of the gateway to the client that has waited longest."""

    def __init__(self, gateway_url: str, *, step_s: float = 60.0) -> None:
        super().__init__(gateway_url, step_s=step_s)
        self._waiting: list[tuple[Responder, anyio.Event]] = []

    async def forward_response(self, gateway: Upstream, responder: Responder) -> None:
        mine = (responder, anyio.Event())
        self._waiting.append(mine)
        try:
            response = await gateway.response()
            first, answered = self._waiting.pop(0)
            await first.send_head(response.status, (*self.response_fields(response), *self.response_framing(response)))
            async for data in self.response_content(gateway, response):
                await first.send(data)
            await first.finish()
            answered.set()
            await mine[1].wait()
        finally:
            if mine in self._waiting:
                self._waiting.remove(mine)


@fault(
    id="relay.caches",
    breaks=["OHT-053"],
    trips=["relay.content.fresh-answer"],
    also=["relay.privacy.same-view"],
)
class Caches(WholeRelay):
    """Answers a repeated request with the answer it got the first time."""

    def __init__(self, gateway_url: str, *, step_s: float = 60.0) -> None:
        super().__init__(gateway_url, step_s=step_s)
        self._answers: dict[bytes, tuple[IncomingResponse, bytes]] = {}

    async def ask(self, request: IncomingRequest, content: bytes) -> tuple[IncomingResponse, bytes]:
        if content not in self._answers:
            self._answers[content] = await super().ask(request, content)
        return self._answers[content]


@fault(
    id="relay.answers-by-connection",
    breaks=["OHT-053"],
    trips=["relay.content.one-after-the-other"],
)
class AnswersByConnection(WholeRelay):
    """Answers every request on a client's connection with the content of its first answer there."""

    def __init__(self, gateway_url: str, *, step_s: float = 60.0) -> None:
        super().__init__(gateway_url, step_s=step_s)
        self._answers: dict[int, bytes] = {}

    async def tell(
        self, request: IncomingRequest, responder: Responder, response: IncomingResponse, answer: bytes
    ) -> None:
        first = self._answers.setdefault(request.connection_id, answer)
        await super().tell(request, responder, response, first)


@fault(
    id="relay.completes-cut-requests",
    breaks=["OHT-053"],
    trips=["relay.content.cut-chunked-request", "relay.content.closed-request", "relay.framing.odd-chunk-sizes"],
)
class CompletesCutRequests(Relay):
    """Ends a chunked request cleanly when the client's connection breaks or a chunk cannot be read."""

    async def request_content(self, request: IncomingRequest) -> AsyncIterator[bytes]:
        try:
            async for data in super().request_content(request):
                yield data
        except Http1Error:
            if not is_chunked(request):
                raise


@fault(
    id="relay.fills-up-cut-requests",
    breaks=["OHT-053"],
    trips=["relay.content.cut-sized-request", "relay.content.closed-request"],
)
class FillsUpCutRequests(Relay):
    """Fills a request up with zeros to the length it should have had."""

    async def request_content(self, request: IncomingRequest) -> AsyncIterator[bytes]:
        left = int(field_value(request.fields, b"content-length") or 0)
        try:
            async for data in super().request_content(request):
                left -= len(data)
                yield data
        except Http1Error:
            if is_chunked(request):
                raise
            yield bytes(left)


@fault(
    id="relay.takes-refusals-for-answers",
    breaks=["OHT-053"],
    trips=["relay.content.gateway-refusal"],
    also=["relay.failures.no-answer-is-final", "relay.resource.redirect"],
)
class TakesRefusalsForAnswers(Relay):
    """Answers 200 whatever the gateway's status was."""

    def response_status(self, response: IncomingResponse) -> int:
        return 200


@fault(
    id="relay.wears-out",
    breaks=["OHT-053"],
    trips=["relay.content.after-garbage"],
)
class WearsOut(Relay):
    """Ends after eight thousand connections."""

    def listening(self) -> AbstractAsyncContextManager[Server]:
        seen: set[int] = set()

        def count(connection: int, direction: str, time: float, data: bytes) -> None:
            seen.add(connection)
            if len(seen) > 8000:
                os._exit(1)

        return listen(self.handle, tap=count)


@fault(
    id="relay.takes-closing-for-the-end-of-requests",
    breaks=["OHT-053"],
    trips=["relay.content.closed-request"],
    also=["relay.framing.odd-chunk-sizes"],
)
class TakesClosingForTheEndOfRequests(Relay):
    """Ends a chunked request cleanly when the client closes its side in good order."""

    async def request_content(self, request: IncomingRequest) -> AsyncIterator[bytes]:
        try:
            async for data in super().request_content(request):
                yield data
        except Http1Error as error:
            if not is_chunked(request) or error.failure is not Failure.CLOSED:
                raise
