"""Relays that lose fields, pass on too many, or add some of their own."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from itertools import count

from conformance.faults import fault
from openpcc_ref.http1 import (
    Connection,
    Fields,
    Http1Error,
    IncomingRequest,
    IncomingResponse,
    Responder,
    Server,
    connect,
    field_value,
    listen,
)
from openpcc_ref.services.forwarding import Upstream, UpstreamFailed, both_ways, framing, path_of
from openpcc_ref.services.relay import Relay

_HOP_BY_HOP = (
    b"connection keep-alive proxy-connection proxy-authenticate proxy-authorization te trailer transfer-encoding "
    b"upgrade"
).split()
_FORWARDING = b"forwarded x-forwarded-for x-forwarded-host x-forwarded-proto".split()
_FRAMING = (b"content-length", b"transfer-encoding")


def _without(fields: Fields, *names: bytes) -> Fields:
    return tuple(line for line in fields if line[0] not in names)


@fault(id="relay.drops-the-request-media-type", breaks=["OHT-054"], trips=["relay.fields.request-media-type"])
class DropsTheRequestMediaType(Relay):
    """Does not pass on the media type of requests."""

    def request_fields(self, request: IncomingRequest) -> Fields:
        return _without(super().request_fields(request), b"content-type")


@fault(id="relay.changes-the-response-media-type", breaks=["OHT-054"], trips=["relay.fields.response-media-type"])
class ChangesTheResponseMediaType(Relay):
    """Calls every response application/octet-stream."""

    def response_fields(self, response: IncomingResponse) -> Fields:
        kept = _without(super().response_fields(response), b"content-type")
        return (*kept, (b"content-type", b"application/octet-stream"))


@fault(id="relay.drops-incremental-from-requests", breaks=["OHT-054"], trips=["relay.fields.request-incremental"])
class DropsIncrementalFromRequests(Relay):
    """Does not pass on Incremental in requests."""

    def request_fields(self, request: IncomingRequest) -> Fields:
        return _without(super().request_fields(request), b"incremental")


@fault(id="relay.drops-incremental-from-responses", breaks=["OHT-054"], trips=["relay.fields.response-incremental"])
class DropsIncrementalFromResponses(Relay):
    """Does not pass on Incremental in responses."""

    def response_fields(self, response: IncomingResponse) -> Fields:
        return _without(super().response_fields(response), b"incremental")


PASSED_ON = (
    "relay.privacy.address-fields",
    "relay.privacy.client-software",
    "relay.privacy.credentials",
    "relay.privacy.date",
    "relay.privacy.host",
    "relay.privacy.response-cookies",
    "relay.privacy.response-fields",
    "relay.privacy.response-identifiers",
    "relay.privacy.response-trailers",
    "relay.privacy.tracing-fields",
    "relay.privacy.unknown-fields",
)
"""The checks that see what deployed relays pass on."""


@fault(id="relay.passes-fields", breaks=["OHT-055", "OHT-056", "PRIV-002", "PRIV-005", "PRIV-015"], trips=PASSED_ON)
class PassesFields(Relay):
    """Passes on all fields but hop-by-hop and forwarding ones, in both directions, as deployed relays do."""

    def request_fields(self, request: IncomingRequest) -> Fields:
        named = (field_value(request.fields, b"connection") or b"").replace(b" ", b"").split(b",")
        return _without(request.fields, *_HOP_BY_HOP, *named, *_FORWARDING, *_FRAMING)

    def response_fields(self, response: IncomingResponse) -> Fields:
        named = (field_value(response.fields, b"connection") or b"").replace(b" ", b"").split(b",")
        return _without(response.fields, *_HOP_BY_HOP, *named, *_FRAMING)

    def response_trailers(self, response: IncomingResponse) -> Fields:
        return response.trailers


@fault(id="relay.passes-trailers", breaks=["PRIV-005", "OHT-056"], trips=["relay.privacy.trailers"])
class PassesTrailers(Relay):
    """Passes on the trailers of the outer request."""

    def request_trailers(self, request: IncomingRequest) -> Fields:
        return request.trailers


@fault(id="relay.passes-cookies-in-disguise", breaks=["PRIV-002"], trips=["relay.privacy.credentials"])
class PassesCookiesInDisguise(Relay):
    """Puts the client's cookie into the preferences it sends to the gateway, in base64."""

    def request_fields(self, request: IncomingRequest) -> Fields:
        cookie = field_value(request.fields, b"cookie")
        disguised = ((b"accept", b"text/" + base64.b64encode(b"k=" + cookie)),) if cookie else ()
        return (*super().request_fields(request), *disguised)


