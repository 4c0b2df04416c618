"""Gateways that forward too many fields, too few, or fields of their own."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import AsyncIterator

from conformance.faults import fault
from conformance.faults.gateway.base import LenientGateway
from openpcc_ref.binary_http import Content, Event, RequestHead, field_value
from openpcc_ref.http1 import Fields, Http1Error, IncomingRequest, IncomingResponse, Responder, connect
from openpcc_ref.oblivious_http import Form
from openpcc_ref.services.gateway import Gateway
from openpcc_ref.services.inner_answer import bad_request
from openpcc_ref.services.sealed_request import InnerRequest, SealedRequest


@fault(id="gateway.fields.one-value", breaks=["OHT-067"], trips=["gateway.fields.inner-forwarded"])
class OneValue(Gateway):
    """Keeps fields in a dictionary."""

    def upstream_fields(self, head: RequestHead, outer: IncomingRequest) -> Fields:
        return tuple(dict(super().upstream_fields(head, outer)).items())


@fault(id="gateway.fields.outer-forwarded", breaks=["OHT-067"], trips=["gateway.fields.outer-kept-out"])
class OuterForwarded(Gateway):
    """Passes the relay's user agent on."""

    def upstream_fields(self, head: RequestHead, outer: IncomingRequest) -> Fields:
        agent = tuple(line for line in outer.fields if line[0] == b"user-agent")
        return (*super().upstream_fields(head, outer), *agent)


@fault(
    id="gateway.fields.outer-trace",
    breaks=["PRIV-015"],
    trips=["gateway.fields.outer-kept-out"],
)
class OuterTrace(Gateway):
    """Continues the relay's trace."""

    def upstream_fields(self, head: RequestHead, outer: IncomingRequest) -> Fields:
        trace = tuple(line for line in outer.fields if line[0] == b"traceparent")
        return (*super().upstream_fields(head, outer), *trace)


@fault(
    id="gateway.fields.address-added",
    breaks=["OHT-068", "PRIV-005"],
    trips=["gateway.fields.none-added", "gateway.fields.only-inner"],
)
class AddressAdded(Gateway):
    """Says where the request came from."""

    def upstream_fields(self, head: RequestHead, outer: IncomingRequest) -> Fields:
        return (*super().upstream_fields(head, outer), (b"x-real-ip", b"127.0.0.1"))


@fault(
    id="gateway.fields.identifier-added",
    breaks=["PRIV-015", "PRIV-005"],
    trips=["gateway.fields.none-added", "gateway.fields.only-inner"],
)
class IdentifierAdded(Gateway):
    """Numbers its requests."""

    def upstream_fields(self, head: RequestHead, outer: IncomingRequest) -> Fields:
        return (*super().upstream_fields(head, outer), (b"x-request-id", self.random(8).hex().encode()))


@fault(
    id="gateway.fields.address-appended",
    breaks=["OHT-068"],
    trips=["gateway.fields.forwarding-not-extended"],
)
class AddressAppended(Gateway):
    """Appends an address where a client already states one."""

    def upstream_fields(self, head: RequestHead, outer: IncomingRequest) -> Fields:
        stated = field_value(head.fields, b"x-forwarded-for")
        added: Fields = ((b"x-forwarded-for", stated + b", 127.0.0.1"),) if stated else ()
        return (*super().upstream_fields(head, outer), *added)


@fault(id="gateway.fields.hop-by-hop-kept", breaks=["OHT-068"], trips=["gateway.fields.hop-by-hop"])
class HopByHopKept(Gateway):
    """Removes the fields that it knows to concern a connection, but not those that Connection names."""

    def upstream_fields(self, head: RequestHead, outer: IncomingRequest) -> Fields:
        named = tuple(line for line in head.fields if line[0] in (b"x-hop", b"x-other-hop"))
        return (*super().upstream_fields(head, outer), *named)


