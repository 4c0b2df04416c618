"""An upstream that is told what to answer, and clients that seal requests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from openpcc_ref.binary_http import Request, RequestHead, Response, decode_response, encode_request
from openpcc_ref.hpke import KemId
from openpcc_ref.http1 import (
    Fields,
    Http1Error,
    IncomingRequest,
    IncomingResponse,
    Responder,
    Server,
    exchange,
    field_value,
    listen,
)
from openpcc_ref.oblivious_http import (
    Form,
    GatewayKey,
    RequestSealer,
    ResponseContext,
    ResponseOpener,
    derive_gateway_key,
)
from openpcc_ref.sources import system_random

Answer = Callable[[IncomingRequest, Responder], Awaitable[None]]


@dataclass
class Neighbour:
    """A server behind the service; remembers what arrives. ``answer`` replaces its plain ``pong``."""

    answer: Answer | None = None
    requests: list[IncomingRequest] = field(default_factory=list)
    contents: list[bytes] = field(default_factory=list)
    failures: list[Http1Error] = field(default_factory=list)

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[Server]:
        async with listen(self._handle, step_s=5) as server:
            yield server

    async def _handle(self, request: IncomingRequest, responder: Responder) -> None:
        self.requests.append(request)
        if self.answer is not None:
            await self.answer(request, responder)
            return
        try:
            self.contents.append(await content_of(request))
        except Http1Error as error:
            self.failures.append(error)
            raise
        await responder.send_head(200, ((b"content-type", b"text/plain"), (b"content-length", b"4")))
        await responder.send(b"pong")
        await responder.finish()


async def content_of(request: IncomingRequest) -> bytes:
    return b"".join([chunk.data async for chunk in request.body()])


@pytest.fixture
def neighbour() -> Neighbour:
    return Neighbour()


@pytest.fixture(scope="session")
def key() -> GatewayKey:
    return derive_gateway_key(1, KemId.DHKEM_X25519, bytes(range(32)))


@dataclass
class OhttpClient:
    """Seals requests to one key and opens what comes back."""

    key: GatewayKey
    chunk_length: int = 532

    def seal(self, form: Form, plaintext: bytes) -> tuple[list[bytes], ResponseContext]:
        """Return header, chunks and end, each apart, and what opens the response."""
        sealer = RequestSealer(self.key.config, form, random=system_random)
        if form is Form.UNCHUNKED:
            return [sealer.header(), sealer.finish(plaintext)], sealer.context
        cuts = range(0, len(plaintext), self.chunk_length)
        chunks = [sealer.seal(plaintext[cut : cut + self.chunk_length]) for cut in cuts]
        return [sealer.header(), *chunks, sealer.finish()], sealer.context

    def open(self, context: ResponseContext, response: IncomingResponse, content: bytes) -> Response:
        """Open a whole response, of whichever form it says it is."""
        media_type = field_value(response.fields, b"content-type")
        form = next(form for form in Form if form.response_media_type == media_type)
        opener = ResponseOpener(context, form)
        return decode_response(b"".join([*opener.feed(content), *opener.finish()]))

    async def post(self, url: str, form: Form, content: bytes, fields: Fields = ()) -> tuple[IncomingResponse, bytes]:
        return await exchange(url, b"POST", b"/", ((b"content-type", form.request_media_type), *fields), content)

    async def ask(
        self, url: str, form: Form, head: RequestHead, content: bytes = b"", trailers: Fields = ()
    ) -> tuple[Response, IncomingResponse]:
        """Do one exchange; return the inner and the outer response."""
        message = encode_request(
            Request(head, content, trailers), indeterminate=form is Form.CHUNKED, pad_to=self.chunk_length
        )
        parts, context = self.seal(form, message)
        response, sealed = await self.post(url, form, b"".join(parts))
        assert response.status == 200
        return self.open(context, response, sealed), response


@pytest.fixture
def client(key: GatewayKey) -> OhttpClient:
    return OhttpClient(key)
