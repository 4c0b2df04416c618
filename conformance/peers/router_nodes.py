"""The nodes behind a router: what they say of themselves, how healthy they are, and what they answer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from itertools import count

import anyio

from conformance.peers.scripted import Answer, Received, ScriptedPeer
from conformance.targets import TargetFailed
from openpcc_ref.http1 import Fields, IncomingRequest, Responder, Server, listen
from openpcc_ref.protobuf.evidence_pb2 import SignedEvidenceList, SignedEvidencePiece
from openpcc_ref.routing import NodeEvent, RoutingInfo, encode_event, make_node_id
from openpcc_ref.sources import system_clock, system_random

RESPONSE = b"application/confsec-chunked-res"
OLD_S = 1000
"""Older than 15 minutes (RTR-089)."""

ENOUGH_CHECKS = 3
"""How many successful health checks make a node routable (RTR-090)."""

EVIDENCE = SignedEvidenceList(
    items=[
        SignedEvidencePiece(type=3, data=b"quote", signature=b"signed"),
        SignedEvidencePiece(type=1, data=bytes(range(256)), signature=b""),
        SignedEvidencePiece(type=3, data=b"another quote", signature=b"signed too"),
    ]
)
"""What nodes send as evidence: opaque here, in an order that is not that of its types, and with a repeated type."""


@dataclass(frozen=True, slots=True)
class Node:
    """One run of one node, as it presents itself to the router."""

    id: str
    label: str
    info: RoutingInfo

    def heartbeat(self, index: int = 0, *, info: RoutingInfo | None = None, at: float | None = None) -> bytes:
        """Return a serialized heartbeat, by default of this moment and with the node's own routing info."""
        return encode_event(NodeEvent(self.id, index, now() if at is None else at, routing_info=info or self.info))

    def shutdown(self, index: int) -> bytes:
        """Return a serialized shutdown of this moment."""
        return encode_event(NodeEvent(self.id, index, now(), shutdown=True))


def now() -> float:
    """Return the present moment in Unix seconds."""
    return system_clock().timestamp()


