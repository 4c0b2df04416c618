"""Gateways that take a request for whole, or an answer for final, too early."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from conformance.faults import fault
from openpcc_ref.binary_http import ResponseEncoder, ResponseHead
from openpcc_ref.http1 import IncomingResponse, field_value
from openpcc_ref.oblivious_http import Form
from openpcc_ref.services.forwarding import Upstream
from openpcc_ref.services.gateway import Gateway
from openpcc_ref.services.sealed_request import InnerRequest, SealedRequest


@fault(
    id="gateway.completion.by-length",
    breaks=["OHT-035", "OHT-087"],
    trips=["gateway.completion.stated-length", "gateway.completion.no-content"],
)
class CompletedByLength(Gateway):
    """Frames the upstream request by its stated length, so that it is whole when its content is, as deployed gateways
    do."""

    async def send_upstream_head(
        self, upstream: Upstream, url: str, sealed: SealedRequest, inner: InnerRequest
    ) -> None:
        stated = field_value(inner.head.fields, b"content-length") or b""
        length = int(stated) if stated.isdigit() else inner.length
        if inner.head.method == b"GET":
            length = 0
        await super().send_upstream_head(upstream, url, sealed, replace(inner, length=length))

    async def abandon_request(self, upstream: Upstream) -> None:
        pass  # it is over already


@fault(
    id="gateway.completion.informational-final",
    breaks=["OHT-091"],
    trips=["gateway.responses.informational"],
)
class InformationalFinal(Gateway):
    """Lets an informational response freeze the head: its fields under status 200, as deployed gateways do."""

    def response_encoder(
        self, response: IncomingResponse, form: Form, length: int | None, announced: Sequence[bytes]
    ) -> ResponseEncoder:
        if not response.informational:
            return super().response_encoder(response, form, length, announced)
        head = ResponseHead(200, response.informational[0][1])
        return ResponseEncoder(head, content_length=length if form is Form.UNCHUNKED else None, pad_to=self.pad_to)