@fault(
    id="gateway.fields.framing-written",
    breaks=["OHT-068", "OHT-066"],
    trips=["gateway.fields.transfer-encoding", "gateway.fields.content-length"],
    also=["gateway.chunks.early-forwarding", "gateway.messages.content-length-differs"],
)
class FramingWritten(LenientGateway):
    """Writes inner framing fields and content to the upstream as they are."""

    without = ("binary-http.content-length.differs", "binary-http.content-length.number")

    async def forward(self, sealed: SealedRequest, inner: InnerRequest, responder: Responder) -> None:
        framing = [line for line in inner.head.fields if line[0] in (b"content-length", b"transfer-encoding")]
        content = b"".join([event.data async for event in inner.events if isinstance(event, Content)])
        length = str(len(content)).encode()
        if not framing or framing == [(b"content-length", length)]:
            await super().forward(sealed, _again(inner, content), responder)
            return
        lines = b"".join(name + b": " + value + b"\r\n" for name, value in framing)
        head = inner.head.method + b" " + inner.head.path + b" HTTP/1.1\r\nhost: upstream\r\n" + lines + b"\r\n"
        try:
            async with connect(self.admit(inner.head), step_s=1.0) as connection:
                await connection.send_raw(head + content)
                await connection.response()
        except Http1Error:
            pass
        raise bad_request()


def _again(inner: InnerRequest, content: bytes) -> InnerRequest:
    async def events() -> AsyncIterator[Event]:
        if content:
            yield Content(content)

    return InnerRequest(inner.head, events(), inner.length)


@fault(id="gateway.fields.expectation-forwarded", breaks=["OHT-048"], trips=["gateway.fields.expect"])
class ExpectationForwarded(Gateway):
    """Forwards Expect: 100-continue, as deployed gateways do."""

    def require_no_expectation(self, head: RequestHead) -> None:
        pass


@fault(id="gateway.fields.outer-server", breaks=["OHT-069"], trips=["gateway.fields.outer-response"])
class OuterServer(Gateway):
    """Lets the service's name show outside."""

    server: Fields = ()

    def response_fields(self, response: IncomingResponse) -> Fields:
        self.server = tuple(line for line in response.fields if line[0] == b"server")
        return super().response_fields(response)

    def outer_fields(self, form: Form) -> Fields:
        return (*super().outer_fields(form), *self.server)


@fault(id="gateway.fields.agent-added", breaks=["PRIV-005"], trips=["gateway.fields.only-inner"])
class AgentAdded(Gateway):
    """Names its HTTP library to the service, and numbers its requests."""

    number = 0

    def upstream_fields(self, head: RequestHead, outer: IncomingRequest) -> Fields:
        self.number += 1
        return (*super().upstream_fields(head, outer), (b"user-agent", b"library/1.0 (%d)" % self.number))


@fault(
    id="gateway.fields.path-told",
    breaks=["PRIV-001"],
    trips=["gateway.fields.nothing-in-clear"],
    also=["gateway.fields.outer-response"],
)
class PathTold(Gateway):
    """Tells the relay, in base64, which path was asked for."""

    path = b""

    def require_route(self, authority: bytes, head: RequestHead) -> None:
        self.path = head.path
        super().require_route(authority, head)

    def outer_fields(self, form: Form) -> Fields:
        return (*super().outer_fields(form), (b"x-path", b64encode(self.path)))


@fault(id="gateway.fields.cookies-joined", breaks=["MSG-021"], trips=["gateway.fields.inner-forwarded"])
class CookiesJoined(Gateway):
    """Combines all lines of one name with commas, cookies too."""

    def upstream_fields(self, head: RequestHead, outer: IncomingRequest) -> Fields:
        lines: dict[bytes, list[bytes]] = {}
        for name, value in super().upstream_fields(head, outer):
            lines.setdefault(name, []).append(value)
        return tuple((name, b", ".join(values)) for name, values in lines.items())


@fault(id="gateway.fields.expectation-compared", breaks=["OHT-048"], trips=["gateway.fields.expect"])
class ExpectationCompared(Gateway):
    """Compares expectations with case."""

    def require_no_expectation(self, head: RequestHead) -> None:
        if field_value(head.fields, b"expect") == b"100-continue":
            super().require_no_expectation(head)
