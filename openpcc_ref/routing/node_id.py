"""Node identifiers: UUIDs of version 7 (RFC 9562 section 5.7), fresh at every start. Requirements: RTR-080."""

from __future__ import annotations

import re

from openpcc_ref.routing.errors import require_routing
from openpcc_ref.sources import RandomSource

_FORM = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_VERSION = 14
"""Where the version stands in the text."""


def decode_node_id(text: str, where: str = "node id") -> str:
    """Return the identifier in lower case. Requirements: RTR-021, RTR-031, RTR-081.

    Only the form with hyphens is understood, and only the version is looked at, not the variant. Raises
    :class:`~openpcc_ref.routing.RoutingRejected` with ``routing.node-id.form`` or ``….version``.
    """
    lower = text.lower()
    require_routing(bool(_FORM.fullmatch(lower)), "node-id.form", where, "36 characters: hexadecimal digits, hyphens")
    require_routing(lower[_VERSION : _VERSION + 1] == "7", "node-id.version", where, "a UUID of version 7")
    return lower


def make_node_id(unix_ms: int, *, random: RandomSource) -> str:
    """Return a fresh identifier: the time in milliseconds, then 74 random bits. Requirements: RTR-080."""
    tail = int.from_bytes(random(10), "big")
    number = unix_ms << 80 | 0x7 << 76 | (tail >> 64 & 0xFFF) << 64 | 0b10 << 62 | tail & (1 << 62) - 1
    digits = f"{number:032x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
