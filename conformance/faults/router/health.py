"""Routers that misjudge how nodes are."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

from conformance.faults import fault
from conformance.faults.router.base import PartsRouter
from openpcc_ref.http1 import Http1Error, exchange
from openpcc_ref.routing import Check, Grading, NodeEvent, NodeTable
from openpcc_ref.services.forwarding import path_of
from openpcc_ref.services.health_checker import HealthChecker


class _Hasty(NodeTable):
    def __init__(self) -> None:
        super().__init__(Grading(min_checks=2))


@fault(id="router.health.hasty", breaks=["RTR-090"], trips=["router.health.three-checks"])
class Hasty(PartsRouter):
    """Lets a node in after two checks."""

    table_class = _Hasty


class _Forgiving(NodeTable):
    def add_check(self, node_id: str, check: Check) -> None:
        if check.healthy:
            super().add_check(node_id, check)


@fault(
    id="router.health.forgiving",
    breaks=["RTR-092"],
    trips=["router.health.failing", "router.health.not-by-heartbeat", "router.health.share-of-successes"],
    also=["router.manifests.routable-only"],
)
class Forgiving(PartsRouter):
    """Forgets checks that failed."""

    table_class = _Forgiving


class AskingChecker(HealthChecker):
    """Checks once, as ``is_well`` does."""

    async def check(self, node_id: str, url: str) -> None:
        self._table.add_check(node_id, Check(self._now(), await self.is_well(url)))

    async def is_well(self, url: str) -> bool:
        """Ask a node."""
        return await self.status(url) // 100 == 2

    async def status(self, url: str, method: bytes = b"GET") -> int:
        """Return the status, 0 if there is none."""
        try:
            return (await exchange(url, method, path_of(url), step_s=5.0))[0].status
        except Http1Error:
            return 0


class CheckingRouter(PartsRouter):
    """Checks nodes with ``checker_class``."""

    checker_class: type[AskingChecker] = AskingChecker

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        checker = self.checker_class(self.table, self.now, interval_s=self.check_every_s)
        async with anyio.create_task_group() as group:
            group.start_soon(checker.run)
            yield
            group.cancel_scope.cancel()


class _AnyAnswer(AskingChecker):
    async def is_well(self, url: str) -> bool:
        return await self.status(url) > 0


@fault(
    id="router.health.any-answer",
    breaks=["RTR-091"],
    trips=["router.health.statuses", "router.health.failing", "router.manifests.routable-only"],
    also=["router.health.not-by-heartbeat", "router.health.share-of-successes"],
)
class AnyAnswer(CheckingRouter):
    """Takes every answer to a check for success."""

    checker_class = _AnyAnswer


class _OnlyOk(AskingChecker):
    async def is_well(self, url: str) -> bool:
        return await self.status(url) == 200


@fault(id="router.health.only-200", breaks=["RTR-091"], trips=["router.health.statuses"])
class Only200(CheckingRouter):
    """Takes only 200 for success."""

    checker_class = _OnlyOk


class _Optimist(AskingChecker):
    async def is_well(self, url: str) -> bool:
        return await self.status(url) in (0, *range(200, 300))


@fault(id="router.health.optimist", breaks=["RTR-090", "RTR-091"], trips=["router.health.unreachable"])
class Optimist(CheckingRouter):
    """Takes a node that cannot be reached for well."""

    checker_class = _Optimist


class _Posting(AskingChecker):
    async def is_well(self, url: str) -> bool:
        return await self.status(url, b"POST") // 100 == 2


@fault(id="router.health.posts", breaks=["RTR-091"], trips=["router.health.own-url"])
class Posts(CheckingRouter):
    """Checks by POST."""

    checker_class = _Posting


class _StreakOnly(NodeTable):
    def __init__(self) -> None:
        super().__init__(Grading(min_success_rate=0.0))


@fault(id="router.health.streak-only", breaks=["RTR-092"], trips=["router.health.share-of-successes"])
class StreakOnly(PartsRouter):
    """Heeds the last three checks only."""

    table_class = _StreakOnly


class _Healing(NodeTable):
    def add_event(self, event: NodeEvent) -> None:
        super().add_event(event)
        node = self._nodes[event.node_id]
        if event.index > 0 and event.routing_info is not None:
            node.history = [Check(event.at, True)] * self.grading.min_checks


@fault(
    id="router.health.by-heartbeat",
    breaks=["RTR-090", "RTR-092"],
    trips=["router.health.not-by-heartbeat"],
    also=["router.events.repeated"],
)
class ByHeartbeat(PartsRouter):
    """Takes further heartbeats for successful checks."""

    table_class = _Healing
