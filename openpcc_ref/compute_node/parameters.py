"""The fields in the clear that come with a sealed request. Requirements: NODE-003 to NODE-005."""

from __future__ import annotations

import re
from dataclasses import dataclass

from openpcc_ref.base64_text import from_text
from openpcc_ref.compute_messages import ComputeMessageRejected, Form, request_form
from openpcc_ref.compute_node.errors import ComputeNodeRejected, require_node

MAX_KEY_TEXT = 512
"""Characters of ``X-Encapsulated-Key``, at most. Requirements: NODE-004."""

_INTEGER = re.compile(r"[+-]?[0-9]{1,19}")
_MAX_AMOUNT = 2**63 - 1

MESSAGES = {
    "compute-message.request.media-type": "invalid media type",
    "compute-node.parameters.encapsulated-key": "invalid encapsulated key",
    "compute-node.parameters.credit-amount": "invalid credit amount",
    "compute-node.parameters.no-credit": "credit amount must be greater than 0",
}
"""The text of the answer to each refusal, as deployed nodes have it."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """How the request is sealed, the key for this node, and the amount of the credit that pays."""

    form: Form
    encapsulated_key: bytes
    credit_amount: int


def decode_parameters(content_type: bytes, encapsulated_key: bytes, credit_amount: bytes) -> Parameters:
    """Decode ``Content-Type``, ``X-Encapsulated-Key`` and ``X-Credit-Amount``, empty when absent, in this order.

    Requirements: NODE-003 to NODE-005, MSG-081. Raises :class:`ComputeNodeRejected` with
    ``compute-node.parameters.encapsulated-key``, ``….credit-amount`` or ``….no-credit``, and
    :class:`~openpcc_ref.compute_messages.ComputeMessageRejected` with ``compute-message.request.media-type``.
    """
    form = request_form(content_type)
    key_code = "parameters.encapsulated-key"
    fits = 0 < len(encapsulated_key) <= MAX_KEY_TEXT
    require_node(fits, key_code, "X-Encapsulated-Key", f"1 to {MAX_KEY_TEXT} characters")
    key = from_text(encapsulated_key.decode("latin-1"), ComputeNodeRejected, f"compute-node.{key_code}")
    text = credit_amount.decode("latin-1")
    amount = int(text) if _INTEGER.fullmatch(text) else None
    readable = amount is not None and abs(amount) <= _MAX_AMOUNT
    require_node(readable, "parameters.credit-amount", "X-Credit-Amount", "a decimal number of 64 bits")
    require_node(amount is None or amount > 0, "parameters.no-credit", "X-Credit-Amount", "more than 0")
    return Parameters(form, key, amount or 0)


def refusal_message(refusal: ComputeNodeRejected | ComputeMessageRejected) -> str:
    """Return the text that answers a refusal of :func:`decode_parameters`."""
    return MESSAGES[refusal.code]
