"""Encoding Binary HTTP, whole or piece by piece (RFC 9292 sections 3.1 to 3.8).

Encoders write what they are given after checking it; what HTTP asks of a sender beyond that (which fields to drop,
which to add) is in :mod:`openpcc_ref.binary_http.mapping`. Misuse raises ValueError.
"""

from __future__ import annotations

from collections.abc import Sequence

from openpcc_ref.binary_http import rules
from openpcc_ref.binary_http.messages import (
    BinaryHttpRejected,
    Fields,
    Framing,
    Request,
    RequestHead,
    Response,
    ResponseHead,
)
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
        if len(data) > self._remaining:
            raise ValueError(f"{len(data) - self._remaining} bytes of content more than declared")
        self._remaining -= len(data)
        return self._count(data)

    def finish(self, trailers: Fields = ()) -> bytes:
        """Return content terminator, trailer section and padding. Requirements: MSG-029, MSG-033, MSG-037."""
        if self._remaining:
            raise ValueError(f"{self._remaining} bytes of content fewer than declared")
        terminator = b"\0" if self._remaining is None else b""
        end = terminator + self._section(trailers, trailer=True)
        self._count(end)
        return end + bytes(-self._written % self._pad_to if self._pad_to else 0)

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
        try:
            rules.require_request_head(head)
        except BinaryHttpRejected as rejected:
            raise ValueError(str(rejected)) from rejected
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
        if not 200 <= head.status <= 599 or any(not 100 <= early.status <= 199 for early in informational):
            raise ValueError("a final status is 200 to 599, an informational one 100 to 199")
        self._heads = (*informational, head)

    def _control_data(self) -> bytes:
        return b"".join(encode_varint(head.status) + self._section(head.fields) for head in self._heads)


def encode_request(request: Request, *, indeterminate: bool = False, pad_to: int = 0) -> bytes:
    """Encode a whole request. Raises ValueError for what no message can carry."""
    length = None if indeterminate else len(request.content)
    encoder = RequestEncoder(request.head, content_length=length, pad_to=pad_to)
    return encoder.start() + encoder.content(request.content) + encoder.finish(request.trailers)


def encode_response(response: Response, *, indeterminate: bool = False, pad_to: int = 0) -> bytes:
    """Encode a whole response. Raises ValueError for what no message can carry."""
    length = None if indeterminate else len(response.content)
    encoder = ResponseEncoder(response.head, content_length=length, pad_to=pad_to, informational=response.informational)
    return encoder.start() + encoder.content(response.content) + encoder.finish(response.trailers)


def _line(name: bytes, value: bytes, *, trailer: bool) -> bytes:
    if name != name.lower() or not rules.TOKEN.fullmatch(name):
        raise ValueError("a field name is a token in lower case")
    if trailer and name in rules.CONTENT_FRAMING_FIELDS:
        raise ValueError(f"{name.decode()} cannot be a trailer")
    try:
        rules.require_field_value(value, name.decode())
    except BinaryHttpRejected as rejected:
        raise ValueError(str(rejected)) from rejected
    return encode_varint(len(name)) + name + encode_varint(len(value)) + value
