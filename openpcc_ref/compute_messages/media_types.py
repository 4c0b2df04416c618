"""The four media types of compute messages, and the lengths both sides share."""

from __future__ import annotations

from openpcc_ref.errors import Rejected, require
from openpcc_ref.oblivious_http.media_types import Form

USER_CHUNK = 512
"""Content bytes of one Binary HTTP content chunk, at most. Requirements: MSG-075."""

ENCODED_CHUNK = 514
"""Plaintext bytes of one sealed chunk, and the unit of padding: a user chunk behind its length. Requirements: MSG-073,
MSG-074."""

REQUEST_MEDIA_TYPES = {
    Form.UNCHUNKED: b"application/confsec-req",
    Form.CHUNKED: b"application/confsec-chunked-req",
}
"""What a request is called on the wire, and the label in the HPKE info. Requirements: MSG-041, MSG-071."""

RESPONSE_MEDIA_TYPES = {
    Form.UNCHUNKED: b"application/confsec-res",
    Form.CHUNKED: b"application/confsec-chunked-res",
}
"""What a response is called on the wire, and its HPKE exporter context. Requirements: MSG-052, MSG-071."""


class ComputeMessageRejected(Rejected):
    """A media type, an encapsulated key or a sealed message is not acceptable."""


def request_form(media_type: bytes) -> Form:
    """Return the form that a request's ``Content-Type`` names; compared byte for byte. Requirements: MSG-071, MSG-081.

    Raises :class:`ComputeMessageRejected` with ``compute-message.request.media-type``.
    """
    return _form(REQUEST_MEDIA_TYPES, media_type, "request")


def response_form(media_type: bytes) -> Form:
    """Return the form that a response's ``Content-Type`` names; compared byte for byte. Requirements: MSG-071, MSG-083.

    Raises :class:`ComputeMessageRejected` with ``compute-message.response.media-type``.
    """
    return _form(RESPONSE_MEDIA_TYPES, media_type, "response")


def _form(media_types: dict[Form, bytes], media_type: bytes, part: str) -> Form:
    named = [form for form, name in media_types.items() if name == media_type]
    require(
        bool(named),
        ComputeMessageRejected,
        f"compute-message.{part}.media-type",
        where="Content-Type",
        expected=f"exactly one of the two {part} media types",
    )
    return named[0] if named else Form.CHUNKED if b"chunked" in media_type.lower() else Form.UNCHUNKED
