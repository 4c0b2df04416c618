"""The one error type of routing."""

from __future__ import annotations

from openpcc_ref.errors import Rejected, require


class RoutingRejected(Rejected):
    """A tag, a node identifier, or a message to the router is not acceptable."""


def require_routing(holds: bool, fault: str, where: str, expected: str) -> None:
    """Raise :class:`RoutingRejected` with ``routing.fault`` unless ``holds``."""
    require(holds, RoutingRejected, f"routing.{fault}", where=where, expected=expected)
