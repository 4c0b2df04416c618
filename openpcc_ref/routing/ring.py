"""Which router of a cluster checks which node. Requirements: RTR-094.

Not consistent hashing, though it looks like it: walking the nodes in order, the ring moves on by one position at most
per node, so that the owner of one node depends on all others. Routers of one cluster must share this.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from uuid import UUID

POSITIONS = 100
"""Positions of each router on the ring."""


def owners(routers: Sequence[str], nodes: Sequence[str]) -> dict[str, str]:
    """Return the router that owns each node, all given as UUID text. Raises ValueError without a router."""
    if not routers:
        raise ValueError("a ring has at least one router")
    ring = sorted((router_position(router, index), router) for router in routers for index in range(POSITIONS))
    assigned = {}
    place = 0
    for position, node in sorted((node_position(node), node) for node in nodes):
        if place < len(ring) and ring[place][0] < position:
            place += 1
        if place == len(ring):
            place = 0
        assigned[node] = ring[place][1]
    return assigned


def router_position(router: str, index: int) -> int:
    """Return one of the positions of a router: CRC-32 of the index (4 bytes) and the UUID."""
    return zlib.crc32(index.to_bytes(4, "big") + UUID(router).bytes)


def node_position(node: str) -> int:
    """Return the position of a node: CRC-32 of its UUID."""
    return zlib.crc32(UUID(node).bytes)
