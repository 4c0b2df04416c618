"""Decoding Binary HTTP, piece by piece and in constant memory.

The parser is a generator that reads like the message layout and pauses whenever the next bytes are not there yet.
One parser serves requests and responses, both framings, streams and whole messages.
"""

from __future__ import annotations

from openpcc_ref.binary_http import rules
from openpcc_ref.binary_http.messages import (
    BinaryHttpRejected,
    Content,
    Event,
    Fields,
    Framing,
    Limits,
    Request,
    RequestHead,
    Response,
    ResponseHead,
    Trailers,
)
from openpcc_ref.binary_http.sections import SectionParser
from openpcc_ref.binary_http.stepwise import Input, Steps
from openpcc_ref.errors import require

_DEFAULT_LIMITS = Limits()


class _Decoder:
    """The parser of one message; subclasses say which control data it has."""

    _framings: tuple[Framing, Framing]

    def __init__(self, limits: Limits = _DEFAULT_LIMITS) -> None:
        self._limits = limits
        self._input = Input()
        self._sections = SectionParser(self._input, limits)
        self._events: list[Event] = []
        self._pending = bytearray()
        self._steps: Steps[None] = self._message()
        self._done = False
        self._refusal: BinaryHttpRejected | None = None

    def feed(self, data: bytes) -> list[Event]:
        """Take more bytes and return what they complete.

        Raises :class:`BinaryHttpRejected`, and raises it again whatever is called afterwards: a message is not valid
        in parts.
        """
        if self._input.ended:
            raise ValueError("the message has already been finished")
        self._input.append(data)
        return self._advance()

    def finish(self) -> list[Event]:
        """Say that the message ends here and return the last events; a truncated message is refused.

        Only now is the message known to be complete and valid. Requirements: MSG-031, MSG-035.
        """
        if self._input.ended:
            raise ValueError("the message has already been finished")
        self._input.ended = True
        return self._advance()

    def _advance(self) -> list[Event]:
        if self._refusal is not None:
            raise self._refusal
        if not self._done:
            try:
                next(self._steps)
            except StopIteration:
                self._done = True
            except BinaryHttpRejected as rejected:
                self._refusal = rejected
                raise
        self._report_content()
        events, self._events = self._events, []
        return events

    def _report(self, event: Event) -> None:
        self._report_content()
        self._events.append(event)

    def _report_content(self) -> None:
        """Report all content at hand as one piece: a chunk may have one byte, an event takes more."""
        if self._pending:
            self._events.append(Content(bytes(self._pending)))
            self._pending.clear()

    def _message(self) -> Steps[None]:
        indicator = yield from self._input.varint("framing")
        known = indicator in set(Framing)
        require(
            known,
            BinaryHttpRejected,
            "binary-http.framing.unknown",
            where="offset 0",
            expected="a framing indicator 0, 1, 2 or 3",
        )
        framing = Framing(indicator) if known else self._framings[0]
        require(
            framing in self._framings,
            BinaryHttpRejected,
            "binary-http.framing.unexpected",
            where="offset 0",
            expected=f"framing indicator {self._framings[0]:d} or {self._framings[1]:d}",
        )
        declared = yield from self._head(framing.known_length)
        yield from self._content(framing.known_length, declared)
        if (yield from self._input.at_end()):
            self._report(Trailers())
            return
        trailers = yield from self._sections.section(framing.known_length, "trailers")
        self._report(Trailers(trailers))
        yield from self._padding()

    def _head(self, known_length: bool) -> Steps[int | None]:
        """Parse control data and header section; return the declared content length, if any."""
        raise NotImplementedError

    def _header_section(self, known_length: bool, place: str) -> Steps[Fields]:
        """Parse a header section; a message may end right before it. Requirements: MSG-030."""
        if (yield from self._input.at_end()):
            return ()
        return (yield from self._sections.section(known_length, place))

    def _content(self, known_length: bool, declared: int | None) -> Steps[None]:
        """Pass the content on as it arrives. Requirements: MSG-030, MSG-031, MSG-034."""
        total = 0
        while not (yield from self._input.at_end()) or (total and not known_length):
            length = yield from self._input.varint("content")
            if known_length:
                self._require_declared(declared, length)
            remaining = length
            while remaining:
                piece = yield from self._some_content(remaining)
                if not piece:
                    break
                remaining -= len(piece)
            total += length - remaining
            if known_length:
                return
            if length == 0 or (self._input.ended and remaining):
                break
        self._require_declared(declared, total)

    def _some_content(self, length: int) -> Steps[bytes]:
        """Report up to ``length`` bytes of content as soon as there are any."""
        if (yield from self._input.at_end()):
            return (yield from self._input.exactly(length, "content"))
        piece = self._input.up_to(length)
        self._pending += piece
        return piece

    def _require_declared(self, declared: int | None, length: int) -> None:
        require(
            declared is None or declared == length,
            BinaryHttpRejected,
            "binary-http.content-length.differs",
            where="content",
            expected=f"{declared} bytes as declared, {length} present",
        )

    def _padding(self) -> Steps[None]:
        """Accept zero bytes to the end of the input. Requirements: MSG-032."""
        while not (yield from self._input.at_end()):
            offset = self._input.offset
            padding = self._input.up_to(65536)
            stray = len(padding) - len(padding.lstrip(b"\0"))
            require(
                stray == len(padding),
                BinaryHttpRejected,
                "binary-http.padding.nonzero",
                where=f"offset {offset + stray}",
                expected="zero bytes after the trailer section",
            )


