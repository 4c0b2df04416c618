"""The relay: passes encapsulated messages on to its one gateway and tells neither side about the other.

Run it as ``python -m openpcc_ref.services.relay`` with the configuration ``{"gateway_url": …}``. It follows the texts
(RFC 9458, chunked OHTTP), not what deployed relays do besides. Requirements: OHT-049, OHT-052 to OHT-060.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Mapping
from functools import partial
from typing import Any, Self

from openpcc_ref.http1 import (
    Failure,
    Fields,
    IncomingRequest,
    IncomingResponse,
    Responder,
    field_value,
)
from openpcc_ref.oblivious_http import Form
from openpcc_ref.services.config import Settings
from openpcc_ref.services.forwarding import Upstream, UpstreamFailed, both_ways, framing, open_upstream, path_of
from openpcc_ref.services.launch import Service, main

REQUEST_FIELDS = frozenset({b"content-type", b"content-encoding", b"incremental"})
"""What of a request's fields reaches the gateway, besides its framing. Requirements: OHT-054 to OHT-056."""

RESPONSE_FIELDS = frozenset({b"content-type", b"content-encoding", b"incremental", b"cache-control", b"date"})
"""What of a response's fields reaches the client, besides its framing. Requirements: OHT-053, OHT-054."""

MEDIA_TYPES = frozenset(form.request_media_type for form in Form)


class Relay(Service):
    """A relay in front of one gateway resource. ``step_s`` bounds each wait for the gateway, in seconds."""

    def __init__(self, gateway_url: str, *, step_s: float = 60.0) -> None:
        self.gateway_url = gateway_url
        self.step_s = step_s

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        settings = Settings(config)
        relay = cls(settings.url("gateway_url"))
        settings.end()
        return relay

    async def handle(self, request: IncomingRequest, responder: Responder) -> None:
        refusal = self.refusal(request)
        if refusal is not None:
            await self.refuse(responder, refusal)
            return
        try:
            await self.forward(request, responder)
        except UpstreamFailed as failure:
            if responder.started:
                await self.break_off(responder)
            else:
                await self.refuse(responder, self.failure_status(failure))

    def refusal(self, request: IncomingRequest) -> int | None:
        """Return the status for a request that cannot be an encapsulated one. Requirements: OHT-058."""
        media_type = field_value(request.fields, b"content-type") or b""
        if request.method != b"POST":
            return 405
        if media_type.partition(b";")[0].strip().lower() not in MEDIA_TYPES:
            return 415
        if field_value(request.fields, b"content-length") == b"0":
            return 400
        return None

    async def refuse(self, responder: Responder, status: int) -> None:
        """Answer without content."""
        allow = ((b"allow", b"POST"),) if status == 405 else ()
        await responder.send_head(status, (*allow, (b"content-length", b"0")))
        await responder.finish()

    def failure_status(self, failure: UpstreamFailed) -> int:
        """Return the status for a gateway that gave no response. Requirements: OHT-059."""
        return 504 if failure.error.failure is Failure.TIMEOUT else 502

    async def break_off(self, responder: Responder) -> None:
        """End a response that the gateway broke off, as visibly as it did. Requirements: OHT-060."""
        await responder.abort()

    async def forward(self, request: IncomingRequest, responder: Responder) -> None:
        """Do the exchange with the gateway, once. Requirements: OHT-049, OHT-057."""
        url = self.gateway_for(request)
        async with open_upstream(url, self.step_s) as gateway:
            head = (b"POST", path_of(url), (*self.request_fields(request), *framing(request)))
            await gateway.send_head(*head)
            await both_ways(
                partial(self.forward_request, request, gateway), partial(self.forward_response, gateway, responder)
            )

    def gateway_for(self, request: IncomingRequest) -> str:
        """Return the gateway resource, whatever the request names. Requirements: OHT-052."""
        return self.gateway_url

    def request_fields(self, request: IncomingRequest) -> Fields:
        """Return the fields that the gateway gets to see. Requirements: OHT-054 to OHT-056."""
        return tuple(line for line in request.fields if line[0] in REQUEST_FIELDS)

    def response_fields(self, response: IncomingResponse) -> Fields:
        """Return the fields that the client gets to see. Requirements: OHT-053, OHT-054."""
        return tuple(line for line in response.fields if line[0] in RESPONSE_FIELDS)

    def response_status(self, response: IncomingResponse) -> int:
        """Return the status that the client gets to see."""
        return response.status

    async def forward_request(self, request: IncomingRequest, gateway: Upstream) -> None:
        """Pass the content on; trailers are dropped, for encapsulated messages have theirs inside."""
        try:
            async for data in self.request_content(request):
                await gateway.send(data)
        except Exception:
            await gateway.abort()
            raise
        await gateway.finish(self.request_trailers(request))

    async def request_content(self, request: IncomingRequest) -> AsyncIterator[bytes]:
        """Yield content for the gateway, as it arrives and unchanged. Requirements: OHT-053, OHT-057."""
        async for chunk in request.body():
            yield chunk.data

    def request_trailers(self, request: IncomingRequest) -> Fields:
        """Return the outer trailers that the gateway gets to see."""
        return ()

    async def forward_response(self, gateway: Upstream, responder: Responder) -> None:
        """Pass the response back."""
        response = await gateway.response()
        fields = (*self.response_fields(response), *self.response_framing(response))
        await responder.send_head(self.response_status(response), fields)
        async for data in self.response_content(gateway, response):
            await responder.send(data)
        await responder.finish(self.response_trailers(response))

    def response_framing(self, response: IncomingResponse) -> Fields:
        """Return the field that frames the response."""
        return () if response.status in (204, 304) else framing(response)

    async def response_content(self, gateway: Upstream, response: IncomingResponse) -> AsyncIterator[bytes]:
        """Yield content for the client, as it arrives and unchanged. Requirements: OHT-053, OHT-057."""
        async for chunk in gateway.content(response):
            yield chunk.data

    def response_trailers(self, response: IncomingResponse) -> Fields:
        """Return the outer trailers that the client gets to see."""
        return ()


if __name__ == "__main__":
    main(Relay, sys.argv[1:])
