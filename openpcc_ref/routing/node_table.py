"""What a router knows of its nodes, and which of them it may route to. Requirements: RTR-083 to RTR-090, RTR-093."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from openpcc_ref.routing.health import Check, Grade, Grading
from openpcc_ref.routing.node_events import NodeEvent, RoutingInfo


@dataclass(frozen=True, slots=True)
class NodeState:
    """What the events of one node add up to."""

    last_index: int
    last_at: float
    routing_info: RoutingInfo | None = None
    shutdown_at: float | None = None


def merge_event(state: NodeState | None, event: NodeEvent) -> NodeState:
    """Return the state after an event. Order is by index alone; routing info, once known, stays.

    An event that is not newer only fills in missing routing info. Requirements: RTR-083, RTR-084, RTR-093.
    """
    if state is None:
        state = NodeState(-1, event.at)
    routing_info = state.routing_info or event.routing_info
    if event.index <= state.last_index:
        return replace(state, routing_info=routing_info)
    shutdown_at = event.at if event.shutdown else state.shutdown_at
    return NodeState(event.index, event.at, routing_info, shutdown_at)


def merge_states(state: NodeState, other: NodeState) -> NodeState:
    """Return the state after hearing of a peer's. Requirements: RTR-093."""
    merged = replace(state, routing_info=state.routing_info or other.routing_info)
    if state.last_index >= other.last_index:
        return merged
    shutdown_at = state.shutdown_at if other.shutdown_at is None else other.shutdown_at
    return replace(merged, last_index=other.last_index, last_at=other.last_at, shutdown_at=shutdown_at)


@dataclass(slots=True)
class _Node:
    state: NodeState
    history: list[Check] = field(default_factory=list)


class NodeTable:
    """The nodes of one router. Times are Unix seconds and arguments.

    A node that has shut down is remembered, so that a late heartbeat does not revive it. Requirements: RTR-086.
    """

    def __init__(self, grading: Grading | None = None) -> None:
        self.grading = grading or Grading()
        self._nodes: dict[str, _Node] = {}

    def add_event(self, event: NodeEvent) -> None:
        """Take an event of a node. Requirements: RTR-083 to RTR-086."""
        node = self._nodes.get(event.node_id)
        state = merge_event(node.state if node else None, event)
        if node is None:
            self._nodes[event.node_id] = _Node(state)
        else:
            node.state = state

    def add_check(self, node_id: str, check: Check) -> None:
        """Take a health check of a node; those too old to count are dropped. Requirements: RTR-090 to RTR-092."""
        if node := self._nodes.get(node_id):
            node.history = [kept for kept in node.history if kept.at >= check.at - self.grading.max_age_s]
            node.history.append(check)

    def to_check(self, now: float) -> Iterator[tuple[str, str]]:
        """Yield (node id, health check URL) of every node that is there and alive."""
        for node_id, node in list(self._nodes.items()):
            if self._alive(node, now) and node.state.routing_info is not None:
                yield node_id, node.state.routing_info.healthcheck_url

    def routable(self, now: float) -> dict[str, RoutingInfo]:
        """Return the nodes that requests may go to. Requirements: RTR-019, RTR-085, RTR-089, RTR-090."""
        return {
            node_id: node.state.routing_info
            for node_id, node in self._nodes.items()
            if node.state.routing_info is not None
            and self._alive(node, now)
            and self.grading.grade(node.history, now) is Grade.OK
        }

    def _alive(self, node: _Node, now: float) -> bool:
        return node.state.shutdown_at is None and node.state.last_at >= now - self.grading.max_age_s