class HealthPeer:
    """Answers the health checks of all nodes; it runs beside what a case is about and keeps only numbers."""

    def __init__(self) -> None:
        self.statuses: dict[str, int] = {}
        """Status by label; nodes that are not listed are well."""
        self.failing_first: dict[str, int] = {}
        """Label to how many checks are answered with 503 before the node is well."""
        self.held_after: dict[str, int] = {}
        """Label to how many checks are answered before further ones have to wait."""
        self.asked: dict[str, int] = {}
        self.posted = 0
        """How many requests of another method than GET came in this case."""
        self._changed = anyio.Event()
        self._server: Server | None = None

    @property
    def url(self) -> str:
        assert self._server is not None
        return self._server.url

    @asynccontextmanager
    async def serve(self, *, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[None]:
        """Serve while the context is open. Raises :class:`TargetFailed` when the address cannot be listened on."""
        listening = listen(self._handle, host=host, port=port, step_s=600.0)
        try:
            self._server = await listening.__aenter__()
        except OSError as error:
            raise TargetFailed(f"cannot listen on {host}:{port}: {error.strerror}") from error
        try:
            yield
        finally:
            await listening.__aexit__(None, None, None)

    def reset(self) -> None:
        """Make all nodes well again."""
        self.statuses = {}
        self.failing_first = {}
        self.held_after = {}
        self.posted = 0
        self._notify()

    def let_go(self, label: str) -> None:
        """Answer the checks of a node that had to wait."""
        self.held_after.pop(label, None)
        self._notify()

    async def checked(self, label: str, times: int) -> None:
        """Wait until a node was asked so often, counted from its start; the caller sets the deadline."""
        while self.asked.get(label, 0) < times:
            await self._changed.wait()

    async def _handle(self, request: IncomingRequest, responder: Responder) -> None:
        self.posted += request.method != b"GET"
        label = request.target.rpartition(b"/")[2].decode("latin-1")
        self.asked[label] = number = self.asked.get(label, 0) + 1
        self._notify()
        while number > self.held_after.get(label, number):
            await self._changed.wait()
        status = 503 if number <= self.failing_first.get(label, 0) else self.statuses.get(label, 200)
        await responder.send_head(status, ((b"content-length", b"0"),))
        await responder.finish()

    def _notify(self) -> None:
        changed, self._changed = self._changed, anyio.Event()
        changed.set()


class NodeFarm:
    """All nodes of a run behind two addresses: one for requests, one for health checks."""

    def __init__(self, *, step_s: float) -> None:
        self.peer = ScriptedPeer(honest_answer, step_s=step_s)
        """Gets the compute requests of every node; the request target says whose they are."""
        self.absent = ScriptedPeer(honest_answer, step_s=step_s)
        """Where a node should be that is not there: connections are refused."""
        self.health = HealthPeer()
        self._numbers = count(1)

    def make(
        self, tags: Sequence[str] = ("llm",), *, evidence: SignedEvidenceList = EVIDENCE, there: bool = True
    ) -> Node:
        """Return a new node; ``there`` says whether it can be reached for requests."""
        label = f"node-{next(self._numbers)}"
        info = RoutingInfo(
            url=f"{(self.peer if there else self.absent).url}{target_of(label)}",
            healthcheck_url=f"{self.health.url}/health/{label}",
            tags=frozenset(tags),
            evidence=evidence.SerializeToString(),
        )
        return Node(make_node_id(int(now() * 1000), random=system_random), label, info)

    def behind_tls(self, node: Node) -> Node:
        """Return a node as it would be if it asked for TLS where nobody speaks it."""
        return replace(node, info=replace(node.info, url=node.info.url.replace("http:", "https:", 1)))

    def with_lost_health(self, node: Node) -> Node:
        """Return a node as it would be if nobody listened at its health URL."""
        return replace(node, info=replace(node.info, healthcheck_url=f"{self.absent.url}/health/{node.label}"))

    def asked(self, node: Node) -> list[Received]:
        """Return the requests that a node got in this case."""
        return [received for received in self.peer.requests if received.target == target_of(node.label).encode()]


def target_of(label: str) -> str:
    """Return the request target at which a node takes requests: a path and a query of its own."""
    return f"/compute/{label}?of={label}"


async def honest_answer(received: Received, responder: Responder) -> None:
    """Answer as a node without a refund, with content that says who answers."""
    await answers([b"answer of " + received.target])(received, responder)


def answers(pieces: Sequence[bytes], trailers: Fields = (), *, status: int = 200, fields: Fields = ()) -> Answer:
    """Return an answer of a node: after the whole request, in the chunked transfer coding, then the trailers."""

    async def answer(received: Received, responder: Responder) -> None:
        await received.end()
        await responder.send_head(status, response_head(fields))
        for piece in pieces:
            await responder.send(piece)
        await responder.finish(trailers)

    return answer


def response_head(fields: Fields = ()) -> Fields:
    """Return the fields of a sealed response."""
    return ((b"content-type", RESPONSE), (b"trailer", b"X-Refund-Amount"), *fields)


async def take_and_reset(received: Received, responder: Responder) -> None:
    """Take the whole request and reset the connection."""
    await received.end()
    await responder.abort()


def take_and_close(data: bytes = b"") -> Answer:
    """Return an answer that takes the whole request, sends these bytes, and closes the connection in good order."""

    async def answer(received: Received, responder: Responder) -> None:
        await received.end()
        await responder.send_raw(data)

    return answer


NO_RESPONSE: dict[str, Answer] = {
    "a node that resets the connection": take_and_reset,
    "a node that closes the connection": take_and_close(),
    "a node that closes within the head of its response": take_and_close(b"HTTP/1.1 200 OK\r\ncontent-ty"),
    "a node that speaks no HTTP": take_and_close(b"SSH-2.0-node\r\n\r\n" + bytes(64)),
}
"""What a node may do with a request instead of answering it."""
