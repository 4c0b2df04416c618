"""What field lines and control data may contain: the rules both directions share (RFC 9292 sections 3.4 to 3.6)."""

from __future__ import annotations

import re

from openpcc_ref.binary_http.messages import (
    BinaryHttpRejected,
    Fields,
    RequestHead,
    field_value,
    field_values,
)
from openpcc_ref.errors import require

TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
"""RFC 9110 section 5.6.2."""

EXTENSION_PSEUDO_FIELD = re.compile(rb":[a-z0-9-]+")
RESERVED_PSEUDO_FIELDS = frozenset({b":method", b":scheme", b":authority", b":path", b":status"})

_AUTHORITY = re.compile(rb"[A-Za-z0-9\-._~%!$&'()*+,;=:@\[\]]*")
"""reg-name, IP-literal and port of RFC 3986 section 3.2: neither slash, blank nor control byte."""

_FORBIDDEN_IN_VALUE = re.compile(rb"[\x00\r\n]")
_BLANKS = b" \t"
_DECIMAL = re.compile(rb"[0-9]{1,18}")

CONTENT_FRAMING_FIELDS = frozenset({b"content-length", b"transfer-encoding"})
"""Names that would change how the content is read; never a trailer (RFC 9110 section 6.5.1)."""


def require_token(name: bytes, where: str) -> None:
    """Refuse field names that are no tokens. Requirements: MSG-012, MSG-015, MSG-019."""
    require(
        name != b"",
        BinaryHttpRejected,
        "binary-http.field-name.empty",
        where=where,
        expected="a name of at least one character",
    )
    require(
        name == b"" or TOKEN.fullmatch(name) is not None,
        BinaryHttpRejected,
        "binary-http.field-name.token",
        where=where,
        expected="only token characters",
    )


def require_no_content_framing(name: bytes, where: str) -> None:
    """Refuse a trailer that would change how the content is read. Requirements: MSG-028."""
    require(
        name.lower() not in CONTENT_FRAMING_FIELDS,
        BinaryHttpRejected,
        "binary-http.trailer.framing",
        where=where,
        expected="a trailer that does not frame the content",
    )


def require_field_value(value: bytes, where: str) -> None:
    """Refuse values that would change meaning in a text form. Requirements: MSG-015."""
    require(
        not _FORBIDDEN_IN_VALUE.search(value),
        BinaryHttpRejected,
        "binary-http.field-value.bytes",
        where=where,
        expected="no NUL, CR or LF",
    )
    require(
        value == value.strip(_BLANKS),
        BinaryHttpRejected,
        "binary-http.field-value.blanks",
        where=where,
        expected="neither SP nor HTAB at the ends",
    )


def require_request_head(head: RequestHead) -> None:
    """Refuse control data and host fields that no HTTP request can have. Requirements: MSG-008, MSG-023, MSG-026."""
    require(
        TOKEN.fullmatch(head.method) is not None,
        BinaryHttpRejected,
        "binary-http.method.token",
        where="method",
        expected="a token of at least one character",
    )
    require(
        head.path != b"" or head.method == b"CONNECT",
        BinaryHttpRejected,
        "binary-http.path.empty",
        where="path",
        expected="a path, unless the method is CONNECT",
    )
    _require_authority(head.authority, "authority")
    hosts = field_values(head.fields, b"host")
    require(
        len(hosts) <= 1,
        BinaryHttpRejected,
        "binary-http.host.repeated",
        where="host",
        expected=f"one field at most, {len(hosts)} present",
    )
    for host in hosts:
        _require_authority(host, "host")
        require(
            not head.authority or host == head.authority,
            BinaryHttpRejected,
            "binary-http.host.differs",
            where="host",
            expected="the value of the authority",
        )
    declared_content_length(head.fields)


def _require_authority(value: bytes, where: str) -> None:
    require(
        _AUTHORITY.fullmatch(value) is not None,
        BinaryHttpRejected,
        f"binary-http.{where}.bytes",
        where=where,
        expected="a host with an optional port",
    )


def request_authority(head: RequestHead) -> bytes:
    """Return the authority, or the host field where it is empty. Requirements: MSG-023."""
    return head.authority or field_value(head.fields, b"host") or b""


def declared_content_length(fields: Fields) -> int | None:
    """Return what a single content-length field says; several say nothing. Requirements: MSG-026."""
    values = field_values(fields, b"content-length")
    if len(values) != 1:
        return None
    valid = _DECIMAL.fullmatch(values[0]) is not None
    require(
        valid,
        BinaryHttpRejected,
        "binary-http.content-length.number",
        where="content-length",
        expected="a decimal integer without sign, at most 18 digits",
    )
    return int(values[0]) if valid else None
