"""What a compute node accepts, as operations. Chapter: ``spec/compute_node.md``.

Methods, paths, authorities, field names and values, and JSON bodies are text.
"""

from __future__ import annotations

from conformance.operations import operation
from conformance.vectors.case import Json
from openpcc_ref.badges import Badge
from openpcc_ref.binary_http import RequestHead
from openpcc_ref.compute_node import NodeRules, decode_parameters, validate_body, validate_head
from openpcc_ref.compute_node.schemas import SCHEMAS, require_members
from openpcc_ref.compute_node.strict_json import decode_object


@operation("node-validation.decode-parameters")
def parameters(value: Json) -> Json:
    """Decode the fields in the clear."""
    texts = (value["content_type"], value["encapsulated_key"], value["credit_amount"])
    decoded = decode_parameters(*(text.encode() for text in texts))
    return {
        "form": decoded.form,
        "encapsulated_key": decoded.encapsulated_key.hex(),
        "credit_amount": decoded.credit_amount,
    }


@operation("node-validation.check-head")
def head(value: Json) -> Json:
    """Check method, path, authority, fields and badge of an opened request."""
    badge = validate_head(_head(value), NodeRules((), bytes.fromhex(value["badge_public_key"])))
    return {"names": list(badge.models)}


@operation("node-validation.decode-object")
def strict(value: Json) -> Json:
    """Decode a body into the one JSON object it must be."""
    return {"members": sorted(decode_object(bytes.fromhex(value["body"])))}


@operation("node-validation.check-members")
def members(value: Json) -> Json:
    """Check names and types of a body's members."""
    body = decode_object(value["body"].encode())
    require_members(body, SCHEMAS[value["path"]])
    return {"members": sorted(body)}


@operation("node-validation.check-body")
def body(value: Json) -> Json:
    """Check a body as a whole, with the models that the node serves and those that the badge names."""
    request = RequestHead(b"POST", b"", b"", value["path"].encode(), _fields(value))
    badge = Badge(tuple(value["badge_models"]), b"")
    engine = validate_body(request, value["body"].encode(), badge, NodeRules(value["served_models"], b""))
    return {"body": engine.body.decode(), "model": engine.model, "stream": engine.stream}


def _head(value: Json) -> RequestHead:
    method, authority, path = (value[name].encode() for name in ("method", "authority", "path"))
    return RequestHead(method, b"http", authority, path, _fields(value))


def _fields(value: Json) -> tuple[tuple[bytes, bytes], ...]:
    return tuple((name.encode(), text.encode()) for name, text in value["fields"])
