"""What a Binary HTTP message is made of (RFC 9292 section 3)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TypeAlias

from openpcc_ref.errors import Rejected

Field: TypeAlias = tuple[bytes, bytes]
"""One field line: name and value."""

Fields: TypeAlias = tuple[Field, ...]
"""Field lines in order; the order of lines with equal names carries meaning."""


class BinaryHttpRejected(Rejected):
    """The input is not a valid Binary HTTP message."""


class Unencodable(Rejected, ValueError):
    """The caller of an encoder asks for what no valid Binary HTTP message can carry."""


class Framing(IntEnum):
    """The framing indicator, first varint of every message (RFC 9292 section 3.3)."""

    KNOWN_LENGTH_REQUEST = 0
    KNOWN_LENGTH_RESPONSE = 1
    INDETERMINATE_LENGTH_REQUEST = 2
    INDETERMINATE_LENGTH_RESPONSE = 3

    @property
    def known_length(self) -> bool:
        """Whether sections and content are preceded by their length."""
        return self in (Framing.KNOWN_LENGTH_REQUEST, Framing.KNOWN_LENGTH_RESPONSE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a decoder accepts at most; lengths in bytes. Requirements: MSG-007, MSG-010, MSG-020."""

    method: int = 64
    scheme: int = 64
    authority: int = 256
    path: int = 4096
    field_line: int = 16384
    """One encoded field line: both length prefixes, name and value."""
    section: int = 131072
    """One field section, all lines together."""
    informational: int = 32
    """How many informational responses may precede the final one."""


@dataclass(frozen=True, slots=True)
class RequestHead:
    """Request control data and header section (RFC 9292 section 3.4)."""

    method: bytes
    scheme: bytes
    authority: bytes
    path: bytes
    fields: Fields = ()


@dataclass(frozen=True, slots=True)
class ResponseHead:
    """A status code, informational (100..199) or final (200..599), with its header section (section 3.5)."""

    status: int
    fields: Fields = ()


@dataclass(frozen=True, slots=True)
class Content:
    """A piece of the content, as it arrived; where it was cut means nothing."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Trailers:
    """The trailer section; it closes every message, empty or not."""

    fields: Fields = ()


Event: TypeAlias = RequestHead | ResponseHead | Content | Trailers
"""What a decoder reports: heads, then content, then trailers."""


@dataclass(frozen=True, slots=True)
class Request:
    """A whole request."""

    head: RequestHead
    content: bytes = b""
    trailers: Fields = ()


@dataclass(frozen=True, slots=True)
class Response:
    """A whole response with the informational ones that came before it."""

    head: ResponseHead
    content: bytes = b""
    trailers: Fields = ()
    informational: tuple[ResponseHead, ...] = ()


def field_values(fields: Fields, name: bytes) -> tuple[bytes, ...]:
    """Return the values of all lines with that name, in order; names compare without case."""
    return tuple(value for line_name, value in fields if line_name.lower() == name.lower())


def field_value(fields: Fields, name: bytes) -> bytes | None:
    """Return the first value for a name, or None."""
    values = field_values(fields, name)
    return values[0] if values else None
