"""A prompt through relay, gateway, router and node, and back: streaming, paid and refunded."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio
import pytest

from conformance.vectors.currency_keys import DEPLOYED_1024
from openpcc_ref import compute_messages as cm
from openpcc_ref.binary_http import (
    Content,
    Request,
    RequestHead,
    ResponseDecoder,
    Trailers,
    encode_request,
    field_value,
)
from openpcc_ref.compute_node import NodeRules
from openpcc_ref.credits.currency import exact
from openpcc_ref.hpke import KemId, kem
from openpcc_ref.http1 import IncomingRequest, IncomingResponse, Responder, connect, exchange, listen
from openpcc_ref.oblivious_http import Form, GatewayKey, RequestSealer, ResponseOpener
from openpcc_ref.protobuf.error_pb2 import Error
from openpcc_ref.routing import (
    Candidate,
    decode_event,
    encode_request_info,
)
from openpcc_ref.services.engine import Engine
from openpcc_ref.services.node import Node
from openpcc_ref.services.node_worker import WorkerSettings
from openpcc_ref.sources import system_random
from tests.openpcc_ref.services.compute_stack import (
    BADGE_PUBLIC,
    CHAT,
    MODEL,
    NODE_KEY,
    Money,
    Stack,
    ask,
    inner_request,
    sealed,
    stack,
)

pytestmark = pytest.mark.anyio

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
