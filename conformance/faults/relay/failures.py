"""Relays that hide failures or try again."""

from __future__ import annotations

from collections.abc import AsyncIterator

from conformance.faults import fault
from conformance.faults.relay.whole import WholeRelay, is_chunked
from openpcc_ref.http1 import Failure, Fields, IncomingRequest, IncomingResponse, field_value
from openpcc_ref.services.forwarding import CHUNKED, Upstream, UpstreamFailed
from openpcc_ref.services.relay import Relay


@fault(
    id="relay.blames-the-client",
    breaks=["OHT-059"],
    trips=["relay.failures.unreachable", "relay.failures.hang-up", "relay.failures.garbage"],
)
class BlamesTheClient(Relay):
    """Answers 400 when the gateway fails."""

    def failure_status(self, failure: UpstreamFailed) -> int:
        return 400


@fault(
    id="relay.answers-garbage-with-nothing",
    breaks=["OHT-059"],
    trips=["relay.failures.garbage"],
)
class AnswersGarbageWithNothing(Relay):
    """Answers an empty 200 when it does not understand the gateway."""

    def failure_status(self, failure: UpstreamFailed) -> int:
        return 200 if failure.error.failure is Failure.MALFORMED else super().failure_status(failure)


@fault(
    id="relay.retries",
    breaks=["OHT-049"],
    trips=["relay.failures.hang-up", "relay.failures.hang-up-on-reuse", "relay.failures.broken-answer-is-final"],
)
class Retries(WholeRelay):
    """Asks the gateway again when it gives no answer."""

    async def ask(self, request: IncomingRequest, content: bytes) -> tuple[IncomingResponse, bytes]:
        try:
            return await super().ask(request, content)
        except UpstreamFailed:
            return await super().ask(request, content)


@fault(
    id="relay.retries-on-kept-connections",
    breaks=["OHT-049"],
    trips=["relay.failures.hang-up-on-reuse"],
)
class RetriesOnKeptConnections(WholeRelay):
    """Asks again when a connection that has served before breaks, as connection pools do."""

    def __init__(self, gateway_url: str, *, step_s: float = 60.0) -> None:
        super().__init__(gateway_url, step_s=step_s)
        self._served: set[int] = set()

    async def ask(self, request: IncomingRequest, content: bytes) -> tuple[IncomingResponse, bytes]:
        kept = request.connection_id in self._served
        self._served.add(request.connection_id)
        try:
            return await super().ask(request, content)
        except UpstreamFailed:
            if not kept:
                raise
            return await super().ask(request, content)


@fault(
    id="relay.retries-on-503",
    breaks=["OHT-049"],
    trips=["relay.failures.no-answer-is-final"],
)
class RetriesOn503(WholeRelay):
    """Asks again when the gateway says 503 (Service Unavailable)."""

    async def ask(self, request: IncomingRequest, content: bytes) -> tuple[IncomingResponse, bytes]:
        response, answer = await super().ask(request, content)
        return await super().ask(request, content) if response.status == 503 else (response, answer)


@fault(
    id="relay.ends-cut-responses-cleanly",
    breaks=["OHT-060"],
    trips=[
        "relay.failures.cut-chunked-response",
        "relay.failures.closed-chunked-response",
        "relay.failures.invalid-chunked-response",
    ],
)
class EndsCutResponsesCleanly(Relay):
    """Sends the last chunk when the gateway breaks off."""

    async def response_content(self, gateway: Upstream, response: IncomingResponse) -> AsyncIterator[bytes]:
        try:
            async for data in super().response_content(gateway, response):
                yield data
        except UpstreamFailed:
            if not is_chunked(response):
                raise


@fault(
    id="relay.takes-closing-for-the-end",
    breaks=["OHT-060"],
    trips=["relay.failures.closed-chunked-response"],
)
class TakesClosingForTheEnd(Relay):
    """Takes the end of the gateway's connection for the end of its response."""

    async def response_content(self, gateway: Upstream, response: IncomingResponse) -> AsyncIterator[bytes]:
        try:
            async for data in super().response_content(gateway, response):
                yield data
        except UpstreamFailed as failure:
            if not is_chunked(response) or failure.error.failure is not Failure.CLOSED:
                raise


@fault(
    id="relay.fills-up-cut-responses",
    breaks=["OHT-060"],
    trips=["relay.failures.cut-sized-response", "relay.failures.closed-sized-response"],
)
class FillsUpCutResponses(Relay):
    """Fills a response up with zeros to the length it should have had."""

    async def response_content(self, gateway: Upstream, response: IncomingResponse) -> AsyncIterator[bytes]:
        left = int(field_value(response.fields, b"content-length") or 0)
        try:
            async for data in super().response_content(gateway, response):
                left -= len(data)
                yield data
        except UpstreamFailed:
            if is_chunked(response):
                raise
            yield bytes(left)


@fault(
    id="relay.retries-broken-answers",
    breaks=["OHT-049"],
    trips=["relay.failures.broken-answer-is-final"],
)
class RetriesBrokenAnswers(WholeRelay):
    """Asks again when an answer has begun and is not what it should be."""

    async def ask(self, request: IncomingRequest, content: bytes) -> tuple[IncomingResponse, bytes]:
        try:
            return await super().ask(request, content)
        except UpstreamFailed as failure:
            if not failure.error.where.startswith("response content"):
                raise
            return await super().ask(request, content)


@fault(
    id="relay.retries-closed-connections",
    breaks=["OHT-049"],
    trips=["relay.failures.hang-up", "relay.failures.hang-up-on-reuse", "relay.failures.broken-answer-is-final"],
)
class RetriesClosedConnections(WholeRelay):
    """Asks again when the gateway closes the connection in good order without an answer."""

    async def ask(self, request: IncomingRequest, content: bytes) -> tuple[IncomingResponse, bytes]:
        try:
            return await super().ask(request, content)
        except UpstreamFailed as failure:
            if failure.error.failure is not Failure.CLOSED:
                raise
            return await super().ask(request, content)


class _EndsAfter(Relay):
    """Takes one way in which a response fails for its end."""

    def is_end(self, failure: Failure, response: IncomingResponse) -> bool:
        """Say whether the response is over."""
        raise NotImplementedError

    async def response_content(self, gateway: Upstream, response: IncomingResponse) -> AsyncIterator[bytes]:
        try:
            async for data in super().response_content(gateway, response):
                yield data
        except UpstreamFailed as failure:
            if not self.is_end(failure.error.failure, response):
                raise

    def response_framing(self, response: IncomingResponse) -> Fields:
        return () if response.status in (204, 304) else CHUNKED


@fault(
    id="relay.ends-short-responses-cleanly",
    breaks=["OHT-060"],
    trips=["relay.failures.closed-sized-response"],
)
class EndsShortResponsesCleanly(_EndsAfter):
    """Does not count content: a response is over when the connection is closed in good order."""

    def is_end(self, failure: Failure, response: IncomingResponse) -> bool:
        return failure is Failure.CLOSED and not is_chunked(response)


@fault(
    id="relay.ends-at-invalid-chunks",
    breaks=["OHT-060"],
    trips=["relay.failures.invalid-chunked-response"],
)
class EndsAtInvalidChunks(_EndsAfter):
    """Takes what is no chunk for the end of a response."""

    def is_end(self, failure: Failure, response: IncomingResponse) -> bool:
        return failure is Failure.MALFORMED
