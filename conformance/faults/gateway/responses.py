"""Gateways whose encapsulated responses say something else, tell too much, or come too late."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from hashlib import shake_256
from itertools import count
from typing import Any
from urllib.parse import urljoin

from conformance.faults import fault
from openpcc_ref.binary_http import Fields, ResponseEncoder
from openpcc_ref.http1 import Chunk, IncomingResponse, Responder, exchange, field_value
from openpcc_ref.oblivious_http import Form, ResponseContext, ResponseSealer
from openpcc_ref.services.forwarding import Upstream, path_of
from openpcc_ref.services.gateway import Gateway
from openpcc_ref.services.sealed_request import InnerRequest, SealedRequest
from openpcc_ref.services.sealed_response import SealedResponse


class _Writing(Gateway):
    """Writes responses with a writer of its own."""

    writer: type[SealedResponse]

    def sealed_response(
        self, sealed: SealedRequest, responder: Responder, form: Form, encoder: ResponseEncoder
    ) -> SealedResponse:
        assert sealed.opener.context is not None
        sealer = self.response_sealer(sealed.opener.context, form)
        fields = self.outer_fields(form)
        return self.writer(responder, sealer, form, encoder, fields, chunk_length=self.chunk_length)


@fault(id="gateway.responses.fields-dropped", breaks=["OHT-067"], trips=["gateway.responses.sized"])
class FieldsDropped(Gateway):
    """Drops the service's content type."""

    def response_fields(self, response: IncomingResponse) -> Fields:
        return tuple(line for line in response.fields if line[0] != b"content-type")


class _ShortPiecesLost(SealedResponse):
    """Loses pieces of three bytes."""

    async def content(self, data: bytes) -> None:
        if len(data) != 3:
            await super().content(data)


@fault(id="gateway.responses.pieces-lost", breaks=["OHT-024"], trips=["gateway.responses.unsized"])
class PiecesLost(_Writing):
    """Loses a short piece between longer ones."""

    writer = _ShortPiecesLost


class _UpToALimit(SealedResponse):
    """Loses what comes behind half a megabyte."""

    passed = 0

    async def content(self, data: bytes) -> None:
        self.passed += len(data)
        if self.passed <= 2**19:
            await super().content(data)


@fault(id="gateway.responses.limited", breaks=["OHT-028"], trips=["gateway.responses.large"])
class Limited(_Writing):
    """Ends long responses early."""

    writer = _UpToALimit


@fault(
    id="gateway.responses.status-flattened",
    breaks=["OHT-069"],
    trips=["gateway.responses.statuses"],
    also=["gateway.responses.informational", "gateway.fields.outer-response"],
)
class StatusFlattened(Gateway):
    """Turns every error of a service into 500."""

    def announced_trailers(self, response: IncomingResponse) -> Sequence[bytes]:
        response.status = 500 if response.status >= 400 else response.status
        return super().announced_trailers(response)


@fault(id="gateway.responses.form-of-upstream", breaks=["OHT-044"], trips=["gateway.responses.chunked-form"])
class FormOfUpstream(Gateway):
    """Chooses the form by what the service answers, as deployed gateways do."""

    def response_form(self, request_form: Form, length: int | None, announced: Sequence[bytes]) -> Form:
        return super().response_form(Form.UNCHUNKED, length, announced)


@fault(id="gateway.responses.nonce-of-request", breaks=["OHT-075"], trips=["gateway.responses.fresh-nonce"])
class NonceOfRequest(Gateway):
    """Derives the response nonce from the request."""

    def response_sealer(self, context: ResponseContext, form: Form) -> ResponseSealer:
        return ResponseSealer(context, form, random=lambda length: shake_256(context.enc).digest(length))


@fault(id="gateway.responses.nonce-counted", breaks=["OHT-023"], trips=["gateway.responses.nonces-differ"])
class NonceCounted(Gateway):
    """Counts its responses in the nonce."""

    numbers = count()

    def response_sealer(self, context: ResponseContext, form: Form) -> ResponseSealer:
        return ResponseSealer(context, form, random=lambda length: next(self.numbers).to_bytes(length, "big"))


@fault(id="gateway.responses.not-incremental", breaks=["OHT-040"], trips=["gateway.responses.incremental"])
class NotIncremental(Gateway):
    """Leaves Incremental out, as deployed gateways do."""

    def outer_fields(self, form: Form) -> Fields:
        return ((b"content-type", form.response_media_type),)


@fault(id="gateway.responses.not-padded", breaks=["OHT-038"], trips=["gateway.responses.padding"])
class NotPadded(Gateway):
    """Shows how long each response is."""

    pad_to = 0


@fault(
    id="gateway.responses.long-chunks",
    breaks=["OHT-031"],
    trips=["gateway.responses.chunk-size"],
    also=["gateway.responses.padding", "gateway.responses.streamed"],
)
class LongChunks(Gateway):
    """Seals as much as it has in one chunk."""

    chunk_length = 65536


class _EmptyChunk(SealedResponse):
    """Sends an empty chunk where there is no content."""

    empty = True

    async def content(self, data: bytes) -> None:
        self.empty = False
        await super().content(data)

    async def send_final_chunk(self) -> None:
        body: Any = self.sealer
        if self.empty:
            sealed = body._body._seal(b"", b"")
            await self._responder.send(bytes([len(sealed)]) + sealed)
        await super().send_final_chunk()


@fault(
    id="gateway.responses.empty-chunk",
    breaks=["OHT-032"],
    trips=["gateway.responses.no-empty-chunk"],
    also=["gateway.responses.sized", "gateway.responses.statuses"],
)
class EmptyChunk(_Writing):
    """Sends an empty chunk for content that is empty."""

    writer = _EmptyChunk


