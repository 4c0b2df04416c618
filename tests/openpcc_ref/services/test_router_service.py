"""The router over HTTP: whom it serves, what its nodes see and what it refunds."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from conformance.vectors.currency_keys import DEPLOYED_1024
from openpcc_ref.binary_http import field_value
from openpcc_ref.credits import ATTESTATION, Credit
from openpcc_ref.credits import credit as credit_format
from openpcc_ref.credits.currency import exact
from openpcc_ref.http1 import IncomingRequest, IncomingResponse, Responder, exchange, listen
from openpcc_ref.protobuf.error_pb2 import Error
from openpcc_ref.routing import (
    Candidate,
    Check,
    ManifestRequest,
    NodeEvent,
    RoutingInfo,
    decode_manifests,
    encode_event,
    encode_manifest_request,
    encode_request_info,
    make_node_id,
)
from openpcc_ref.services.nonce_lock import NonceLockService
from openpcc_ref.services.nonce_lock_client import NonceLockClient
from openpcc_ref.services.router import Router
from openpcc_ref.sources import system_random
from tests.openpcc_ref.services.compute_stack import MESSAGE, MODEL, Money, ask, inner_request, sealed, stack

pytestmark = pytest.mark.anyio


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
