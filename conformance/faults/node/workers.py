"""What faulty workers are made of: readers that look the other way, in all requests or only in some."""

from __future__ import annotations

from openpcc_ref.binary_http import RequestHead, field_value
from openpcc_ref.compute_node import EngineRequest
from openpcc_ref.errors import Rejected, without_check
from openpcc_ref.services.node_worker import Worker


class LenientWorker(Worker):
    """Reads the request as ``as_read`` says and leaves out the checks that ``left_out`` names."""

    def left_out(self, head: RequestHead, body: bytes) -> tuple[str, ...]:
        """Return the codes of refusals that are not made of this request."""
        return ()

    def as_read(self, head: RequestHead) -> RequestHead:
        """Return the head as this worker understands it."""
        return head

    def validate(self, head: RequestHead, body: bytes, broken: Rejected | None) -> EngineRequest:
        with without_check(*self.left_out(head, body)):
            return super().validate(self.as_read(head), body, broken)


def field_of(head: RequestHead, name: bytes) -> bytes:
    """Return the value of a field, empty without it."""
    return field_value(head.fields, name) or b""
