"""Relays that hold messages back."""

from __future__ import annotations

from collections.abc import AsyncIterator

import anyio

from conformance.faults import fault
from conformance.faults.relay.whole import is_chunked
from openpcc_ref.http1 import IncomingRequest, IncomingResponse, Responder
from openpcc_ref.services.forwarding import Upstream
from openpcc_ref.services.relay import Relay

_BUFFER = 4096


@fault(
    id="relay.gathers-requests",
    breaks=["OHT-057"],
    trips=["relay.streaming.request", "relay.streaming.request-pieces"],
)
class GathersRequests(Relay):
    """Sends a request on when it has the whole of it."""

    async def request_content(self, request: IncomingRequest) -> AsyncIterator[bytes]:
        yield b"".join([data async for data in super().request_content(request)])


@fault(
    id="relay.gathers-responses",
    breaks=["OHT-057"],
    trips=["relay.streaming.response", "relay.streaming.response-pieces"],
)
class GathersResponses(Relay):
    """Sends a response on when it has the whole of it."""

    async def response_content(self, gateway: Upstream, response: IncomingResponse) -> AsyncIterator[bytes]:
        yield b"".join([data async for data in super().response_content(gateway, response)])


async def _in_blocks(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    gathered = b""
    async for data in pieces:
        gathered += data
        if len(gathered) >= _BUFFER:
            yield gathered
            gathered = b""
    yield gathered


@fault(
    id="relay.buffers-requests",
    breaks=["OHT-085"],
    trips=["relay.streaming.request-pieces"],
)
class BuffersRequests(Relay):
    """Sends chunked request content on in blocks of four kibibytes."""

    async def request_content(self, request: IncomingRequest) -> AsyncIterator[bytes]:
        pieces = super().request_content(request)
        async for data in _in_blocks(pieces) if is_chunked(request) else pieces:
            yield data


@fault(
    id="relay.buffers-responses",
    breaks=["OHT-085"],
    trips=["relay.streaming.response-pieces"],
)
class BuffersResponses(Relay):
    """Sends chunked response content on in blocks of four kibibytes."""

    async def response_content(self, gateway: Upstream, response: IncomingResponse) -> AsyncIterator[bytes]:
        pieces = super().response_content(gateway, response)
        async for data in _in_blocks(pieces) if is_chunked(response) else pieces:
            yield data


@fault(
    id="relay.serves-one-at-a-time",
    breaks=["OHT-085"],
    trips=["relay.streaming.beside-others"],
)
class ServesOneAtATime(Relay):
    """Begins an exchange when the one before is over."""

    def __init__(self, gateway_url: str, *, step_s: float = 60.0) -> None:
        super().__init__(gateway_url, step_s=step_s)
        self._free = anyio.Lock()

    async def forward(self, request: IncomingRequest, responder: Responder) -> None:
        async with self._free:
            await super().forward(request, responder)
