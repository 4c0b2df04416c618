"""What a node accepts of an opened request, in the order in which it looks. Requirements: NODE-020 to NODE-044."""

from __future__ import annotations

import posixpath
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from openpcc_ref import badges
from openpcc_ref.binary_http import RequestHead, field_value, field_values
from openpcc_ref.compute_messages import AUTHORITY
from openpcc_ref.compute_node.errors import require_node
from openpcc_ref.compute_node.schemas import REQUIRED, SCHEMAS, require_members
from openpcc_ref.compute_node.strict_json import decode_object, member_span

MAX_FIELD = 1024
"""Bytes of all values of one field name together. Requirements: NODE-035."""

MAX_BODY = 2**20
"""Bytes of a request body, unless a node is told otherwise. Requirements: NODE-036."""


@dataclass(frozen=True, slots=True)
class NodeRules:
    """Which models a node serves, whose badges it takes (an Ed25519 public key of 32 bytes), and its longest body.

    A ``max_body`` in bytes above :data:`MAX_BODY` departs from NODE-036: see NODE-D21.
    """

    models: Collection[str]
    badge_public_key: bytes
    max_body: int = MAX_BODY


@dataclass(frozen=True, slots=True)
class EngineRequest:
    """What goes to the inference engine: nothing of the client's but path and body. Requirements: NODE-014."""

    path: str
    body: bytes
    model: str
    stream: bool


def validate_head(head: RequestHead, rules: NodeRules) -> badges.Badge:
    """Check everything but the body and return the badge. Requirements: NODE-020 to NODE-022, NODE-030 to NODE-036.

    Without a badge there is no signature either. Raises :class:`~openpcc_ref.compute_node.ComputeNodeRejected` and
    :class:`~openpcc_ref.badges.BadgeRejected`.
    """
    _require_endpoint(head)
    _require_fields(head)
    require_node(head.authority == AUTHORITY, "authority", "authority", AUTHORITY.decode())
    badge = badges.decode_text((field_value(head.fields, badges.FIELD_NAME) or b"").decode("latin-1"))
    badges.require_signature(badge, rules.badge_public_key)
    declared = declared_length(head)
    limit = rules.max_body
    require_node((declared or 0) <= limit, "body.long", "content-length", f"at most {limit} bytes")
    return badge


def declared_length(head: RequestHead) -> int | None:
    """Return the declared length of the body in bytes, or None without one that is a number."""
    values = field_values(head.fields, b"content-length")
    return int(values[0]) if len(values) == 1 and values[0].isdigit() and len(values[0]) < 20 else None


def validate_body(head: RequestHead, body: bytes, badge: badges.Badge, rules: NodeRules) -> EngineRequest:
    """Check the body and return what the engine gets. Requirements: NODE-024, NODE-036 to NODE-043.

    Raises as :func:`validate_head` does.
    """
    require_node(bool(body), "body.empty", "body", "a JSON object")
    require_node(len(body) <= rules.max_body, "body.long", "body", f"at most {rules.max_body} bytes")
    declared = declared_length(head)
    require_node(declared == len(body), "body.length", "content-length", "the length of the body")
    path = head.path.decode("latin-1")
    value = decode_object(body)
    require_members(value, SCHEMAS.get(path, {}))
    model = value.get("model")
    require_node(bool(model), "json.missing", "body.model", "a model")
    require_node(model in rules.models, "model", "body.model", "a model that this node serves")
    _require_present(value, REQUIRED.get(path, ""))
    badges.require_model(badge, str(model))
    return EngineRequest(path, _with_usage(path, value, body), str(model), value.get("stream") is True)


def _require_endpoint(head: RequestHead) -> None:
    before, _, query = head.path.partition(b"?")
    require_node(not query, "path.query", "path", "no query")
    text = (before if query else head.path).decode("latin-1")
    clean = posixpath.normpath("/" + text.strip("/"))
    plain = text == clean and not set("%?#\\") & set(text)
    require_node(plain, "path.form", "path", "a path in its normal form")
    named = text if plain else unquote(clean).rstrip("?")
    require_node(named in SCHEMAS, "path.unknown", "path", f"one of {', '.join(SCHEMAS)}")
    require_node(head.method == b"POST", "method", "method", "POST")


def _require_fields(head: RequestHead) -> None:
    chunked = field_value(head.fields, b"transfer-encoding") == b"chunked"
    require_node(not chunked, "field.transfer-encoding", "transfer-encoding", "no transfer coding")
    content_type = field_value(head.fields, b"content-type")
    require_node(content_type == b"application/json", "field.content-type", "content-type", "exactly application/json")
    sizes: Counter[bytes] = Counter()
    for name, value in head.fields:
        coded = name.lower() == b"content-encoding" or (name.lower() == b"transfer-encoding" and value != b"chunked")
        require_node(not coded, "field.refused", "fields", "neither transfer-encoding nor content-encoding")
        sizes[name.lower()] += len(value)
    require_node(max(sizes.values(), default=0) <= MAX_FIELD, "field.long", "fields", f"{MAX_FIELD} bytes per name")


def _require_present(value: dict[str, Any], name: str) -> None:
    member = value.get(name)
    require_node(member is not None and member != "", "json.missing", f"body.{name}", "a value")


def _with_usage(path: str, value: dict[str, Any], body: bytes) -> bytes:
    """Make the engine report usage at the end of a stream, changing nothing else. Requirements: NODE-042, NODE-043."""
    options = value.get("stream_options") or {}
    if not path.startswith("/v1/") or value.get("stream") is not True or options.get("include_usage") is True:
        return body
    wanted = b'{"include_usage":true}'
    text = body.decode() if "stream_options" in value else "{}"
    if span := member_span(text, "stream_options"):
        start, end = (len(text[:place].encode()) for place in span)
        return b"".join((body[:start], wanted, body[end:]))
    end = body.rindex(b"}")
    return b"".join((body[:end], b',"stream_options":', wanted, body[end:]))
