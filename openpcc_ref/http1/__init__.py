"""HTTP/1.1 as it is on the wire: chunk boundaries, trailers, early answers, broken messages, resets.

``listen`` serves a handler, ``connect`` opens a client connection, ``exchange`` does one request on its own. The state
machine is h11; sockets are used directly so that a connection can be reset on purpose. Every wait has a deadline, every
byte can be tapped, and what h11 refuses to say can be sent with ``send_raw``. Failures are one type,
:class:`Http1Error`. Received field names are lower-case; names to send go out as given.
"""

from openpcc_ref.binary_http import Fields, field_value, field_values
from openpcc_ref.http1.client import Connection, IncomingResponse, connect, exchange
from openpcc_ref.http1.errors import Failure, Http1Error, is_http1_error
from openpcc_ref.http1.messages import Chunk, Tap
from openpcc_ref.http1.server import Handler, IncomingRequest, Responder, Server, listen

__all__ = [
    "Chunk",
    "Connection",
    "Failure",
    "Fields",
    "Handler",
    "Http1Error",
    "IncomingRequest",
    "IncomingResponse",
    "Responder",
    "Server",
    "Tap",
    "connect",
    "exchange",
    "field_value",
    "field_values",
    "is_http1_error",
    "listen",
]
