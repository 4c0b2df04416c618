"""The HTTP message inside: Binary HTTP, in the framing that its media type promises, padded."""

from __future__ import annotations

from collections.abc import Iterator

from openpcc_ref import binary_http
from openpcc_ref.binary_http import RequestEncoder, RequestHead, ResponseEncoder, ResponseHead
from openpcc_ref.compute_messages.media_types import ENCODED_CHUNK
from openpcc_ref.oblivious_http.media_types import Form

AUTHORITY = b"confsec.invalid"
"""The host of every inner request; it resolves nowhere, so a request sent past the node goes nowhere.

Requirements: MSG-079, NODE-032.
"""


def inner_form(content_length: int | None) -> Form:
    """Return the form of a message: chunked exactly when the length is not known beforehand. Requirements: MSG-072."""
    return Form.CHUNKED if content_length is None else Form.UNCHUNKED


def request_encoder(head: RequestHead, *, content_length: int | None) -> RequestEncoder:
    """Return the encoder of an inner request, padding to 514 bytes. Requirements: MSG-073, MSG-079.

    Raises ValueError for a host other than :data:`AUTHORITY`.
    """
    if head.authority != AUTHORITY:
        raise ValueError(f"the inner request goes to {AUTHORITY.decode()} and to no other host")
    return RequestEncoder(head, content_length=content_length, pad_to=ENCODED_CHUNK)


def response_encoder(head: ResponseHead, *, content_length: int | None) -> ResponseEncoder:
    """Return the encoder of an inner response, padding to 514 bytes. Requirements: MSG-073."""
    return ResponseEncoder(head, content_length=content_length, pad_to=ENCODED_CHUNK)


def content_pieces(data: bytes) -> Iterator[bytes]:
    """Cut content into pieces that each fill at most one content chunk of 514 bytes. Requirements: MSG-075."""
    return binary_http.content_pieces(data, ENCODED_CHUNK)
