"""From an HTTP message to the fields its Binary HTTP form carries (chapter section "Mapping").

Requirements: MSG-012 to MSG-014, MSG-022, MSG-024, MSG-025, MSG-027, MSG-028.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from openpcc_ref.binary_http.messages import Fields, RequestHead, ResponseHead, field_value, field_values

CONNECTION_FIELDS = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-connection",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"te",
        b"transfer-encoding",
        b"upgrade",
    }
)
"""Fields that concern one connection (RFC 9110 section 7.6.1); they never travel inside a message."""

_REBUILT = frozenset({b"content-length", b"trailer"})
_METHODS_WITH_CONTENT = frozenset({b"POST", b"PUT", b"PATCH"})

NEVER_TRAILERS = frozenset(
    name.encode()
    for name in (
        "authorization cache-control connection content-encoding content-length content-range content-type expect"
        " host keep-alive max-forwards pragma proxy-authenticate proxy-authorization proxy-connection range realm te"
        " trailer transfer-encoding www-authenticate"
    ).split()
)
"""Names a sender does not use in a trailer section, besides all that begin with ``if-``. Requirements: MSG-028."""


def prepare_request(
    head: RequestHead, *, content_length: int | None, trailer_names: Sequence[bytes] = ()
) -> RequestHead:
    """Return the head as it is to be encoded: host in the authority, fields normalised, content announced.

    ``content_length`` None means that the length is not known beforehand.
    """
    authority = head.authority or field_value(head.fields, b"host") or b""
    fields = tuple(line for line in head.fields if line[0].lower() != b"host")
    announce = content_length is not None and (content_length > 0 or head.method in _METHODS_WITH_CONTENT)
    prepared = _prepared(fields, content_length if announce else None, trailer_names)
    return replace(head, authority=authority, fields=prepared)


def prepare_response(
    head: ResponseHead, *, content_length: int | None, trailer_names: Sequence[bytes] = ()
) -> ResponseHead:
    """Return the head as it is to be encoded; a known length is always written. Requirements: MSG-025."""
    return replace(head, fields=_prepared(head.fields, content_length, trailer_names))


def without_connection_fields(fields: Fields) -> Fields:
    """Drop connection fields and everything that ``connection`` names (RFC 9110 section 7.6.1)."""
    named = {option.strip().lower() for value in field_values(fields, b"connection") for option in value.split(b",")}
    return tuple(line for line in fields if line[0].lower() not in CONNECTION_FIELDS | named)


def may_be_trailer(name: bytes) -> bool:
    """Say whether a sender may put that name into a trailer section. Requirements: MSG-028."""
    return name.lower() not in NEVER_TRAILERS and not name.lower().startswith(b"if-")


def _prepared(fields: Fields, content_length: int | None, trailer_names: Sequence[bytes]) -> Fields:
    if content_length is not None and trailer_names:
        raise ValueError("a message that declares its content length carries no trailers")
    for name in trailer_names:
        if not may_be_trailer(name):
            raise ValueError(f"{name.decode()} cannot be a trailer")
    kept = [(name.lower(), value) for name, value in without_connection_fields(fields) if name.lower() not in _REBUILT]
    if content_length is not None:
        kept.append((b"content-length", str(content_length).encode()))
    if trailer_names:
        kept.append((b"trailer", b",".join(sorted({_canonical(name) for name in trailer_names}))))
    return tuple(sorted(kept, key=lambda line: line[0]))


def _canonical(name: bytes) -> bytes:
    return b"-".join(part.capitalize() for part in name.split(b"-"))
