"""A prompt sealed once for several nodes, and the answer of one. Chapter: ``spec/compute_messages.md``.

``encapsulated_key`` is what each candidate node gets, ``request`` and ``response`` are the sealed bodies as they
stream, ``inner_http`` is what is inside, ``messages`` does all of it in one call.
"""

from openpcc_ref.compute_messages.encapsulated_key import (
    COMPUTE_SUITE,
    ReceiverContext,
    encapsulate_key,
    encapsulated_key_length,
    open_encapsulated_key,
)
from openpcc_ref.compute_messages.inner_http import (
    AUTHORITY,
    content_pieces,
    inner_form,
    request_encoder,
    response_encoder,
)
from openpcc_ref.compute_messages.media_types import (
    ENCODED_CHUNK,
    REQUEST_MEDIA_TYPES,
    RESPONSE_MEDIA_TYPES,
    USER_CHUNK,
    ComputeMessageRejected,
    request_form,
    response_form,
)
from openpcc_ref.compute_messages.messages import open_request, open_response, seal_request, seal_response
from openpcc_ref.compute_messages.node_key import encode_node_key
from openpcc_ref.compute_messages.request import RequestOpener, RequestSealer
from openpcc_ref.compute_messages.response import ResponseOpener, ResponseSealer
from openpcc_ref.oblivious_http.media_types import Form

__all__ = [
    "AUTHORITY",
    "COMPUTE_SUITE",
    "ENCODED_CHUNK",
    "REQUEST_MEDIA_TYPES",
    "RESPONSE_MEDIA_TYPES",
    "USER_CHUNK",
    "ComputeMessageRejected",
    "Form",
    "ReceiverContext",
    "RequestOpener",
    "RequestSealer",
    "ResponseOpener",
    "ResponseSealer",
    "content_pieces",
    "encapsulate_key",
    "encapsulated_key_length",
    "encode_node_key",
    "inner_form",
    "open_encapsulated_key",
    "open_request",
    "open_response",
    "request_encoder",
    "request_form",
    "response_encoder",
    "response_form",
    "seal_request",
    "seal_response",
]
