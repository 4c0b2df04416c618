"""The whole reference stack on loopback, on free ports: what a client needs to send a prompt, and nothing to configure.

All roles run in this process, each behind servers of its own; only the workers of compute nodes are processes. Every
pair of parties that talk has a server to itself, so that a tap on it sees what passes between these two and no more.
The nodes have no attested hardware: their manifests carry no evidence, and a client has to be told their keys.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import anyio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from openpcc_ref.compute_messages import COMPUTE_SUITE
from openpcc_ref.compute_node import NodeRules
from openpcc_ref.credits.rsa_keys import TEST_KEY_BITS, PrivateKey, PublicKey
from openpcc_ref.hpke import KemId, kem
from openpcc_ref.http1 import Handler, IncomingRequest, Responder, Server, Tap, listen
from openpcc_ref.oblivious_http import KeyConfig, derive_gateway_key
from openpcc_ref.services.authbank import AuthBank, Customer
from openpcc_ref.services.bank import Bank
from openpcc_ref.services.engine import Engine
from openpcc_ref.services.gateway import Gateway
from openpcc_ref.services.health_checker import HealthChecker
from openpcc_ref.services.launch import Service
from openpcc_ref.services.ledger import Ledger
from openpcc_ref.services.node import LARGEST_BODY, Node
from openpcc_ref.services.node_worker import WorkerSettings
from openpcc_ref.services.nonce_lock import NonceLockService
from openpcc_ref.services.nonce_lock_client import NonceLockClient
from openpcc_ref.services.relay import Relay
from openpcc_ref.services.router import Router
from openpcc_ref.services.worker_pool import WorkerPool
from openpcc_ref.sources import RandomSource, system_random

CHECKS_UNTIL_ROUTABLE = 3
READY_S = 30.0
"""How long the nodes may take to register, in seconds."""


class Watcher:
    """Sees what passes between two parties. This one looks away; ``source`` is the party that connects."""

    def tap(self, source: str, destination: str) -> Tap | None:
        """Return what is told of every byte between the two."""
        return None

    def met(self, source: str, destination: str, address: str) -> None:
        """Take note of the network address that ``source`` has for ``destination``."""


@dataclass(frozen=True, slots=True)
class StackSettings:
    """What a stack consists of.

    ``prepaid`` is the amount in the one account, ``idle`` the workers kept per node, ``max_body`` the bytes that a
    node takes (NODE-D21).
    """

    currency_key: PrivateKey
    models: tuple[str, ...] = ("llama3.2:1b",)
    nodes: int = 2
    idle: int = 1
    prepaid: int = 1_000_000
    max_body: int = LARGEST_BODY
    engine: Engine = field(default_factory=Engine)
    engine_url: str | None = None
    """A server to use in place of ``engine``."""
    relay_class: type[Relay] = Relay
    watcher: Watcher = field(default_factory=Watcher)
    random: RandomSource = system_random


@dataclass(frozen=True, slots=True)
class Stack:
    """A running stack: addresses by role, and what its client is told beforehand."""

    urls: Mapping[str, str]
    gateway_key: KeyConfig
    currency_key: PublicKey
    badge_public_key: bytes
    api_key: str = field(repr=False)
    models: tuple[str, ...] = ()
    max_body: int = LARGEST_BODY
    node_keys: Mapping[str, bytes] = field(default_factory=dict)
    """Public key by node id: what evidence would prove."""


class _Registering(Router):
    """A router that says when its nodes have come."""

    def __init__(self, expected: int, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self._expected = expected
        self.complete = anyio.Event()

    async def answer_event(self, request: IncomingRequest, content: bytes) -> bytes:
        answer = await super().answer_event(request, content)
        if sum(1 for _ in self.table.to_check(self.now())) >= self._expected:
            self.complete.set()
        return answer


@asynccontextmanager
async def open_stack(settings: StackSettings) -> AsyncIterator[Stack]:
    """Run a stack while the context is open; it is ready for prompts at once.

    Raises TimeoutError when the nodes do not register.
    """
    raised: Exception | None = None
    async with AsyncExitStack() as running:
        stack = await _Builder(settings, running).build()
        try:
            yield stack
        except Exception as error:  # kept, so that task groups do not wrap what the caller's body raised
            raised = error
    if raised is not None:
        raise raised


class _Builder:
    """Starts the parties from the innermost outwards."""

    def __init__(self, settings: StackSettings, running: AsyncExitStack) -> None:
        self._settings = settings
        self._running = running
        self._urls: dict[str, str] = {}
        self._test_key = settings.currency_key.public_key.bits == TEST_KEY_BITS

    async def build(self) -> Stack:
        settings, draw = self._settings, self._settings.random
        key = settings.currency_key
        badge_seed, api_key = draw(32), draw(16).hex()
        gateway_key = derive_gateway_key(1, KemId.DHKEM_X25519, draw(32))

        lock = NonceLockService()
        bank = Bank(key, await self._lock("bank", lock), Ledger(None), allow_test_key=self._test_key)
        customer = Customer(
            api_key, "demo", "demo", datetime.max.replace(tzinfo=UTC), settings.prepaid, settings.models
        )
        authbank = AuthBank(
            key,
            await self._lock("authbank", lock),
            Ledger(None),
            customers=[customer],
            badge_seed=badge_seed,
            allow_test_key=self._test_key,
        )
        router = _Registering(settings.nodes, key, await self._lock("router", lock), allow_test_key=self._test_key)
        gateway = Gateway(
            [gateway_key],
            bank_url=await self._serve("gateway", "bank", bank),
            router_url=await self._serve("gateway", "router", router),
        )
        relay = self._settings.relay_class(await self._serve("relay", "gateway", gateway))
        await self._serve("client", "relay", relay)
        await self._serve("client", "authbank", authbank)
        for service in (bank, authbank, router):
            await self._running.enter_async_context(service.running())
        badge_public_key = Ed25519PrivateKey.from_private_bytes(badge_seed).public_key().public_bytes_raw()
        node_keys = await self._start_nodes(router, badge_public_key)
        return Stack(
            self._urls,
            gateway_key.config,
            key.public_key,
            badge_public_key,
            api_key,
            settings.models,
            settings.max_body,
            node_keys,
        )

    async def _start_nodes(self, router: _Registering, badge_public_key: bytes) -> dict[str, bytes]:
        """Start the nodes, and wait until requests may go to them."""
        engine_url = self._settings.engine_url or await self._serve("node", "engine", self._settings.engine)
        events = await self._running.enter_async_context(self._listen("node", "router", router.handle))
        rules = NodeRules(self._settings.models, badge_public_key, self._settings.max_body)
        keys = {}
        for number in range(self._settings.nodes):
            pair = kem(COMPUTE_SUITE.kem_id).derive_key_pair(self._settings.random(32))
            node = _WatchedNode(
                WorkerSettings(pair.secret_key, rules, engine_url),
                router_url=events.url,
                workers=WorkerPool(idle=self._settings.idle),
                random=self._settings.random,
            )
            node.watcher = self._settings.watcher
            await self._running.enter_async_context(node.running())
            tap = self._settings.watcher.tap("router", "node")
            server = await self._running.enter_async_context(node.listening(tap=tap))
            self._urls[f"node {number + 1}" if self._settings.nodes > 1 else "node"] = server.url
            keys[node.node_id] = pair.public_key
        with anyio.fail_after(READY_S):
            await router.complete.wait()
        checker = HealthChecker(router.table, router.now, interval_s=router.check_every_s)
        for _ in range(CHECKS_UNTIL_ROUTABLE):
            await checker.check_all()
        return keys

    async def _lock(self, source: str, lock: NonceLockService) -> NonceLockClient:
        return NonceLockClient(await self._serve(source, "nonce-lock", lock))

    async def _serve(self, source: str, destination: str, service: Service) -> str:
        """Open the server of ``destination`` for one party and return its URL."""
        server = await self._running.enter_async_context(self._listen(source, destination, service.handle))
        self._urls.setdefault(destination, server.url)
        return server.url

    def _listen(self, source: str, destination: str, handle: Handler) -> AbstractAsyncContextManager[Server]:
        watcher = self._settings.watcher

        async def watched(request: IncomingRequest, responder: Responder) -> None:
            watcher.met(source, destination, request.client_address)
            await handle(request, responder)

        return listen(watched, tap=watcher.tap(source, destination))


class _WatchedNode(Node):
    """A node of which the watcher learns who connects."""

    watcher = Watcher()

    async def handle(self, request: IncomingRequest, responder: Responder) -> None:
        self.watcher.met("router", "node", request.client_address)
        await super().handle(request, responder)
