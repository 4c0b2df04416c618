"""A stack in one process for tests: engine, node, router and nonce lock, and on request relay and gateway."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from conformance.vectors.currency_keys import DEPLOYED_1024
from openpcc_ref import compute_messages as cm
from openpcc_ref.badges import encode_text as badge_text
from openpcc_ref.badges import sign_badge
from openpcc_ref.binary_http import (
    Request,
    RequestHead,
    Response,
    field_value,
)
from openpcc_ref.compute_node import NodeRules
from openpcc_ref.credits import CurrencyValue, Issuer, Payee, UnblindedCredit
from openpcc_ref.credits import credit as credit_format
from openpcc_ref.hpke import KemId, kem
from openpcc_ref.http1 import IncomingRequest, IncomingResponse, Server, exchange, listen
from openpcc_ref.oblivious_http import GatewayKey
from openpcc_ref.routing import (
    Candidate,
    encode_request_info,
)
from openpcc_ref.services.engine import Engine
from openpcc_ref.services.gateway import Gateway
from openpcc_ref.services.health_checker import HealthChecker
from openpcc_ref.services.node import Node
from openpcc_ref.services.node_worker import WorkerSettings
from openpcc_ref.services.nonce_lock import NonceLockService
from openpcc_ref.services.nonce_lock_client import NonceLockClient
from openpcc_ref.services.relay import Relay
from openpcc_ref.services.router import Router
from openpcc_ref.services.worker_pool import WorkerPool
from openpcc_ref.sources import system_clock, system_random

MODEL = "llama3.2:1b"
BADGE_KEY = bytes(range(32))
BADGE_PUBLIC = Ed25519PrivateKey.from_private_bytes(BADGE_KEY).public_key().public_bytes_raw()
NODE_KEY = kem(KemId.DHKEM_P256).derive_key_pair(bytes(range(32)))
CHAT = {"model": MODEL, "messages": [{"role": "user", "content": "one two three"}]}
MESSAGE = b"application/octet-stream"


@dataclass
class Money:
    """An issuer and a wallet in one."""

    issuer: Issuer = field(
        default_factory=lambda: Issuer(DEPLOYED_1024, random=system_random, clock=system_clock, allow_test_key=True)
    )
    payee: Payee = field(
        default_factory=lambda: Payee(
            DEPLOYED_1024.public_key, random=system_random, clock=system_clock, allow_test_key=True
        )
    )

    def credit(self, value: CurrencyValue) -> bytes:
        pending = self.payee.begin(value)
        return credit_format.encode_text(pending.finalize(self.issuer.blind_sign(pending.request))).encode()

    def refund(self, text: bytes) -> int:
        credit = credit_format.decode_text(UnblindedCredit, text.decode())
        self.issuer.verify(credit)
        return credit.value.amount


@dataclass
class Stack:
    """The addresses of a running stack, and what a client needs to use it."""

    router: Router
    router_url: str
    money: Money
    node: Node
    node_url: str
    relay_url: str = ""
    gateway_key: GatewayKey | None = None


@asynccontextmanager
async def serving(service: Any) -> AsyncIterator[Server]:
    async with service.running(), service.listening() as server:
        yield server


class Registering(Router):
    """A router that says when its node has come."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.registered = anyio.Event()

    async def answer_event(self, request: IncomingRequest, content: bytes) -> bytes:
        answer = await super().answer_event(request, content)
        self.registered.set()
        return answer


@asynccontextmanager
async def stack(engine: Any = None, gateway_key: GatewayKey | None = None, node_class: type[Node] = Node) -> Any:
    async with AsyncExitStack() as running:
        engine_server = await running.enter_async_context(listen((engine or Engine()).handle))
        lock_server = await running.enter_async_context(listen(NonceLockService().handle))
        lock = NonceLockClient(lock_server.url)
        router = Registering(DEPLOYED_1024, lock, allow_test_key=True)
        router_server = await running.enter_async_context(listen(router.handle))
        rules = NodeRules([MODEL], BADGE_PUBLIC)
        settings = WorkerSettings(NODE_KEY.secret_key, rules, engine_server.url, 10.0)
        node = node_class(settings, router_url=router_server.url, workers=WorkerPool(idle=1))
        node_server = await running.enter_async_context(serving(node))
        built = Stack(router, router_server.url, Money(), node, node_server.url)
        if gateway_key is not None:
            gateway = Gateway([gateway_key], bank_url=router_server.url, router_url=router_server.url)
            gateway_server = await running.enter_async_context(listen(gateway.handle))
            relay_server = await running.enter_async_context(listen(Relay(gateway_server.url).handle))
            built.relay_url, built.gateway_key = relay_server.url, gateway_key
        with anyio.fail_after(10):
            await router.registered.wait()
        for _ in range(3):
            assert node.node_id not in router.routable()
            await HealthChecker(router.table, router.now, interval_s=60).check_all()
        yield built


def inner_request(body: Any = None, path: bytes = b"/v1/chat/completions", **edit: Any) -> Request:
    content = body if isinstance(body, bytes) else json.dumps(CHAT if body is None else body).encode()
    badge = badge_text(sign_badge([MODEL], BADGE_KEY)).encode()
    fields = (
        (b"content-length", str(len(content)).encode()),
        (b"content-type", b"application/json"),
        (b"x-confsec-badge", badge),
    )
    head = RequestHead(b"POST", b"http", b"confsec.invalid", path, edit.get("fields", fields))
    return Request(head, content)


@dataclass
class Asked:
    """An answer of the router, opened as far as it can be."""

    outer: IncomingResponse
    content: bytes
    context: cm.ReceiverContext

    @property
    def inner(self) -> Response:
        return cm.open_response(field_value(self.outer.fields, b"content-type") or b"", self.content, self.context)

    @property
    def refund_text(self) -> bytes | None:
        return field_value(self.outer.trailers, b"x-refund")


def sealed(built: Stack, request: Request, credit: bytes, form: cm.Form = cm.Form.UNCHUNKED) -> Any:
    media_type, message, [(key, context)] = cm.seal_request(request, [NODE_KEY.public_key], form, random=system_random)
    info = encode_request_info([Candidate(built.node.node_id, key)]).encode()
    fields = ((b"content-type", media_type), (b"x-routing-info", info), (b"x-credit", credit))
    return fields, message, context


async def ask(built: Stack, request: Request, credit: bytes, form: cm.Form = cm.Form.UNCHUNKED) -> Asked:
    fields, message, context = sealed(built, request, credit, form)
    outer, content = await exchange(built.router_url, b"POST", b"/", fields, message)
    return Asked(outer, content, context)
