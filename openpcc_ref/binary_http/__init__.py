"""Binary HTTP messages (RFC 9292). Chapter: ``spec/binary_http.md``."""

from openpcc_ref.binary_http.decoder import RequestDecoder, ResponseDecoder, decode_request, decode_response
from openpcc_ref.binary_http.encoder import (
    RequestEncoder,
    ResponseEncoder,
    content_pieces,
    encode_request,
    encode_response,
)
from openpcc_ref.binary_http.mapping import (
    may_be_trailer,
    prepare_request,
    prepare_response,
    without_connection_fields,
)
from openpcc_ref.binary_http.messages import (
    BinaryHttpRejected,
    Content,
    Event,
    Field,
    Fields,
    Framing,
    Limits,
    Request,
    RequestHead,
    Response,
    ResponseHead,
    Trailers,
    Unencodable,
    field_value,
    field_values,
)
from openpcc_ref.binary_http.rules import request_authority

__all__ = [
    "BinaryHttpRejected",
    "Content",
    "Event",
    "Field",
    "Fields",
    "Framing",
    "Limits",
    "Request",
    "RequestDecoder",
    "RequestEncoder",
    "RequestHead",
    "Response",
    "ResponseDecoder",
    "ResponseEncoder",
    "ResponseHead",
    "Trailers",
    "Unencodable",
    "content_pieces",
    "decode_request",
    "decode_response",
    "encode_request",
    "encode_response",
    "field_value",
    "field_values",
    "may_be_trailer",
    "prepare_request",
    "prepare_response",
    "request_authority",
    "without_connection_fields",
]