@fault(id="relay.passes-forwarding-fields", breaks=["OHT-055"], trips=["relay.privacy.forwarding-fields"])
class PassesForwardingFields(Relay):
    """Passes on what proxies in front of it have noted about the client."""

    def request_fields(self, request: IncomingRequest) -> Fields:
        return (*super().request_fields(request), *(line for line in request.fields if line[0] in _FORWARDING))


@fault(id="relay.passes-hop-by-hop-fields", breaks=["PRIV-005"], trips=["relay.privacy.hop-by-hop-fields"])
class PassesHopByHopFields(Relay):
    """Passes on the credentials that were meant for itself."""

    def request_fields(self, request: IncomingRequest) -> Fields:
        own = (line for line in request.fields if line[0] == b"proxy-authorization")
        return (*super().request_fields(request), *own)


@fault(id="relay.passes-the-query", breaks=["PRIV-002", "OHT-052"], trips=["relay.privacy.target"])
class PassesTheQuery(Relay):
    """Passes the client's query on in a field of its own."""

    def request_fields(self, request: IncomingRequest) -> Fields:
        query = request.target.partition(b"?")[2]
        return (*super().request_fields(request), *(((b"x-query", query),) if query else ()))


def _adds(line: Callable[[], tuple[bytes, bytes]]) -> type[Relay]:
    """Return a relay that adds a field line to each request."""

    class Adds(Relay):
        def request_fields(self, request: IncomingRequest) -> Fields:
            return (*super().request_fields(request), line())

    return Adds


@fault(
    id="relay.adds-the-address",
    breaks=["OHT-055"],
    trips=["relay.privacy.nothing-identifying-added", "relay.privacy.client-address"],
)
class AddsTheAddress(_adds(lambda: (b"x-forwarded-for", b"127.0.0.1"))):  # type: ignore[misc]
    """Adds the client's address in X-Forwarded-For, as reverse proxies do by default."""


@fault(
    id="relay.adds-the-address-in-disguise",
    breaks=["OHT-055"],
    trips=["relay.privacy.client-address"],
)
class AddsTheAddressInDisguise(_adds(lambda: (b"accept", b"text/7F000001"))):  # type: ignore[misc]
    """Adds the client's address packed and in hex."""


@fault(id="relay.adds-via", breaks=["OHT-055"], trips=["relay.privacy.nothing-identifying-added"])
class AddsVia(_adds(lambda: (b"via", b"1.1 relay"))):  # type: ignore[misc]
    """Adds Via."""


@fault(id="relay.adds-a-field", breaks=["PRIV-005"], trips=["relay.privacy.nothing-added"])
class AddsAField(_adds(lambda: (b"x-relay-region", b"eu-1"))):  # type: ignore[misc]
    """Adds a field that no chapter names."""


@fault(
    id="relay.numbers-requests",
    breaks=["OHT-055", "PRIV-015"],
    trips=["relay.privacy.same-view"],
)
class NumbersRequests(_adds(partial(lambda numbers: (b"user-agent", b"relay/%d" % next(numbers)), count()))):  # type: ignore[misc]
    """Numbers the requests in its user agent."""


@fault(id="relay.keeps-a-connection-per-client", breaks=["OHT-055"], trips=["relay.privacy.connections"])
class KeepsAConnectionPerClient(Relay):
    """Keeps one connection to the gateway for each of its clients' connections."""

    def __init__(self, gateway_url: str, *, step_s: float = 60.0) -> None:
        super().__init__(gateway_url, step_s=step_s)
        self._kept: dict[int, Connection] = {}
        self._open = AsyncExitStack()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with self._open:
            yield

    async def forward(self, request: IncomingRequest, responder: Responder) -> None:
        if field_value(request.fields, b"content-length") is None:
            await super().forward(request, responder)
            return
        if request.connection_id not in self._kept:
            opening = connect(self.gateway_url, step_s=self.step_s)
            try:
                self._kept[request.connection_id] = await self._open.enter_async_context(opening)
            except Http1Error as error:
                raise UpstreamFailed(error) from error
        gateway = Upstream(self._kept[request.connection_id])
        await gateway.send_head(b"POST", path_of(self.gateway_url), (*self.request_fields(request), *framing(request)))
        await both_ways(
            partial(self.forward_request, request, gateway), partial(self.forward_response, gateway, responder)
        )


