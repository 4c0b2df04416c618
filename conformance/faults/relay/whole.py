"""A relay that takes unchunked messages as wholes: what several faults deviate from."""

from __future__ import annotations

from openpcc_ref.http1 import Http1Error, IncomingRequest, IncomingResponse, Responder, exchange, field_value
from openpcc_ref.services.forwarding import UpstreamFailed, path_of
from openpcc_ref.services.relay import Relay


def is_chunked(message: IncomingRequest | IncomingResponse) -> bool:
    """Say whether a message has the chunked transfer coding."""
    return field_value(message.fields, b"transfer-encoding") is not None


class WholeRelay(Relay):
    """No fault in itself: unchunked messages may be gathered."""

    async def forward(self, request: IncomingRequest, responder: Responder) -> None:
        if is_chunked(request):
            await super().forward(request, responder)
            return
        content = b"".join([chunk.data async for chunk in request.body()])
        response, answer = await self.ask(request, content)
        await self.tell(request, responder, response, answer)

    async def ask(self, request: IncomingRequest, content: bytes) -> tuple[IncomingResponse, bytes]:
        """Put a request to the gateway."""
        try:
            return await exchange(
                self.gateway_url, b"POST", path_of(self.gateway_url), self.request_fields(request), content
            )
        except Http1Error as error:
            raise UpstreamFailed(error) from error

    async def tell(
        self, request: IncomingRequest, responder: Responder, response: IncomingResponse, answer: bytes
    ) -> None:
        """Give an answer to the client."""
        length = (b"content-length", str(len(answer)).encode())
        await responder.send_head(self.response_status(response), (*self.response_fields(response), length))
        await responder.send(answer)
        await responder.finish()
