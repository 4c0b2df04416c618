"""Gateways that read and write Binary HTTP in their own way."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from conformance.faults import fault
from conformance.faults.gateway.base import Fussy, LenientGateway, ReadingGateway
from openpcc_ref.binary_http import Event, Fields, Limits, RequestDecoder, RequestHead, ResponseEncoder, ResponseHead
from openpcc_ref.errors import without_check
from openpcc_ref.http1 import Http1Error, IncomingRequest, IncomingResponse, Responder, connect
from openpcc_ref.oblivious_http import Form
from openpcc_ref.services.allow_list import ROUTER
from openpcc_ref.services.gateway import Gateway
from openpcc_ref.services.inner_answer import bad_request
from openpcc_ref.services.sealed_request import InnerRequest, SealedRequest
from openpcc_ref.services.sealed_response import SealedResponse
from openpcc_ref.varint import varint_length

_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")


class _FirstPlaintext(SealedRequest):
    """Looks at the first plaintext before it is decoded."""

    async def plaintexts(self) -> AsyncIterator[bytes]:
        first = True
        async for plaintext in super().plaintexts():
            yield self.looked_at(plaintext) if first else plaintext
            first = False

    def looked_at(self, plaintext: bytes) -> bytes:
        """Return what is decoded in its place, or refuse it."""
        raise NotImplementedError


class _ShortIndicator(_FirstPlaintext):
    """Wants the framing indicator in one byte."""

    def looked_at(self, plaintext: bytes) -> bytes:
        if plaintext[:1] >= b"\x40":
            raise Fussy
        return plaintext


@fault(id="gateway.messages.short-indicator", breaks=["MSG-001"], trips=["gateway.messages.long-varints"])
class ShortIndicator(ReadingGateway):
    """Refuses a framing indicator that is longer than it needs to be."""

    reader = _ShortIndicator


class _LowByte(_FirstPlaintext):
    """Keeps the lowest byte of the framing indicator."""

    def looked_at(self, plaintext: bytes) -> bytes:
        size = varint_length(plaintext[0]) if plaintext else 1
        return plaintext if size == 1 else plaintext[size - 1 : size] + plaintext[size:]


@fault(id="gateway.messages.low-byte", breaks=["MSG-003", "MSG-004"], trips=["gateway.messages.framing-value"])
class LowByte(ReadingGateway):
    """Compares framing indicators after cutting them to a byte."""

    reader = _LowByte


class _OtherFraming(_FirstPlaintext):
    """Takes every framing indicator of one byte for that of a request."""

    def looked_at(self, plaintext: bytes) -> bytes:
        return b"\0" + plaintext[1:] if b"\2" < plaintext[:1] < b"\x40" else plaintext


@fault(
    id="gateway.messages.any-framing",
    breaks=["MSG-004"],
    trips=["gateway.messages.framing"],
    also=["gateway.errors.message-encapsulated"],
)
class AnyFraming(ReadingGateway):
    """Does not look at framing indicators that it does not know."""

    reader = _OtherFraming


@fault(id="gateway.messages.short-path", breaks=["MSG-007"], trips=["gateway.messages.long-parts"])
class ShortPath(ReadingGateway):
    """Reads paths of up to 1024 bytes."""

    limits = Limits(path=1024)


class _AnyMethod(SealedRequest):
    """Takes what is no method for POST."""

    async def inner(self) -> InnerRequest:
        inner = await super().inner()
        if _TOKEN.fullmatch(inner.head.method):
            return inner
        return replace(inner, head=replace(inner.head, method=b"POST"))


@fault(
    id="gateway.messages.method-assumed",
    breaks=["MSG-008"],
    trips=["gateway.messages.method"],
    also=["gateway.allow-list.line-break", "gateway.robustness.junk-message"],
)
class MethodAssumed(LenientGateway, ReadingGateway):
    """Takes what is no method for POST."""

    without = ("binary-http.method.token",)
    reader = _AnyMethod


class _Cleaned(LenientGateway):
    """Makes fields that HTTP/1.1 could not carry into some that it can."""

    def upstream_fields(self, head: RequestHead, outer: IncomingRequest) -> Fields:
        lines = super().upstream_fields(head, outer)
        kept = [line for line in lines if _TOKEN.fullmatch(line[0])]
        return tuple((name, re.sub(rb"[\0\r\n]+", b" ", value).strip(b" \t")) for name, value in kept)


@fault(
    id="gateway.messages.bytes-cleaned",
    breaks=["MSG-015"],
    trips=["gateway.messages.field-bytes", "gateway.messages.field-injection"],
)
class BytesCleaned(_Cleaned):
    """Replaces line breaks in values and drops names that are none."""

    without = ("binary-http.field-value.bytes", "binary-http.field-name.token")


@fault(id="gateway.messages.lines-split", breaks=["MSG-015"], trips=["gateway.messages.field-injection"])
class LinesSplit(LenientGateway):
    """Makes text of field lines and reads them again, as deployed gateways do."""

    without = ("binary-http.field-value.bytes", "binary-http.field-name.token")

    def upstream_fields(self, head: RequestHead, outer: IncomingRequest) -> Fields:
        lines = super().upstream_fields(head, outer)
        text = b"\n".join(name + b": " + value for name, value in lines).replace(b"\r\n", b"\n")
        split = [line.partition(b": ") for line in text.partition(b"\n\n")[0].split(b"\n") if line]
        if any(not _TOKEN.fullmatch(name) or not colon or re.search(rb"[\0\r]", value) for name, colon, value in split):
            raise bad_request()
        return tuple((name, value) for name, _, value in split)


@fault(id="gateway.messages.blanks-removed", breaks=["MSG-015"], trips=["gateway.messages.field-blanks"])
class BlanksRemoved(_Cleaned):
    """Removes blanks at the ends of values, as deployed gateways do."""

    without = ("binary-http.field-value.blanks",)


@fault(id="gateway.messages.pseudo-ignored", breaks=["MSG-016", "MSG-017"], trips=["gateway.messages.pseudo-field"])
class PseudoIgnored(LenientGateway):
    """Ignores all pseudo-fields, wherever they stand."""

    without = (
        "binary-http.field-name.reserved",
        "binary-http.field-name.pseudo-order",
        "binary-http.field-name.pseudo-trailer",
    )


class _KnownFields(_FirstPlaintext):
    """Wants no extension."""

    def looked_at(self, plaintext: bytes) -> bytes:
        if b":extension" in plaintext:
            raise Fussy
        return plaintext


@fault(id="gateway.messages.no-extension", breaks=["MSG-018"], trips=["gateway.messages.unknown-pseudo-field"])
class NoExtension(ReadingGateway):
    """Refuses pseudo-fields that it does not know."""

    reader = _KnownFields


@fault(id="gateway.messages.empty-name", breaks=["MSG-019"], trips=["gateway.messages.sections"])
class EmptyName(_Cleaned):
    """Drops field lines without a name."""

    without = ("binary-http.field-name.empty",)


@fault(id="gateway.messages.short-lines", breaks=["MSG-020"], trips=["gateway.messages.large-field"])
class ShortLines(ReadingGateway):
    """Reads field lines of up to 8192 bytes."""

    limits = Limits(field_line=8192)


@fault(id="gateway.messages.authority-required", breaks=["MSG-023"], trips=["gateway.messages.host-field"])
class AuthorityRequired(Gateway):
    """Refuses requests without an authority."""

    def admit(self, head: RequestHead) -> str:
        if not head.authority:
            raise bad_request()
        return super().admit(head)


@fault(
    id="gateway.messages.any-length",
    breaks=["MSG-026"],
    trips=["gateway.messages.content-length", "gateway.messages.content-length-sign"],
)
class AnyLength(LenientGateway):
    """Ignores a content-length that is no number."""

    without = ("binary-http.content-length.number",)


@fault(
    id="gateway.messages.other-length",
    breaks=["MSG-039"],
    trips=["gateway.messages.content-length-differs"],
)
class OtherLength(LenientGateway):
    """Ignores a content-length that is not that of the content."""

    without = ("binary-http.content-length.differs",)


class _WithTrailers(_FirstPlaintext):
    """Wants every message to end with a trailer section or padding."""

    def looked_at(self, plaintext: bytes) -> bytes:
        if self.form is Form.UNCHUNKED and not plaintext.endswith(b"\0"):
            raise Fussy
        return plaintext


@fault(id="gateway.messages.trailers-required", breaks=["MSG-030"], trips=["gateway.messages.shortened"])
class TrailersRequired(ReadingGateway):
    """Refuses messages that leave the trailer section out."""

    reader = _WithTrailers


@fault(
    id="gateway.messages.cut-accepted",
    breaks=["MSG-031"],
    trips=["gateway.messages.truncated", "gateway.messages.truncated-end"],
)
class CutAccepted(LenientGateway):
    """Takes what there is of the content for all of it."""

    without = ("binary-http.content.truncated",)


class _LittlePadding(_FirstPlaintext):
    """Wants no more than 4096 bytes of padding."""

    def looked_at(self, plaintext: bytes) -> bytes:
        if self.form is Form.UNCHUNKED and plaintext.endswith(bytes(4096)):
            raise Fussy
        return plaintext


@fault(id="gateway.messages.little-padding", breaks=["MSG-032"], trips=["gateway.messages.padding"])
class LittlePadding(ReadingGateway):
    """Refuses messages with much padding."""

    reader = _LittlePadding


class _MixedCase(SealedResponse):
    """Writes a name as HTTP/1.1 services like to."""

    async def start(self) -> None:
        encoder: Any = self._encoder
        encoded = encoder.start
        encoder.start = lambda: encoded().replace(b"x-mixed-case", b"X-Mixed-Case")
        await super().start()


@fault(id="gateway.messages.mixed-case", breaks=["MSG-012"], trips=["gateway.messages.lower-case"])
class MixedCase(Gateway):
    """Writes field names in mixed case."""

    def sealed_response(self, *arguments: Any) -> SealedResponse:
        honest: Any = super().sealed_response(*arguments)
        honest.__class__ = _MixedCase
        return honest  # type: ignore[no-any-return]


class _OtherHead(Gateway):
    """Changes the head of a response behind all rules."""

    def other_fields(self, fields: Fields, response: IncomingResponse) -> Fields:
        raise NotImplementedError

    def response_encoder(
        self, response: IncomingResponse, form: Form, length: int | None, announced: Sequence[bytes]
    ) -> ResponseEncoder:
        encoder: Any = super().response_encoder(response, form, length, announced)
        *early, head = encoder._heads
        encoder._heads = (*early, ResponseHead(head.status, self.other_fields(head.fields, response)))
        return encoder  # type: ignore[no-any-return]


@fault(id="gateway.messages.connection-kept", breaks=["MSG-024"], trips=["gateway.messages.response-fields"])
class ConnectionKept(_OtherHead):
    """Passes on what the service says about its connection."""

    def other_fields(self, fields: Fields, response: IncomingResponse) -> Fields:
        return (*fields, *(line for line in response.fields if line[0] in (b"connection", b"keep-alive")))


@fault(id="gateway.messages.length-dropped", breaks=["MSG-025"], trips=["gateway.messages.response-length"])
class LengthDropped(_OtherHead):
    """Leaves the content length out."""

    def other_fields(self, fields: Fields, response: IncomingResponse) -> Fields:
        return tuple(line for line in fields if line[0] != b"content-length")


class _Trusting(RequestDecoder):
    """Looks at the bytes of fields only in messages of known length."""

    trusts: bool | None = None

    def feed(self, data: bytes) -> list[Event]:
        if self.trusts is None:
            self.trusts = data[:1] == b"\2"
        codes = ("binary-http.field-value.bytes", "binary-http.field-name.token") if self.trusts else ()
        with without_check(*codes):
            return list(super().feed(data))


@fault(
    id="gateway.messages.streams-trusted",
    breaks=["MSG-015"],
    trips=["gateway.messages.field-bytes", "gateway.messages.field-injection"],
)
class StreamsTrusted(_Cleaned):
    """Has a second decoder, for indeterminate length, that does not look at the bytes of fields."""

    def sealed_request(self, request: IncomingRequest, form: Form) -> SealedRequest:
        return SealedRequest(request, form, self.opener(form), _Trusting())


@fault(
    id="gateway.messages.written-raw",
    breaks=["MSG-015"],
    trips=["gateway.messages.field-bytes", "gateway.messages.field-injection"],
)
class WrittenRaw(LenientGateway):
    """Writes field lines to the service as they are, for it to refuse or not."""

    without = ("binary-http.field-value.bytes", "binary-http.field-name.token")

    async def forward(self, sealed: SealedRequest, inner: InnerRequest, responder: Responder) -> None:
        fields = inner.head.fields
        if any(not _TOKEN.fullmatch(name) or re.search(rb"[\0\r\n]", value) for name, value in fields):
            lines = [b"POST / HTTP/1.1", b"host: x", *(name + b": " + value for name, value in fields)]
            await self.write(b"\r\n".join(lines) + b"\r\n\r\n")
        await super().forward(sealed, inner, responder)

    async def write(self, request: bytes) -> None:
        with suppress(Http1Error):
            async with connect(self.upstreams[ROUTER], step_s=1.0) as connection:
                await connection.send_raw(request)
                await connection.response()
