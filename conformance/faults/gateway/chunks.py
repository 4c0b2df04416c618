"""Gateways that read chunked requests in their own way."""

from __future__ import annotations

from collections.abc import AsyncIterator

from conformance.faults import fault
from conformance.faults.gateway.base import Fussy, LenientGateway, ReadingGateway
from openpcc_ref.binary_http import Content, Event, RequestHead
from openpcc_ref.errors import Rejected
from openpcc_ref.oblivious_http import Form
from openpcc_ref.services.forwarding import Upstream
from openpcc_ref.services.gateway import Gateway
from openpcc_ref.services.inner_answer import Problem
from openpcc_ref.services.sealed_request import InnerRequest, SealedRequest
from openpcc_ref.varint import encode_varint, varint_length


@fault(
    id="gateway.chunks.first-piece-only",
    breaks=["OHT-087"],
    trips=[
        "gateway.chunks.exchange",
        "gateway.chunks.any-size",
        "gateway.chunks.http-chunks",
        "gateway.chunks.long-varints",
        "gateway.chunks.framings",
        "gateway.chunks.final-with-data",
        "gateway.responses.large",
    ],
    also=["gateway.chunks.early-forwarding", "gateway.chunks.empty-non-final"],
)
class FirstPieceOnly(Gateway):
    """Forwards what content came with the head and loses the rest."""

    async def forward_request(self, inner: InnerRequest, upstream: Upstream) -> None:
        async def first() -> AsyncIterator[Event]:
            seen = False
            async for event in inner.events:
                if not (isinstance(event, Content) and seen):
                    yield event
                seen = seen or isinstance(event, Content)

        await super().forward_request(InnerRequest(inner.head, first(), None), upstream)


class _BlocksOnly(SealedRequest):
    """Wants every chunk to be a block of 532 bytes."""

    async def plaintexts(self) -> AsyncIterator[bytes]:
        async for plaintext in super().plaintexts():
            if self.form is Form.CHUNKED and len(plaintext) != 532:
                raise Fussy()
            yield plaintext


@fault(
    id="gateway.chunks.blocks-required",
    breaks=["OHT-083"],
    trips=["gateway.chunks.any-size"],
    also=["gateway.chunks.largest", "gateway.chunks.final-with-data", "gateway.robustness.junk-message"],
)
class BlocksRequired(ReadingGateway):
    """Refuses chunks that are not 532 bytes long."""

    reader = _BlocksOnly


class _WireChunks(SealedRequest):
    """Looks at each HTTP chunk as if it were one encapsulated chunk."""

    async def plaintexts(self) -> AsyncIterator[bytes]:
        content = b""
        first = True
        async for chunk in self.outer.body():
            content += chunk.data
            if self.form is Form.CHUNKED and chunk.ends:
                self.look(content, first=first)
                content, first = b"", False
            for plaintext in self.opener.feed(chunk.data):
                yield plaintext
        for plaintext in self.opener.finish():
            yield plaintext

    def look(self, content: bytes, *, first: bool) -> None:
        """Refuse what does not please; ``first`` is header and key."""
        size = varint_length(content[0])
        length = int.from_bytes(content[:size], "big") & (1 << (8 * size - 2)) - 1
        if not first and length and len(content) != size + length:
            raise Fussy()


@fault(
    id="gateway.chunks.http-chunks-trusted",
    breaks=["OHT-026"],
    trips=["gateway.chunks.http-chunks"],
    also=["gateway.chunks.huge-length"],
)
class HttpChunksTrusted(ReadingGateway):
    """Expects one encapsulated chunk in each HTTP chunk, as one client happens to send them."""

    reader = _WireChunks


class _ShortestVarints(_WireChunks):
    """Wants lengths in their shortest form."""

    def look(self, content: bytes, *, first: bool) -> None:
        size = varint_length(content[0])
        length = int.from_bytes(content[:size], "big") & (1 << (8 * size - 2)) - 1
        whole = len(content) == size + (length or 16)
        if not first and whole and content[:size] != encode_varint(length):
            raise Fussy()


@fault(id="gateway.chunks.shortest-varints", breaks=["OHT-033"], trips=["gateway.chunks.long-varints"])
class ShortestVarints(ReadingGateway):
    """Refuses lengths that are longer than they need to be."""

    reader = _ShortestVarints


