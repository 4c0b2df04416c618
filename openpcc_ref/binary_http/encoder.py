"""Encoding Binary HTTP, whole or piece by piece (RFC 9292 sections 3.1 to 3.8).

Encoders write what they are given after checking it; what HTTP asks of a sender beyond that (which fields to drop,
which to add) is in :mod:`openpcc_ref.binary_http.mapping`. What no message can carry raises :class:`Unencodable`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from openpcc_ref.binary_http import rules
from openpcc_ref.binary_http.messages import (
    BinaryHttpRejected,
    Fields,
    Framing,
    Request,
    RequestHead,
    Response,
    ResponseHead,
    Unencodable,
)
from openpcc_ref.errors import require
from openpcc_ref.varint import encode_varint


class _Encoder:
    """Writes one message; subclasses write the control data."""

    _known_length: Framing
    _indeterminate_length: Framing

    def __init__(self, *, content_length: int | None, pad_to: int) -> None:
        if pad_to < 0 or (content_length is not None and content_length < 0):
            raise ValueError("content_length and pad_to are never negative")
        self._remaining = content_length
        self._pad_to = pad_to
        self._written = 0

    def start(self) -> bytes:
        """Return framing indicator, control data and header section."""
        framing = self._indeterminate_length if self._remaining is None else self._known_length
        head = encode_varint(framing) + self._control_data()
        return self._count(head if self._remaining is None else head + encode_varint(self._remaining))

    def content(self, data: bytes) -> bytes:
        """Return the encoding of a piece of content; nothing for an empty one. Requirements: MSG-034."""
        if self._remaining is None:
            return self._count(encode_varint(len(data)) + data if data else b"")
        self._require_declared(len(data) <= self._remaining, f"at most {self._remaining} more bytes, {len(data)} given")
        self._remaining = max(0, self._remaining - len(data))
        return self._count(data)

    def finish(self, trailers: Fields = ()) -> bytes:
        """Return content terminator, trailer section and padding. Requirements: MSG-029, MSG-033, MSG-037."""
        self._require_declared(not self._remaining, f"{self._remaining} more bytes")
        terminator = b"\0" if self._remaining is None else b""
        end = terminator + self._section(trailers, trailer=True)
        self._count(end)
        return end + bytes(-self._written % self._pad_to if self._pad_to else 0)

    def _require_declared(self, holds: bool, expected: str) -> None:
        require(holds, Unencodable, "binary-http.content-length.differs", where="content", expected=expected)

    def _control_data(self) -> bytes:
        raise NotImplementedError

    def _section(self, fields: Fields, *, trailer: bool = False) -> bytes:
        """Encode a field section in the form of the framing. Requirements: MSG-011 to MSG-013."""
        lines = b"".join(_line(name, value, trailer=trailer) for name, value in fields)
        return lines + b"\0" if self._remaining is None else encode_varint(len(lines)) + lines

    def _count(self, data: bytes) -> bytes:
        self._written += len(data)
        return data


class RequestEncoder(_Encoder):
    """Encodes a request; ``content_length`` None means indeterminate-length framing.

    ``pad_to`` makes the length of the whole message a multiple of it, with zero bytes (0: no padding).
    """

    _known_length = Framing.KNOWN_LENGTH_REQUEST
    _indeterminate_length = Framing.INDETERMINATE_LENGTH_REQUEST

    def __init__(self, head: RequestHead, *, content_length: int | None, pad_to: int = 0) -> None:
        super().__init__(content_length=content_length, pad_to=pad_to)
        with _as_unencodable():
            rules.require_request_head(head)
        self._head = head

    def _control_data(self) -> bytes:
        head = self._head
        parts = (head.method, head.scheme, head.authority, head.path)
        return b"".join(encode_varint(len(part)) + part for part in parts) + self._section(head.fields)


class ResponseEncoder(_Encoder):
    """Encodes a response, after its informational responses."""

    _known_length = Framing.KNOWN_LENGTH_RESPONSE
    _indeterminate_length = Framing.INDETERMINATE_LENGTH_RESPONSE

    def __init__(
        self,
        head: ResponseHead,
        *,
        content_length: int | None,
        pad_to: int = 0,
        informational: Sequence[ResponseHead] = (),
    ) -> None:
        super().__init__(content_length=content_length, pad_to=pad_to)
        _require_status(head.status, 200, 599)
        for early in informational:
            _require_status(early.status, 100, 199)
        self._heads = (*informational, head)

    def _control_data(self) -> bytes:
        return b"".join(encode_varint(head.status) + self._section(head.fields) for head in self._heads)


def encode_request(request: Request, *, indeterminate: bool = False, pad_to: int = 0) -> bytes:
    """Encode a whole request. Raises :class:`Unencodable` for what no message can carry."""
    length = None if indeterminate else len(request.content)
    encoder = RequestEncoder(request.head, content_length=length, pad_to=pad_to)
    return encoder.start() + encoder.content(request.content) + encoder.finish(request.trailers)


def encode_response(response: Response, *, indeterminate: bool = False, pad_to: int = 0) -> bytes:
    """Encode a whole response. Raises :class:`Unencodable` for what no message can carry."""
    length = None if indeterminate else len(response.content)
    encoder = ResponseEncoder(response.head, content_length=length, pad_to=pad_to, informational=response.informational)
    return encoder.start() + encoder.content(response.content) + encoder.finish(response.trailers)


def content_pieces(data: bytes, max_chunk: int) -> Iterator[bytes]:
    """Cut content so that every piece, with its length in front, has at most ``max_chunk`` (2 or more) bytes.

    Requirements: MSG-034.
    """
    if max_chunk < 2:
        raise ValueError("a chunk takes at least two bytes: its length and one byte of content")
    step = max(min(max_chunk - prefix, (1 << (8 * prefix - 2)) - 1) for prefix in (1, 2, 4, 8))
    return (data[start : start + step] for start in range(0, len(data), step))


def _line(name: bytes, value: bytes, *, trailer: bool) -> bytes:
    where = "trailers" if trailer else "fields"
    require(
        name == name.lower(), Unencodable, "binary-http.field-name.case", where=where, expected="a name in lower case"
    )
    with _as_unencodable():
        rules.require_token(name, where)
        rules.require_field_value(value, where)
        if trailer:
            rules.require_no_content_framing(name, where)
    return encode_varint(len(name)) + name + encode_varint(len(value)) + value


def _require_status(status: int, lowest: int, highest: int) -> None:
    require(
        lowest <= status <= highest,
        Unencodable,
        "binary-http.status.range",
        where="status",
        expected=f"{lowest} to {highest}",
    )


@contextmanager
def _as_unencodable() -> Iterator[None]:
    """Turn a refusal of the shared rules into the sender's own mistake."""
    try:
        yield
    except BinaryHttpRejected as rejected:
        raise Unencodable(rejected.code, where=rejected.where, expected=rejected.expected) from rejected
