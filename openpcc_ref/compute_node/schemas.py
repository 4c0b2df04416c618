"""The members that request bodies may have, path by path. Requirements: NODE-039, NODE-041.

Types are named in words; a dictionary is an object with just these members, a list of one entry a list of such.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from openpcc_ref.compute_node.errors import require_node

Schema = dict[str, Any]

_INT64 = range(-(2**63), 2**63)


def _members(**by_type: str) -> Schema:
    return {name: kind for kind, names in by_type.items() for name in names.split()}


_STREAM_OPTIONS: Schema = {"include_usage": "boolean"}

_OPENAI = _members(
    string="model user",
    integer="frequency_penalty logprobs max_tokens n presence_penalty seed top_p",
    number="temperature repetition_penalty",
    boolean="stream ignore_eos",
    object="logit_bias",
    anything="stop",
) | {"stream_options": _STREAM_OPTIONS}

_CHAT_MESSAGE = _members(string="role name refusal", list="tool_calls", anything="content audio")

SCHEMAS: dict[str, Schema] = {
    "/api/generate": _members(
        string="model prompt system suffix template", boolean="stream", object="options", anything="keep_alive"
    ),
    "/api/chat": _members(string="model", objects="messages tools", boolean="stream", object="format options")
    | {"keep_alive": "anything"},
    "/v1/completions": _OPENAI | _members(string="prompt suffix", integer="best_of", boolean="echo"),
    "/v1/chat/completions": _OPENAI
    | _members(
        integer="max_completion_tokens top_logprobs",
        boolean="parallel_tool_calls",
        object="metadata",
        list="functions tools",
        anything="function_call prediction response_format tool_choice",
    )
    | {"messages": [_CHAT_MESSAGE]},
}
"""The paths that a node serves, with the members of their bodies."""

REQUIRED: dict[str, str] = {
    "/api/generate": "prompt",
    "/api/chat": "messages",
    "/v1/completions": "prompt",
    "/v1/chat/completions": "messages",
}
"""What each body needs besides ``model``; a text must not be empty, a list may be."""


def require_members(value: dict[str, Any], schema: Schema, where: str = "body") -> None:
    """Refuse unknown members and values of other types; null counts as absent. Requirements: NODE-039.

    Raises :class:`~openpcc_ref.compute_node.ComputeNodeRejected` with ``compute-node.json.member`` or
    ``compute-node.json.type``. Unknown names are not repeated in the refusal.
    """
    for name, member in value.items():
        require_node(name in schema, "json.member", where, "no other members than the path has")
        if name in schema and member is not None:
            _require_type(member, schema[name], f"{where}.{name}")


def _require_type(value: Any, kind: Any, where: str) -> None:
    if isinstance(kind, dict):
        if _holds(value, dict, where, "an object"):
            require_members(value, kind, where)
    elif isinstance(kind, list):
        if _holds(value, list, where, "a list"):
            for number, entry in enumerate(value):
                _require_type(entry, kind[0], f"{where}[{number}]")
    elif kind != "anything":
        require_node(_TYPES[kind](value), "json.type", where, f"of type {kind}")


def _holds(value: Any, kind: type, where: str, expected: str) -> bool:
    require_node(isinstance(value, kind), "json.type", where, expected)
    return isinstance(value, kind)


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value in _INT64


_TYPES: dict[str, Callable[[Any], bool]] = {
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "integer": _is_integer,
    "number": lambda value: _is_integer(value) or isinstance(value, float),
    "object": lambda value: isinstance(value, dict),
    "list": lambda value: isinstance(value, list),
    "objects": lambda value: isinstance(value, list) and all(isinstance(entry, dict) for entry in value),
}