class _HeldBack(SealedResponse):
    """Holds all chunks back until the end."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._pieces: list[bytes] = []

    async def content(self, data: bytes) -> None:
        self._pieces.append(data)

    async def finish(self, trailers: Fields = ()) -> None:
        for piece in self._pieces:
            await super().content(piece)
        await super().finish(trailers)


@fault(id="gateway.responses.held-back", breaks=["OHT-089"], trips=["gateway.responses.streamed"])
class HeldBack(_Writing):
    """Waits for the end of a response before it passes any of it on."""

    writer = _HeldBack


@fault(
    id="gateway.responses.context-shared",
    breaks=["OHT-024"],
    trips=["gateway.responses.concurrent"],
    also=["gateway.robustness.stalled-service"],
)
class ContextShared(Gateway):
    """Keeps the context of the latest request in one place for all."""

    latest: ResponseContext | None = None

    async def forward(self, sealed: SealedRequest, inner: InnerRequest, responder: Responder) -> None:
        self.latest = sealed.opener.context
        try:
            await super().forward(sealed, inner, responder)
        finally:
            self.latest = None

    def response_sealer(self, context: ResponseContext, form: Form) -> ResponseSealer:
        return super().response_sealer(self.latest or context, form)


@fault(
    id="gateway.responses.trailers-lost",
    breaks=["OHT-070"],
    trips=["gateway.trailers.refund", "gateway.trailers.several"],
)
class TrailersLost(Gateway):
    """Ends the message with the content."""

    def announced_trailers(self, response: IncomingResponse) -> Sequence[bytes]:
        return ()


@fault(id="gateway.responses.one-trailer", breaks=["OHT-070"], trips=["gateway.trailers.several"])
class OneTrailer(Gateway):
    """Carries the first of the announced trailers."""

    def announced_trailers(self, response: IncomingResponse) -> Sequence[bytes]:
        return super().announced_trailers(response)[:1]


@fault(id="gateway.responses.refund-repeated", breaks=["OHT-070"], trips=["gateway.trailers.absent"])
class RefundRepeated(Gateway):
    """Fills a trailer that does not come with the last one that did."""

    last = b""

    def response_trailers(self, response: IncomingResponse, announced: Sequence[bytes]) -> Fields:
        trailers = super().response_trailers(response, announced)
        self.last = next((value for _, value in trailers if value), self.last)
        return tuple((name, value or self.last) for name, value in trailers)


@fault(
    id="gateway.responses.status-told",
    breaks=["PRIV-010", "OHT-069"],
    trips=["gateway.responses.equal-sizes"],
    also=["gateway.fields.outer-response"],
)
class StatusTold(Gateway):
    """Marks outer responses behind which there is an error."""

    failed = False

    def announced_trailers(self, response: IncomingResponse) -> Sequence[bytes]:
        self.failed = response.status >= 400
        return super().announced_trailers(response)

    def outer_fields(self, form: Form) -> Fields:
        mark: Fields = ((b"cache-control", b"no-store"),) if self.failed else ()
        return (*super().outer_fields(form), *mark)


class _Decoded:
    """An upstream whose content comes without its coding."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream

    async def response(self) -> IncomingResponse:
        response = await self._upstream.response()
        if field_value(response.fields, b"content-encoding") is not None:
            response.fields = tuple(line for line in response.fields if line[0] != b"content-length")
        return response

    async def content(self, response: IncomingResponse) -> AsyncIterator[Chunk]:
        machine = zlib.decompressobj(wbits=31)
        coded = field_value(response.fields, b"content-encoding") == b"gzip"
        async for chunk in self._upstream.content(response):
            yield replace(chunk, data=machine.decompress(chunk.data)) if coded else chunk


@fault(id="gateway.responses.decoded", breaks=["OHT-091"], trips=["gateway.responses.coded-content"])
class DecodedContent(Gateway):
    """Undoes gzip, as client libraries do on their own, and keeps the fields."""

    async def forward_response(
        self, sealed: SealedRequest, inner: InnerRequest, upstream: Upstream, responder: Responder
    ) -> None:
        decoded: Any = _Decoded(upstream)
        await super().forward_response(sealed, inner, decoded, responder)


class _Followed:
    """An upstream that answers with what a redirect leads to."""

    def __init__(self, upstream: Upstream, base: str) -> None:
        self._upstream = upstream
        self._base = base
        self._content: bytes | None = None

    async def response(self) -> IncomingResponse:
        response = await self._upstream.response()
        location = field_value(response.fields, b"location")
        if response.status // 100 != 3 or location is None:
            return response
        url = urljoin(self._base, location.decode())
        final, self._content = await exchange(url, target=path_of(url))
        return final

    async def content(self, response: IncomingResponse) -> AsyncIterator[Chunk]:
        if self._content is not None:
            yield Chunk(self._content)
            return
        async for chunk in self._upstream.content(response):
            yield chunk


@fault(
    id="gateway.responses.redirects-followed",
    breaks=["OHT-091", "OHT-066"],
    trips=["gateway.responses.redirect"],
    also=["gateway.fields.nothing-in-clear"],
)
class RedirectsFollowed(Gateway):
    """Follows redirects of services, as client libraries do on their own."""

    async def forward_response(
        self, sealed: SealedRequest, inner: InnerRequest, upstream: Upstream, responder: Responder
    ) -> None:
        followed: Any = _Followed(upstream, self.admit(inner.head))
        await super().forward_response(sealed, inner, followed, responder)
