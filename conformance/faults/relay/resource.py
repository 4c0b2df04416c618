"""Relays that let themselves be led elsewhere, and relays that refuse in the wrong way."""

from __future__ import annotations

from contextlib import suppress
from urllib.parse import urlsplit

from conformance.faults import fault
from conformance.faults.relay.whole import WholeRelay
from openpcc_ref.http1 import Http1Error, IncomingRequest, IncomingResponse, Responder, exchange, field_value
from openpcc_ref.services.relay import MEDIA_TYPES, Relay


@fault(
    id="relay.appends-the-target",
    breaks=["OHT-052", "PRIV-002"],
    trips=["relay.resource.target", "relay.privacy.target"],
)
class AppendsTheTarget(Relay):
    """Asks the gateway for the path and query that the client named."""

    def gateway_for(self, request: IncomingRequest) -> str:
        target = request.target.decode()
        return self.gateway_url.rstrip("/") + target if target.startswith("/") else self.gateway_url


@fault(
    id="relay.is-a-proxy",
    breaks=["OHT-052"],
    trips=["relay.resource.absolute-target"],
)
class IsAProxy(Relay):
    """Goes where an absolute target says."""

    def gateway_for(self, request: IncomingRequest) -> str:
        target = request.target.decode()
        return target if target.startswith("http://") else self.gateway_url


@fault(
    id="relay.follows-the-host",
    breaks=["OHT-052"],
    trips=["relay.resource.host"],
)
class FollowsTheHost(Relay):
    """Goes to the server that the Host field names, unless that is itself."""

    _itself: bytes | None = None

    def gateway_for(self, request: IncomingRequest) -> str:
        named = field_value(request.fields, b"host") or b""
        self._itself = self._itself or named
        foreign = named != self._itself and named.startswith(b"127.")
        return f"http://{named.decode()}/" if foreign else self.gateway_url


@fault(
    id="relay.follows-rerouting-fields",
    breaks=["OHT-052"],
    trips=["relay.resource.rerouting-fields"],
)
class FollowsReroutingFields(Relay):
    """Goes to the path that X-Original-URL names."""

    def gateway_for(self, request: IncomingRequest) -> str:
        named = field_value(request.fields, b"x-original-url")
        return self.gateway_url.rstrip("/") + named.decode() if named else self.gateway_url


@fault(
    id="relay.follows-redirects",
    breaks=["OHT-052"],
    trips=["relay.resource.redirect"],
)
class FollowsRedirects(WholeRelay):
    """Goes where the gateway redirects it, as client libraries do on their own."""

    async def ask(self, request: IncomingRequest, content: bytes) -> tuple[IncomingResponse, bytes]:
        response, answer = await super().ask(request, content)
        location = field_value(response.fields, b"location")
        if response.status in (307, 308) and location is not None:
            return await exchange(location.decode(), b"POST", b"/", self.request_fields(request), content)
        return response, answer


@fault(
    id="relay.opens-tunnels",
    breaks=["OHT-052"],
    trips=["relay.resource.connect"],
)
class OpensTunnels(Relay):
    """Connects to whatever CONNECT names."""

    async def handle(self, request: IncomingRequest, responder: Responder) -> None:
        if request.method != b"CONNECT":
            await super().handle(request, responder)
            return
        authority = urlsplit(f"http://{request.target.decode()}")
        with suppress(Http1Error):
            await exchange(authority.geturl())
        await responder.send_raw(b"HTTP/1.1 200 OK\r\n\r\n")


@fault(
    id="relay.refuses-methods-as-its-own-fault",
    breaks=["OHT-058"],
    trips=["relay.requests.methods"],
)
class RefusesMethodsAsItsOwnFault(Relay):
    """Answers 500 to other methods."""

    def refusal(self, request: IncomingRequest) -> int | None:
        return 500 if request.method != b"POST" else super().refusal(request)


@fault(
    id="relay.agrees-to-other-media-types",
    breaks=["OHT-058"],
    trips=["relay.requests.media-types"],
)
class AgreesToOtherMediaTypes(Relay):
    """Answers 200 to other media types, and does nothing."""

    def refusal(self, request: IncomingRequest) -> int | None:
        known = field_value(request.fields, b"content-type") in MEDIA_TYPES
        return super().refusal(request) if known or request.method != b"POST" else 200


@fault(
    id="relay.agrees-to-nothing",
    breaks=["OHT-058"],
    trips=["relay.requests.empty-content"],
)
class AgreesToNothing(Relay):
    """Answers 200 to empty content, and does nothing."""

    def refusal(self, request: IncomingRequest) -> int | None:
        return 200 if super().refusal(request) == 400 else super().refusal(request)