@fault(id="relay.passes-chunk-extensions", breaks=["PRIV-005"], trips=["relay.privacy.chunk-extensions"])
class PassesChunkExtensions(Relay):
    """Passes on what it finds in chunk extensions."""

    def listening(self) -> AbstractAsyncContextManager[Server]:
        self._last = b""

        def note(connection: int, direction: str, time: float, data: bytes) -> None:
            if direction == "in":
                self._last = data

        return listen(self.handle, tap=note)

    def request_fields(self, request: IncomingRequest) -> Fields:
        extension = self._last.partition(b";mark=")[2].partition(b"\r\n")[0]
        return (*super().request_fields(request), *(((b"accept", extension),) if extension else ()))


@fault(id="relay.sets-a-cookie", breaks=["PRIV-005"], trips=["relay.privacy.response-cookies"])
class SetsACookie(Relay):
    """Sets a cookie of its own at the client."""

    def response_fields(self, response: IncomingResponse) -> Fields:
        return (*super().response_fields(response), (b"set-cookie", b"relay=1"))


@fault(id="relay.makes-response-identifiers", breaks=["PRIV-015"], trips=["relay.privacy.response-same-view"])
class MakesResponseIdentifiers(Relay):
    """Numbers its responses, as proxies do for their logs."""

    def __init__(self, gateway_url: str, *, step_s: float = 60.0) -> None:
        super().__init__(gateway_url, step_s=step_s)
        self._numbers = count()

    def response_fields(self, response: IncomingResponse) -> Fields:
        return (*super().response_fields(response), (b"x-request-id", b"%d" % next(self._numbers)))


@fault(id="relay.knows-some-response-fields", breaks=["PRIV-005"], trips=["relay.privacy.response-fields"])
class KnowsSomeResponseFields(Relay):
    """Removes the fields it knows to be unwanted from responses, instead of keeping those that are wanted."""

    def response_fields(self, response: IncomingResponse) -> Fields:
        unwanted = b"set-cookie server-timing via x-request-id x-correlation-id traceparent etag x-served-by".split()
        return _without(response.fields, *unwanted, *_HOP_BY_HOP, *_FRAMING)


@fault(id="relay.passes-response-trailers", breaks=["PRIV-005"], trips=["relay.privacy.response-trailers"])
class PassesResponseTrailers(Relay):
    """Passes on the trailers of the outer response."""

    def response_trailers(self, response: IncomingResponse) -> Fields:
        return response.trailers


@fault(
    id="relay.adds-the-address-to-chunked-requests",
    breaks=["OHT-055"],
    trips=["relay.privacy.nothing-identifying-added", "relay.privacy.client-address"],
)
class AddsTheAddressToChunkedRequests(Relay):
    """Streams chunked requests through another library, which adds X-Forwarded-For."""

    def request_fields(self, request: IncomingRequest) -> Fields:
        chunked = field_value(request.fields, b"transfer-encoding") is not None
        return (*super().request_fields(request), *(((b"x-forwarded-for", b"127.0.0.1"),) if chunked else ()))


@fault(
    id="relay.passes-fields-of-chunked-requests",
    breaks=["PRIV-002", "PRIV-005", "OHT-056"],
    trips=["relay.privacy.credentials", "relay.privacy.client-software"],
)
class PassesFieldsOfChunkedRequests(Relay):
    """Passes on more of chunked requests than of others."""

    def request_fields(self, request: IncomingRequest) -> Fields:
        chunked = field_value(request.fields, b"transfer-encoding") is not None
        more = tuple(line for line in request.fields if chunked and line[0] in (b"cookie", b"user-agent"))
        return (*super().request_fields(request), *more)