@fault(id="gateway.chunks.small", breaks=["OHT-030"], trips=["gateway.chunks.largest"])
class SmallChunks(Gateway):
    """Accepts chunks of 4096 bytes at most, as deployed gateways do."""

    max_chunk = 4096

    def problem_of(self, rejected: Rejected) -> tuple[int, Problem]:
        if rejected.code == "chunked-stream.chunk.long":
            return 400, Problem.BLANK
        return super().problem_of(rejected)


class _EmptyFinal(SealedRequest):
    """Forgets the data of a final chunk."""

    async def plaintexts(self) -> AsyncIterator[bytes]:
        if self.form is Form.UNCHUNKED:
            async for plaintext in super().plaintexts():
                yield plaintext
            return
        async for chunk in self.outer.body():
            for plaintext in self.opener.feed(chunk.data):
                yield plaintext
        self.opener.finish()


@fault(
    id="gateway.chunks.final-data-lost",
    breaks=["OHT-034"],
    trips=["gateway.chunks.final-with-data"],
)
class FinalDataLost(ReadingGateway):
    """Takes the final chunk for a mere mark."""

    reader = _EmptyFinal


class _Indeterminate(SealedRequest):
    """Wants indeterminate length in chunked form."""

    async def plaintexts(self) -> AsyncIterator[bytes]:
        first = True
        async for plaintext in super().plaintexts():
            if self.form is Form.CHUNKED and first and plaintext[:1] == b"\0":
                raise Fussy()
            first = False
            yield plaintext


@fault(id="gateway.chunks.one-framing", breaks=["OHT-037"], trips=["gateway.chunks.framings"])
class OneFraming(ReadingGateway):
    """Refuses messages of known length in chunked form."""

    reader = _Indeterminate


@fault(id="gateway.chunks.unbounded", breaks=["OHT-036"], trips=["gateway.chunks.huge-length"])
class UnboundedChunks(LenientGateway):
    """Waits for the data of a chunk however long it is declared."""

    without = ("chunked-stream.chunk.long",)


@fault(id="gateway.chunks.empty-accepted", breaks=["OHT-032"], trips=["gateway.chunks.empty-non-final"])
class EmptyAccepted(LenientGateway):
    """Accepts empty non-final chunks, as deployed gateways do."""

    without = ("chunked-stream.chunk.empty",)


@fault(
    id="gateway.chunks.end-assumed",
    breaks=["OHT-035", "OHT-087"],
    trips=["gateway.chunks.final-missing", "gateway.chunks.final-missing-known-length", "gateway.chunks.truncated"],
    also=["gateway.completion.no-content", "gateway.completion.stated-length"],
)
class EndAssumed(LenientGateway):
    """Takes the end of the HTTP content for the end of the message."""

    without = ("chunked-stream.final.missing",)


@fault(
    id="gateway.chunks.completed-anyway",
    breaks=["OHT-087"],
    trips=[
        "gateway.chunks.later-altered",
        "gateway.chunks.swapped",
        "gateway.chunks.duplicated",
        "gateway.chunks.dropped",
        "gateway.chunks.final-missing",
        "gateway.chunks.final-missing-known-length",
        "gateway.chunks.truncated",
        "gateway.chunks.final-aad",
        "gateway.chunks.after-final",
        "gateway.chunks.client-leaves",
    ],
    also=[
        "gateway.completion.no-content",
        "gateway.completion.stated-length",
        "gateway.messages.truncated",
        "gateway.messages.truncated-end",
    ],
)
class CompletedAnyway(Gateway):
    """Ends the upstream request properly when the request it comes from turns out broken."""

    async def abandon_request(self, upstream: Upstream) -> None:
        await upstream.finish()


class _ReadsAll(SealedRequest):
    """Reads the whole request before anything is done with it."""

    async def inner(self) -> InnerRequest:
        inner = await super().inner()
        if self.form is Form.UNCHUNKED:
            return inner
        events = [event async for event in inner.events]

        async def replay() -> AsyncIterator[Event]:
            for event in events:
                yield event

        head: RequestHead = inner.head
        return InnerRequest(head, replay(), None)


@fault(id="gateway.chunks.buffered", breaks=["OHT-073"], trips=["gateway.chunks.early-forwarding"])
class BufferedRequests(ReadingGateway):
    """Forwards nothing of a request until it has all of it."""

    reader = _ReadsAll
