"""Refunds as operations. Chapter: ``spec/compute_node.md``. Amounts are numbers, null where there is none."""

from __future__ import annotations

from conformance.operations import operation
from conformance.vectors.case import Json
from openpcc_ref.compute_node import Usage, UsageReader, refund
from openpcc_ref.credits import currency
from openpcc_ref.routing import decode_refund_amount


@operation("refund.compute")
def compute(value: Json) -> Json:
    """Return what a request leaves of its credit, and the text of ``X-Refund-Amount``."""
    tokens = value["usage"]
    usage = Usage(tokens["input"], tokens["output"]) if tokens else None
    unspent = refund(value["credit_amount"], value["status"], usage, value["factor"])
    if unspent is None:
        return {"amount": None, "text": None}
    return {"amount": unspent.amount, "text": currency.encode_text(unspent)}


@operation("refund.read-usage")
def read_usage(value: Json) -> Json:
    """Find the usage in an answer, given in pieces as they arrived."""
    reader = UsageReader(value["path"])
    for piece in value["pieces"]:
        reader.feed(piece.encode())
    usage = reader.finish()
    return {"usage": {"input": usage.input_tokens, "output": usage.output_tokens} if usage else None}


@operation("refund.decode-amount")
def decode_amount(value: Json) -> Json:
    """Return what a router refunds for a trailer ``X-Refund-Amount``."""
    unspent = decode_refund_amount(value["text"], value["credit_amount"])
    return {"amount": unspent.amount if unspent else None}
