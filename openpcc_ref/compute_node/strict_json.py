"""Reading a request body so that no other reader can read it differently. Requirements: NODE-039, NODE-040.

A body that names a member twice, or continues after its end, means one thing to one parser and another to the next; a
model that was checked must be the model that runs.
"""

from __future__ import annotations

import json
import re
from typing import Any

from openpcc_ref.compute_node.errors import require_node

_BLANKS = re.compile(r"[ \t\n\r]*")


class _Broken(ValueError):
    """The text is no JSON."""


def decode_object(data: bytes) -> dict[str, Any]:
    """Return the one JSON object (RFC 8259) that the body is.

    Raises :class:`~openpcc_ref.compute_node.ComputeNodeRejected` with ``compute-node.json.malformed``,
    ``….duplicate``, ``….type`` or ``….trailing``.
    """
    try:
        text = data.decode()
        value, end = _DECODER.raw_decode(text, _after_blanks(text, 0))
        readable = True
    except (ValueError, RecursionError):
        text, value, end, readable = "", {}, 0, False
    require_node(readable, "json.malformed", "body", "JSON in UTF-8")
    require_node(isinstance(value, dict), "json.type", "body", "an object")
    require_node(_after_blanks(text, end) == len(text), "json.trailing", "body", "nothing after the object")
    return value if isinstance(value, dict) else {}


def member_span(text: str, name: str) -> tuple[int, int] | None:
    """Return where the value of a top-level member stands in an object that was decoded, or None without it."""
    place = text.index("{") + 1
    while (place := _after_blanks(text, place)) < len(text) and text[place] == '"':
        found, place = json.decoder.scanstring(text, place + 1, True)  # type: ignore[attr-defined]
        start = _after_blanks(text, _after_blanks(text, place) + 1)
        _, place = _DECODER.raw_decode(text, start)
        if found == name:
            return start, place
        place = _after_blanks(text, place) + 1
    return None


def _after_blanks(text: str, start: int) -> int:
    match = _BLANKS.match(text, start)
    return match.end() if match else start


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    require_node(len(members) == len(pairs), "json.duplicate", "body", "each member once in an object")
    return members


def _no_constant(name: str) -> Any:
    raise _Broken(name)


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_constant)
