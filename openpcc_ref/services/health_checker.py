"""Asking nodes how they are. Requirements: RTR-090, RTR-091."""

from __future__ import annotations

from collections.abc import Callable

import anyio

from openpcc_ref.http1 import Http1Error, exchange
from openpcc_ref.routing import Check, NodeTable, is_healthy
from openpcc_ref.services.forwarding import path_of

ATTEMPTS = 3
"""How often a node is asked before a check counts as failed."""

STEP_S = 5.0
"""How long each wait for a node lasts at most, in seconds."""


class HealthChecker:
    """Checks all nodes of a table at an interval, side by side. ``now`` gives Unix seconds."""

    def __init__(self, table: NodeTable, now: Callable[[], float], *, interval_s: float) -> None:
        self._table = table
        self._now = now
        self._interval_s = interval_s

    async def run(self) -> None:
        """Check until cancelled."""
        while True:
            await self.check_all()
            await anyio.sleep(self._interval_s)

    async def check_all(self) -> None:
        """Check every node once."""
        async with anyio.create_task_group() as group:
            for node_id, url in self._table.to_check(self._now()):
                group.start_soon(self.check, node_id, url)

    async def check(self, node_id: str, url: str) -> None:
        """Check one node, with a few attempts, and note the outcome."""
        healthy = False
        for _ in range(ATTEMPTS):
            healthy = await _answers(url)
            if healthy:
                break
        self._table.add_check(node_id, Check(self._now(), healthy))


async def _answers(url: str) -> bool:
    try:
        response, _ = await exchange(url, b"GET", path_of(url), step_s=STEP_S)
    except Http1Error:
        return False
    return is_healthy(response.status)
