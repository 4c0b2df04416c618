"""The world around a router: the runner is the gateway in front of it, and nonce lock and nodes behind it."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from time import monotonic

import anyio

from conformance.peers.address import listen_address, own_address
from conformance.peers.hosted_nonce_lock import HostedNonceLock
from conformance.peers.mint import Mint
from conformance.peers.router_case import RouterCase, becomes_true, only_value
from conformance.peers.router_nodes import Node, NodeFarm
from conformance.peers.taps import Taps
from conformance.runfile import Limits, TargetSettings
from conformance.targets import RunningTarget, Target
from conformance.transcript import Transcript
from conformance.verdicts import Violation, expect
from openpcc_ref.http1 import Http1Error

BASE_NODES = 3
CHECK_EVERY_MS = 50
"""What a router is told when the runner starts it, so that nodes become routable soon."""

_REGISTERING_S = 100.0
"""How long a router may take to let the first nodes in: three health checks at the deployed interval of 30 s."""

_REFRESH_S = 240.0
"""When the nodes of the run send their next heartbeat."""


@dataclass(frozen=True, slots=True)
class ToldAnew:
    """A router that is told of its nodes when it has started anew, so that the next case finds them there."""

    subject: RunningTarget
    tell: Callable[[], Awaitable[None]]

    @property
    def url(self) -> str:
        return self.subject.url

    async def restart(self) -> bool:
        restarted = await self.subject.restart()
        if restarted:
            await self.tell()
        return restarted

    async def epitaph(self) -> str:
        return await self.subject.epitaph()


@dataclass(slots=True, kw_only=True)
class RouterWorld:
    """The parties around one router (``conformance.engine.World``)."""

    subject: RunningTarget
    mint: Mint
    nonce_lock: HostedNonceLock
    farm: NodeFarm
    nodes: tuple[Node, ...]
    seed: str
    step_s: float
    taps: Taps
    registering_s: float = 0.0
    capabilities: frozenset[str] = frozenset()
    _heartbeats: int = 0
    _heartbeat_at: float = 0.0

    @asynccontextmanager
    async def case(self, transcript: Transcript) -> AsyncIterator[RouterCase]:
        """Open the world for one case."""
        self._reset(transcript)
        case = self._case(transcript.case_id)
        try:
            yield case
        finally:
            self.nonce_lock.reset()
            self.farm.health.reset()
            with anyio.CancelScope(shield=True), anyio.move_on_after(self.step_s):
                await case.end_nodes()
        for peer in (self.nonce_lock.peer, self.farm.peer):
            peer.raise_failure()

    async def honest_exchange(self) -> None:
        """Have one request served by a node; a router that was restarted is told of its nodes first."""
        self._reset(None)
        case = self._case("honest exchange")
        if monotonic() - self._heartbeat_at > _REFRESH_S:
            await self._register(case)
        if await self._serves(case):
            return
        await self._register(case)
        await becomes_true(lambda: self._serves(case), _REGISTERING_S)  # the engine has a deadline of its own

    async def register(self) -> None:
        """Tell the router of the nodes of this run and wait until it has let in all of them.

        A router that cannot be told, or that answers anything else than that they are not there yet, is left to the
        honest exchange.
        """
        case = self._case("registering")
        started = monotonic()
        with suppress(Violation, Http1Error):
            await self._register(case)
            for node in self.nodes:
                await becomes_true(partial(self._serves, case, node), _REGISTERING_S)
        self.registering_s = monotonic() - started

    async def _register(self, case: RouterCase) -> None:
        for node in self.nodes:
            await case.accepted(node.heartbeat(self._heartbeats))
        self._heartbeats += 1
        self._heartbeat_at = monotonic()

    async def _serves(self, case: RouterCase, *nodes: Node) -> bool:
        """Say whether a request is served, or else its nodes are not routable; anything else is a violation."""
        reply = await case.compute(case.paid(self.mint.credit(100), *nodes))
        if reply.status == 404 and not self.farm.peer.requests:
            return False
        served_by = [node for node in nodes or self.nodes if self.farm.asked(node)]
        expect(
            reply.status == 200 and reply.complete and len(served_by) == 1,
            expected="a request to be served by one of the nodes",
            observed=f"{reply}, {len(served_by)} nodes asked",
        )
        node = only_value(reply.fields, b"x-node-id")
        self.farm.peer.requests.clear()
        expect(reply.content.startswith(b"answer of"), expected="the node's answer", observed=str(reply))
        expect(node is not None, expected="x-node-id on the answer", observed="none")
        return True

    def _reset(self, transcript: Transcript | None) -> None:
        self.taps.reset(transcript)
        self.nonce_lock.reset()
        self.farm.peer.reset()
        self.farm.health.reset()

    def _case(self, name: str) -> RouterCase:
        return RouterCase(
            url=self.subject.url,
            mint=self.mint,
            nonce_lock=self.nonce_lock,
            farm=self.farm,
            nodes=self.nodes,
            own_address=own_address(self.subject.url) if self.subject.url else "",
            taps=self.taps,
            random=random.Random(f"{self.seed}/{name}"),
            step_s=self.step_s,
            registering_s=self.registering_s,
        )


@asynccontextmanager
async def open_router_world(
    target: Target, settings: TargetSettings, *, seed: str, limits: Limits
) -> AsyncIterator[RouterWorld]:
    """Start nonce lock and nodes, then the router, and wait until it has let the nodes in.

    Raises :class:`TargetFailed` when the subject cannot serve or was not fully described.
    """
    key = settings.currency_key
    step_s = limits.step_s * limits.scale
    nonce_lock, farm, taps = HostedNonceLock(step_s=step_s), NodeFarm(step_s=step_s), Taps()
    async with AsyncExitStack() as stack:
        host, port = listen_address(settings, "nonce-lock")
        await stack.enter_async_context(nonce_lock.peer.serve(host=host, port=port, tap=taps.of("nonce lock")))
        await stack.enter_async_context(farm.peer.serve(tap=taps.of("node")))
        await stack.enter_async_context(farm.absent.serve(tap=taps.of("node")))
        await stack.enter_async_context(farm.absent.unreachable())
        await stack.enter_async_context(farm.health.serve())
        config = {
            "currency_key": {"p": f"{key.p:x}", "q": f"{key.q:x}"},
            "allow_test_key": True,
            "nonce_lock_url": nonce_lock.peer.url,
            "check_every_ms": CHECK_EVERY_MS,
        }
        subject = await stack.enter_async_context(target.start(config))
        nodes = tuple(farm.make() for _ in range(BASE_NODES))
        world = RouterWorld(
            subject=subject,
            mint=Mint(key),
            nonce_lock=nonce_lock,
            farm=farm,
            nodes=nodes,
            seed=seed,
            step_s=step_s,
            taps=taps,
        )
        world.subject = ToldAnew(subject, world.register)
        await world.register()
        yield world
