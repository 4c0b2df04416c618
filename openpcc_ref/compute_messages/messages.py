"""Whole messages in one call, for those who have all of the message at hand."""

from __future__ import annotations

from collections.abc import Sequence

from openpcc_ref.binary_http import Request, Response, decode_request, decode_response
from openpcc_ref.compute_messages.encapsulated_key import ReceiverContext
from openpcc_ref.compute_messages.inner_http import content_pieces, request_encoder, response_encoder
from openpcc_ref.compute_messages.media_types import (
    REQUEST_MEDIA_TYPES,
    RESPONSE_MEDIA_TYPES,
    request_form,
    response_form,
)
from openpcc_ref.compute_messages.request import RequestOpener, RequestSealer
from openpcc_ref.compute_messages.response import ResponseOpener, ResponseSealer
from openpcc_ref.oblivious_http.media_types import Form
from openpcc_ref.sources import RandomSource


def seal_request(
    request: Request, public_keys: Sequence[bytes], form: Form = Form.UNCHUNKED, *, random: RandomSource
) -> tuple[bytes, bytes, list[tuple[bytes, ReceiverContext]]]:
    """Return media type, sealed message, and (encapsulated key, context) for each node.

    Requirements: MSG-070 to MSG-079. Raises ValueError for a request to another host than ``confsec.invalid``.
    """
    sealer = RequestSealer(form, random=random)
    encoder = request_encoder(request.head, content_length=_content_length(request.content, form))
    parts = [encoder.start(), *map(encoder.content, content_pieces(request.content)), encoder.finish(request.trailers)]
    message = sealer.header() + b"".join(map(sealer.seal, parts)) + sealer.finish()
    return REQUEST_MEDIA_TYPES[form], message, [sealer.encapsulate_key(key) for key in public_keys]


def open_request(
    media_type: bytes, encapsulated_key: bytes, message: bytes, secret_key: bytes
) -> tuple[Request, ReceiverContext]:
    """Return the inner request and the context for its response. Raises as :class:`RequestOpener` and decoders do."""
    opener = RequestOpener(encapsulated_key, secret_key, request_form(media_type))
    plaintext = b"".join([*opener.feed(message), *opener.finish()])
    return decode_request(plaintext), opener.context


def seal_response(
    response: Response, context: ReceiverContext, form: Form = Form.UNCHUNKED, *, random: RandomSource
) -> tuple[bytes, bytes]:
    """Return media type and sealed message. Requirements: MSG-052, MSG-060, MSG-071 to MSG-076."""
    sealer = ResponseSealer(context, form, random=random)
    encoder = response_encoder(response.head, content_length=_content_length(response.content, form))
    pieces = content_pieces(response.content)
    parts = [encoder.start(), *map(encoder.content, pieces), encoder.finish(response.trailers)]
    message = sealer.header() + b"".join(map(sealer.seal, parts)) + sealer.finish()
    return RESPONSE_MEDIA_TYPES[form], message


def open_response(media_type: bytes, message: bytes, context: ReceiverContext) -> Response:
    """Return the inner response. Requirements: MSG-053, MSG-083. Raises as :class:`ResponseOpener` and decoders do."""
    opener = ResponseOpener(context, response_form(media_type))
    return decode_response(b"".join([*opener.feed(message), *opener.finish()]))


def _content_length(content: bytes, form: Form) -> int | None:
    return len(content) if form is Form.UNCHUNKED else None