class RequestDecoder(_Decoder):
    """Decodes one request: a :class:`RequestHead`, content, :class:`Trailers`."""

    _framings = (Framing.KNOWN_LENGTH_REQUEST, Framing.INDETERMINATE_LENGTH_REQUEST)

    def _head(self, known_length: bool) -> Steps[int | None]:
        method = yield from self._control("method", self._limits.method)
        scheme = yield from self._control("scheme", self._limits.scheme)
        authority = yield from self._control("authority", self._limits.authority)
        path = yield from self._control("path", self._limits.path)
        fields = yield from self._header_section(known_length, "fields")
        head = RequestHead(method, scheme, authority, path, fields)
        rules.require_request_head(head)
        self._report(head)
        return rules.declared_content_length(fields)

    def _control(self, name: str, limit: int) -> Steps[bytes]:
        """Parse one length-prefixed part of the control data. Requirements: MSG-006, MSG-007."""
        length = yield from self._input.varint("control-data")
        require(
            length <= limit,
            BinaryHttpRejected,
            f"binary-http.{name}.length",
            where=name,
            expected=f"at most {limit} bytes",
        )
        return (yield from self._input.exactly(length, "control-data"))


class ResponseDecoder(_Decoder):
    """Decodes one response: informational heads, the final :class:`ResponseHead`, content, :class:`Trailers`."""

    _framings = (Framing.KNOWN_LENGTH_RESPONSE, Framing.INDETERMINATE_LENGTH_RESPONSE)

    def _head(self, known_length: bool) -> Steps[int | None]:
        """Parse informational responses and the final head. Requirements: MSG-009, MSG-010."""
        informational = 0
        while True:
            status = yield from self._input.varint("status")
            require(
                100 <= status <= 599,
                BinaryHttpRejected,
                "binary-http.status.range",
                where="status",
                expected="100 to 599",
            )
            final = status >= 200 or status == 0  # zero only with the checks off: a status that is not there
            informational += not final
            require(
                informational <= self._limits.informational,
                BinaryHttpRejected,
                "binary-http.informational.count",
                where="status",
                expected=f"at most {self._limits.informational} informational responses",
            )
            fields = yield from self._header_section(known_length, "fields")
            declared = rules.declared_content_length(fields)
            self._report(ResponseHead(status, fields))
            if final:
                return declared

    def _require_declared(self, declared: int | None, length: int) -> None:
        # The answer to HEAD and a 304 declare the length of content that is not there (RFC 9110 section 8.6).
        if length:
            super()._require_declared(declared, length)


def decode_request(data: bytes, limits: Limits = _DEFAULT_LIMITS) -> Request:
    """Decode a whole request. Raises :class:`BinaryHttpRejected`."""
    decoder = RequestDecoder(limits)
    request = Request(RequestHead(b"", b"", b"", b""))
    pieces: list[bytes] = []
    for event in [*decoder.feed(data), *decoder.finish()]:
        match event:
            case RequestHead():
                request = Request(event)
            case Content(piece):
                pieces.append(piece)
            case Trailers(fields):
                request = Request(request.head, b"".join(pieces), fields)
    return request


def decode_response(data: bytes, limits: Limits = _DEFAULT_LIMITS) -> Response:
    """Decode a whole response. Raises :class:`BinaryHttpRejected`."""
    decoder = ResponseDecoder(limits)
    heads: list[ResponseHead] = []
    pieces: list[bytes] = []
    trailers: Fields = ()
    for event in [*decoder.feed(data), *decoder.finish()]:
        match event:
            case ResponseHead():
                heads.append(event)
            case Content(piece):
                pieces.append(piece)
            case Trailers(fields):
                trailers = fields
    return Response(heads[-1], b"".join(pieces), trailers, tuple(heads[:-1]))
