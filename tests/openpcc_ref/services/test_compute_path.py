"""A prompt through relay, gateway, router and node, and back: streaming, paid and refunded."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from conformance.vectors.currency_keys import DEPLOYED_1024
from openpcc_ref import compute_messages as cm
from openpcc_ref.badges import encode_text as badge_text
from openpcc_ref.badges import sign_badge
from openpcc_ref.binary_http import (
    Content,
    Request,
    RequestHead,
    Response,
    ResponseDecoder,
    Trailers,
    encode_request,
    field_value,
)
from openpcc_ref.compute_node import NodeRules
from openpcc_ref.credits import ATTESTATION, Credit, CurrencyValue, Issuer, Payee, UnblindedCredit
from openpcc_ref.credits import credit as credit_format
from openpcc_ref.credits.currency import exact
from openpcc_ref.hpke import KemId, kem
from openpcc_ref.http1 import IncomingRequest, IncomingResponse, Responder, Server, connect, exchange, listen
from openpcc_ref.oblivious_http import Form, GatewayKey, RequestSealer, ResponseOpener
from openpcc_ref.protobuf.error_pb2 import Error
from openpcc_ref.routing import (
    Candidate,
    Check,
    ManifestRequest,
    NodeEvent,
    RoutingInfo,
    decode_event,
    decode_manifests,
    encode_event,
    encode_manifest_request,
    encode_request_info,
    make_node_id,
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

pytestmark = pytest.mark.anyio

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


FORMS = pytest.mark.parametrize("form", list(cm.Form))


@FORMS
async def test_a_prompt_is_answered_and_refunded(form: cm.Form) -> None:
    async with stack() as built:
        asked = await ask(built, inner_request(), built.money.credit(exact(200)), form)
        assert asked.outer.status == 200
        assert field_value(asked.outer.fields, b"x-node-id") == built.node.node_id.encode()
        assert asked.inner.head.status == 200
        answer = json.loads(asked.inner.content)
        assert answer["usage"] == {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}
        # 200 - (0.5 * 3 + 2 * 5) = 188.5 lies between 184 and 192.
        assert asked.refund_text is not None
        assert built.money.refund(asked.refund_text) in (184, 192)
        assert field_value(asked.outer.trailers, b"x-refund-amount") is None


async def test_a_prompt_goes_through_relay_and_gateway_and_streams_back(key: GatewayKey) -> None:
    """The first token is with the client before the engine makes its last ones.

    The gateway sends chunks of one length only, so it takes a few tokens for one to leave.
    """
    seen = anyio.Event()

    class Waiting(Engine):
        async def pieces(self, path: str, asked: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
            made = 0
            async for piece in super().pieces(path, asked):
                yield piece
                made += 1
                if made == 15:
                    with anyio.fail_after(10):
                        await seen.wait()

    async with stack(Waiting(), key) as built:
        credit = built.money.credit(exact(200))
        request = inner_request({**CHAT, "stream": True, "max_tokens": 20})
        fields, message, context = sealed(built, request, credit)
        head = RequestHead(b"POST", b"http", b"confsec-router.invalid", b"/", fields)
        outer = await post_obliviously(built, head, message, context, seen.set)
    status, content, trailers = outer
    events = [json.loads(line[6:]) for line in content.split(b"\n") if line.startswith(b"data: {")]
    assert status == 200
    tokens = [event["choices"][0]["delta"]["content"] for event in events if event["choices"]]
    assert tokens == [f"word{number} " for number in range(20)]
    assert events[-1]["usage"] == {"prompt_tokens": 3, "completion_tokens": 20, "total_tokens": 23}
    assert content.endswith(b"data: [DONE]\n\n")
    refund = field_value(trailers, b"x-refund")
    assert refund is not None
    # 200 - (0.5 * 3 + 2 * 20) = 158.5 lies between 152 and 160.
    assert Money().refund(refund) in (152, 160)


async def post_obliviously(
    built: Stack, head: RequestHead, message: bytes, context: cm.ReceiverContext, first_token: Callable[[], None]
) -> tuple[int, bytes, Any]:
    """Send a request to the router through relay and gateway; open everything as it arrives."""
    assert built.gateway_key is not None
    sealer = RequestSealer(built.gateway_key.config, Form.CHUNKED, random=system_random)
    outer = ResponseOpener(sealer.context, Form.CHUNKED)
    middle, opener, inner = ResponseDecoder(), None, ResponseDecoder()
    status, content, trailers = 0, b"", ()
    plaintext = encode_request(Request(head, message), indeterminate=True, pad_to=532)
    async with connect(built.relay_url) as connection:
        framing = ((b"content-type", b"message/ohttp-chunked-req"), (b"transfer-encoding", b"chunked"))
        await connection.send_head(b"POST", b"/", framing)
        await connection.send(sealer.header() + b"".join(
            sealer.seal(plaintext[start : start + 532]) for start in range(0, len(plaintext), 532)
        ))  # fmt: skip
        await connection.send(sealer.finish())
        await connection.finish()
        response = await connection.response()
        assert response.status == 200
        async for pieces in _opened(response, outer):
            for event in [event for piece in pieces for event in middle.feed(piece)]:
                if isinstance(event, Content) and opener is not None:
                    for piece in opener.feed(event.data):
                        for part in inner.feed(piece):
                            if isinstance(part, Content):
                                content += part.data
                                if b"word0" in content:
                                    first_token()
                elif isinstance(event, Trailers):
                    trailers = event.fields
                elif not isinstance(event, Content):
                    status = event.status
                    media_type = field_value(event.fields, b"content-type") or b""
                    opener = cm.ResponseOpener(context, cm.response_form(media_type))
        for event in middle.finish():
            if isinstance(event, Trailers):
                trailers = event.fields
        assert opener is not None
        for piece in opener.finish():
            inner.feed(piece)
        inner.finish()
    return status, content, trailers


async def _opened(response: IncomingResponse, outer: ResponseOpener) -> AsyncIterator[list[bytes]]:
    async for chunk in response.body():
        yield outer.feed(chunk.data)
    yield outer.finish()


async def test_a_credit_pays_once() -> None:
    async with stack() as built:
        credit = built.money.credit(exact(200))
        outcomes: list[int] = []

        async def once() -> None:
            outcomes.append((await ask(built, inner_request(), credit)).outer.status)

        async with anyio.create_task_group() as group:
            for _ in range(4):
                group.start_soon(once)
        outcomes.append((await ask(built, inner_request(), credit)).outer.status)
        assert sorted(outcomes) == [200, 400, 400, 400, 400]


@pytest.mark.parametrize(
    ("request_edit", "status", "code"),
    [
        ({"path": b"/api/pull"}, 404, "ErrUnsupportedPath"),
        ({"body": {**CHAT, "model": "other"}}, 400, "ErrUnsupportedModel"),
        ({"body": b'{"model":"a","model":"llama3.2:1b","messages":[]}'}, 400, "ErrInvalidJSON"),
        ({"fields": ((b"content-type", b"application/json"),)}, 400, "ErrBadgeInvalid"),
    ],
)
async def test_a_refused_prompt_is_refunded_whole(request_edit: dict[str, Any], status: int, code: str) -> None:
    async with stack() as built:
        asked = await ask(built, inner_request(**request_edit), built.money.credit(exact(200)))
        assert asked.outer.status == 200
        assert asked.inner.head.status == status
        assert json.loads(asked.inner.content)["code"] == code
        assert asked.refund_text is not None
        assert built.money.refund(asked.refund_text) == 200


async def test_a_request_for_another_key_is_refused_in_the_clear() -> None:
    async with stack() as built:
        other = kem(KemId.DHKEM_P256).derive_key_pair(bytes(32))
        media_type, message, [(key, _)] = cm.seal_request(inner_request(), [other.public_key], random=system_random)
        info = encode_request_info([Candidate(built.node.node_id, key)]).encode()
        credit = built.money.credit(exact(200))
        fields = ((b"content-type", media_type), (b"x-routing-info", info), (b"x-credit", credit))
        response, content = await exchange(built.router_url, b"POST", b"/", fields, message)
        assert response.status == 400
        assert Error.FromString(content).Message == "failed to decapsulate encrypted request"
        assert field_value(response.trailers, b"x-refund") is None


async def test_a_failing_engine_costs_nothing() -> None:
    class Gone:
        async def handle(self, request: IncomingRequest, responder: Responder) -> None:
            await responder.abort()

    async with stack(Gone()) as built:
        asked = await ask(built, inner_request(), built.money.credit(exact(200)))
        assert asked.outer.status == 500
        assert asked.refund_text is not None
        assert built.money.refund(asked.refund_text) == 200


async def test_an_engine_that_says_no_costs_nothing() -> None:
    class Busy:
        async def handle(self, request: IncomingRequest, responder: Responder) -> None:
            await responder.send_head(503, ((b"content-type", b"application/json"), (b"content-length", b"2")))
            await responder.send(b"{}")
            await responder.finish()

    async with stack(Busy()) as built:
        asked = await ask(built, inner_request(), built.money.credit(exact(200)))
        assert (asked.inner.head.status, asked.inner.content) == (503, b"{}")
        assert asked.refund_text is not None
        assert built.money.refund(asked.refund_text) == 200


async def test_the_engine_sees_path_and_body_and_nothing_else() -> None:
    seen: list[IncomingRequest] = []

    class Curious(Engine):
        async def handle(self, request: IncomingRequest, responder: Responder) -> None:
            seen.append(request)
            await super().handle(request, responder)

    async with stack(Curious()) as built:
        request = inner_request()
        spoken = (*request.head.fields, (b"authorization", b"Bearer secret"), (b"cookie", b"a=b"))
        await ask(built, inner_request(fields=spoken), built.money.credit(exact(200)))
    assert {name for name, _ in seen[0].fields} == {b"host", b"content-type", b"accept", b"content-length"}
    assert seen[0].target == b"/v1/chat/completions"


async def test_manifests_cost_a_token() -> None:
    async with stack() as built:
        money = built.money

        async def query(credit: bytes | None, content: bytes, media_type: bytes = MESSAGE) -> tuple[int, bytes]:
            paid = () if credit is None else ((b"x-credit", credit),)
            fields = ((b"content-type", media_type), *paid)
            response, answer = await exchange(built.router_url, b"POST", b"/compute-manifests", fields, content)
            return response.status, answer

        token = money.credit(ATTESTATION)
        status, answer = await query(token, encode_manifest_request(ManifestRequest(frozenset({"llm"}), 3)))
        [manifest], refused = decode_manifests(answer)
        assert (status, refused) == (200, ())
        assert manifest.node_id == built.node.node_id
        assert manifest.tags == {"llm", f"model={MODEL}"}
        assert (await query(token, encode_manifest_request(ManifestRequest(frozenset(), 3))))[0] == 400
        for content, status in (
            (encode_manifest_request(ManifestRequest(frozenset({"other"}), 3)), 200),
            (encode_manifest_request(ManifestRequest(frozenset(), 0)), 200),
            (bytes.fromhex("10f603"), 400),  # limit 502
            (b"{}", 400),
        ):
            fresh = money.credit(ATTESTATION)
            answered, listed = await query(fresh, content)
            assert answered == status
            assert listed == b"" or status == 400
            assert (await query(fresh, content))[0] == 400  # spent, also on a malformed query
        assert (await query(None, b""))[0] == 400
        assert (await query(money.credit(exact(0)), b""))[0] == 400
        assert (await query(money.credit(exact(200)), b""))[0] == 400


async def test_requests_that_the_router_refuses() -> None:
    async with stack() as built:
        credit = built.money.credit(exact(200))
        fields, message, _ = sealed(built, inner_request(), credit)
        good = dict(fields)
        unknown = encode_request_info([Candidate(make_node_id(1, random=system_random), b"key")]).encode()
        for edit, status, text in (
            ({b"x-routing-info": b"bad data"}, 400, "invalid routing info in X-Routing-Info header"),
            ({b"x-credit": b"bad data"}, 400, "invalid credit in X-Credit header"),
            ({b"x-credit": built.money.credit(ATTESTATION)}, 400, "invalid credit value"),
            ({b"x-routing-info": unknown}, 404, "all candidate nodes unavailable"),
            ({b"x-credit": forged(credit)}, 400, "unprocessable credit"),
        ):
            edited = tuple({**good, **edit}.items())
            response, content = await exchange(built.router_url, b"POST", b"/", edited, message)
            assert (response.status, Error.FromString(content).Message) == (status, text)
        assert (await ask(built, inner_request(), credit)).outer.status == 200
        for method, target in ((b"GET", b"/"), (b"PUT", b"/"), (b"POST", b"/x")):
            response, _ = await exchange(built.router_url, method, target)
            assert response.status in (404, 405)
        response, content = await exchange(built.router_url, b"GET", b"/ping")
        assert (response.status, content) == (200, b"pong")


def forged(credit: bytes) -> bytes:
    other = credit_format.decode_text(Credit, credit.decode())
    return credit_format.encode_text(Credit(exact(208), other.nonce, other.signature)).encode()


Behaviour = Callable[[IncomingRequest, Responder], Any]


@asynccontextmanager
async def routed_to(behaviour: Behaviour, url: str | None = None) -> AsyncIterator[tuple[str, Money, str]]:
    """A router whose one node behaves as told."""
    async with AsyncExitStack() as running:
        lock_server = await running.enter_async_context(listen(NonceLockService().handle))
        router = Router(DEPLOYED_1024, NonceLockClient(lock_server.url), allow_test_key=True, step_s=2.0)
        router_server = await running.enter_async_context(listen(router.handle))
        node_server = await running.enter_async_context(listen(behaviour))
        node_id = make_node_id(int(time.time() * 1000), random=system_random)
        info = RoutingInfo(url or f"{node_server.url}/generate?a=b", node_server.url, frozenset({"llm"}), b"")
        router.table.add_event(NodeEvent(node_id, 0, time.time(), routing_info=info))
        for _ in range(3):
            router.table.add_check(node_id, Check(time.time(), True))
        yield router_server.url, Money(), node_id


async def post(url: str, node_id: str, credit: bytes, *fields: tuple[bytes, bytes]) -> tuple[IncomingResponse, bytes]:
    info = encode_request_info([Candidate(node_id, b"the key")]).encode()
    sent = ((b"content-type", b"application/confsec-req"), (b"x-routing-info", info), (b"x-credit", credit), *fields)
    return await exchange(url, b"POST", b"/?client=query", sent, b"sealed")


async def test_what_the_node_sees_of_a_request() -> None:
    seen: list[IncomingRequest] = []

    async def node(request: IncomingRequest, responder: Responder) -> None:
        seen.append(request)
        await responder.send_head(200, ((b"transfer-encoding", b"chunked"),))
        await responder.finish()

    async with routed_to(node) as (url, money, node_id):
        identifying = ((b"x-forwarded-for", b"192.0.2.1"), (b"forwarded", b"for=192.0.2.1"), (b"via", b"1.1 relay"))
        lies = ((b"x-credit-amount", b"999999"), (b"x-encapsulated-key", b"AAAA"))
        await post(url, node_id, money.credit(exact(200)), *identifying, *lies, (b"x-other", b"1"))
    fields = dict(seen[0].fields)
    del fields[b"host"]
    assert fields == {
        b"content-type": b"application/confsec-req",
        b"content-length": b"6",
        b"x-other": b"1",
        b"x-encapsulated-key": b"dGhlIGtleQ==",
        b"x-credit-amount": b"200",
    }
    assert (seen[0].method, seen[0].target) == (b"POST", b"/generate?a=b")


@pytest.mark.parametrize(
    ("reported", "refunded"),
    [
        (None, None),
        (b"CgIAMg==", 72),
        (b"CgIASQ==", 200),
        (b"CgIAAA==", None),
        (b"CgIASg==", "broken"),  # 208 of 200
        (b"CgIBAA==", "broken"),  # an attestation token
        (b"garbage!", "broken"),
    ],
)
async def test_refunds_are_what_the_node_reports_within_the_credit(reported: bytes | None, refunded: Any) -> None:
    async def node(request: IncomingRequest, responder: Responder) -> None:
        trailers = () if reported is None else ((b"X-Refund-Amount", reported),)
        await responder.send_head(200, ((b"transfer-encoding", b"chunked"), (b"x-node-id", b"a lie")))
        await responder.send(b"answer")
        await responder.finish((*trailers, (b"X-Refund", b"a lie")))

    async with routed_to(node) as (url, money, node_id):
        credit = money.credit(exact(200))
        try:
            response, content = await post(url, node_id, credit)
        except Exception:
            assert refunded == "broken"
        else:
            assert (response.status, content) == (200, b"answer")
            assert [value for name, value in response.fields if name == b"x-node-id"] == [node_id.encode()]
            assert {name for name, _ in response.trailers} <= {b"x-refund"}
            text = field_value(response.trailers, b"x-refund")
            assert (None if text is None else money.refund(text)) == refunded
        assert (await post(url, node_id, credit))[0].status == 400


async def test_an_unreachable_node_costs_nothing() -> None:
    async def node(request: IncomingRequest, responder: Responder) -> None:
        await responder.abort()

    async with routed_to(node) as (url, money, node_id):
        credit = money.credit(exact(200))
        for _ in range(2):
            response, content = await post(url, node_id, credit)
            assert (response.status, content) == (502, b"Proxy error\n")
            assert field_value(response.fields, b"x-node-id") is None


async def test_a_node_that_breaks_off_is_seen_to_and_paid() -> None:
    async def node(request: IncomingRequest, responder: Responder) -> None:
        await responder.send_head(200, ((b"transfer-encoding", b"chunked"),))
        await responder.send(b"half")
        await responder.abort()

    async with routed_to(node) as (url, money, node_id):
        credit = money.credit(exact(200))
        with pytest.raises(Exception, match="connection"):
            await post(url, node_id, credit)
        assert (await post(url, node_id, credit))[0].status == 400


async def test_events_that_the_router_refuses() -> None:
    async def node(request: IncomingRequest, responder: Responder) -> None:
        await responder.abort()

    async with routed_to(node) as (url, _, node_id):
        for content, media_type, status in (
            (encode_event(NodeEvent(node_id, 1, time.time(), shutdown=True)), MESSAGE, 200),
            (b"", MESSAGE, 400),
            (encode_event(NodeEvent(node_id, 2, time.time(), shutdown=True)), b"application/x-protobuf", 400),
        ):
            fields = ((b"content-type", media_type),)
            response, _ = await exchange(url, b"POST", b"/node-events", fields, content)
            assert response.status == status


async def test_a_node_that_stops_says_so() -> None:
    events: list[bytes] = []
    arrived = anyio.Event()

    async def router(request: IncomingRequest, responder: Responder) -> None:
        events.append(b"".join([chunk.data async for chunk in request.body()]))
        arrived.set()
        await responder.send_head(200, ((b"content-length", b"0"),))
        await responder.finish()

    async with listen(router) as server:
        settings = WorkerSettings(NODE_KEY.secret_key, NodeRules([MODEL], BADGE_PUBLIC), server.url)
        node = Node(settings, router_url=server.url)
        async with node.listening():
            with anyio.fail_after(5):
                await arrived.wait()
    decoded = [decode_event(event) for event in events]
    assert [(event.index, event.shutdown) for event in decoded] == [(0, False), (1, True)]
    assert decoded[0].routing_info is not None


async def test_services_start_from_their_configuration() -> None:
    key = {"p": f"{DEPLOYED_1024.p:x}", "q": f"{DEPLOYED_1024.q:x}"}
    configs = {
        "router": {"currency_key": key, "allow_test_key": True, "nonce_lock_url": "http://127.0.0.1:9"},
        "node": {"secret_key": NODE_KEY.secret_key.hex(), "models": [MODEL], "tags": ["llm"],
                 "badge_public_key": BADGE_PUBLIC.hex(), "engine_url": "http://127.0.0.1:9"},
        "engine": {},
    }  # fmt: skip
    for name, config in configs.items():
        command = [sys.executable, "-m", f"openpcc_ref.services.{name}"]
        async with await anyio.open_process(command) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            await process.stdin.send(json.dumps(config).encode() + b"\n")
            with anyio.fail_after(20):
                line = await process.stdout.receive()
            url = json.loads(line)["url"]
            response, _ = await exchange(url, b"GET", b"/_health")
            assert response.status == (404 if name == "engine" else 200)
            await process.stdin.aclose()
            with anyio.fail_after(20):
                assert await process.wait() == 0
