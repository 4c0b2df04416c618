"""The two forms of an encapsulated message, and the names bound to each.

RFC 9458 section 4; draft-ietf-ohai-chunked-ohttp section 3.
"""

from __future__ import annotations

from enum import StrEnum

from openpcc_ref.errors import Rejected

KEYS_MEDIA_TYPE = b"application/ohttp-keys"
"""A list of key configurations (RFC 9458 section 3.2)."""


class ObliviousHttpRejected(Rejected):
    """A key configuration, a rotation period or an encapsulated message is not acceptable."""


class Form(StrEnum):
    """Whether a message is sealed whole or in chunks."""

    UNCHUNKED = "unchunked"
    CHUNKED = "chunked"

    @property
    def request_media_type(self) -> bytes:
        """The outer ``Content-Type`` of a request, to be sent without parameters. Requirements: OHT-039."""
        return b"message/ohttp-req" if self is Form.UNCHUNKED else b"message/ohttp-chunked-req"

    @property
    def response_media_type(self) -> bytes:
        """The outer ``Content-Type`` of a response. Requirements: OHT-042, OHT-043."""
        return b"message/ohttp-res" if self is Form.UNCHUNKED else b"message/ohttp-chunked-res"

    @property
    def request_label(self) -> bytes:
        """The label in the HPKE info of a request. Requirements: OHT-020."""
        return b"message/bhttp request" if self is Form.UNCHUNKED else b"message/bhttp chunked request"

    @property
    def response_label(self) -> bytes:
        """The exporter context of a response, whatever the form of its request was. Requirements: OHT-025."""
        return b"message/bhttp response" if self is Form.UNCHUNKED else b"message/bhttp chunked response"
