"""The compute node: what it accepts, what it costs, how its worker answers. Chapter: ``spec/compute_node.md``.

``parameters`` are the fields in the clear, ``validation`` the rules for the opened request with ``schemas`` and
``strict_json`` for its body, ``refunds`` the price, ``output_framing`` what passes between worker and front end.
"""

from openpcc_ref.compute_node.errors import WIRE_CODES, ComputeNodeRejected, validation_answer, wire_code
from openpcc_ref.compute_node.output_framing import (
    Footer,
    Header,
    OutputDecoder,
    encode_chunks,
    encode_footer,
    encode_header,
)
from openpcc_ref.compute_node.parameters import Parameters, decode_parameters, refusal_message
from openpcc_ref.compute_node.refunds import Usage, UsageReader, refund
from openpcc_ref.compute_node.validation import (
    MAX_BODY,
    MAX_FIELD,
    EngineRequest,
    NodeRules,
    declared_length,
    validate_body,
    validate_head,
)

__all__ = [
    "MAX_BODY",
    "MAX_FIELD",
    "WIRE_CODES",
    "ComputeNodeRejected",
    "EngineRequest",
    "Footer",
    "Header",
    "NodeRules",
    "OutputDecoder",
    "Parameters",
    "Usage",
    "UsageReader",
    "declared_length",
    "decode_parameters",
    "encode_chunks",
    "encode_footer",
    "encode_header",
    "refund",
    "refusal_message",
    "validate_body",
    "validate_head",
    "validation_answer",
    "wire_code",
]
