"""The gateway opens, admits, forwards and seals; until a request is opened it answers in clear, afterwards never."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import pytest

from openpcc_ref.binary_http import Request, RequestHead, encode_request
from openpcc_ref.hpke import KemId
from openpcc_ref.http1 import (
    Http1Error,
    IncomingRequest,
    Responder,
    connect,
    exchange,
    field_value,
    listen,
)
from openpcc_ref.oblivious_http import (
    Form,
    ResponseOpener,
    RotationPeriod,
    decode_key_configs,
    decode_rotation_periods,
    derive_gateway_key,
)
from openpcc_ref.services.config import ConfigRejected
from openpcc_ref.services.gateway import Gateway

pytestmark = pytest.mark.anyio

ROUTER = b"confsec-router.invalid"
BANK = b"confsec-bank.invalid"
PING = RequestHead(b"GET", b"http", ROUTER, b"/ping")
COMPUTE = RequestHead(b"POST", b"http", ROUTER, b"/")
NOW = datetime(2026, 1, 1, tzinfo=UTC)
FORMS = pytest.mark.parametrize("form", list(Form))
SEED = "00" * 32


@asynccontextmanager
async def gateway_before(neighbour: Any, *keys: Any, **settings: Any) -> AsyncIterator[tuple[str, Any]]:
    """Serve a gateway whose bank and router are the neighbour."""
    settings = {"step_s": 5, "clock": lambda: NOW, **settings}
    async with neighbour.serve() as upstream:
        gateway = Gateway(keys, bank_url=f"{upstream.url}/bank", router_url=upstream.url, **settings)
        async with listen(gateway.handle, step_s=5) as server:
            yield server.url, upstream


@FORMS
async def test_an_allowed_request_is_forwarded_and_its_response_sealed(
    neighbour: Any, client: Any, key: Any, form: Form
) -> None:
    async with gateway_before(neighbour, key) as (url, _):
        inner, outer = await client.ask(url, form, replace(COMPUTE, fields=((b"x-credit", b"c"),)), b"q" * 2000)
    assert (inner.head.status, inner.content) == (200, b"pong")
    assert field_value(inner.head.fields, b"content-type") == b"text/plain"
    assert neighbour.contents == [b"q" * 2000]
    assert field_value(neighbour.requests[0].fields, b"x-credit") == b"c"
    framing = (b"content-length", b"564") if form is Form.UNCHUNKED else (b"transfer-encoding", b"chunked")
    incremental = ((b"incremental", b"?1"),) if form is Form.CHUNKED else ()
    assert outer.fields == ((b"content-type", form.response_media_type), *incremental, framing)


async def test_the_post_quantum_suite_works_too(neighbour: Any, client: Any) -> None:
    hybrid = derive_gateway_key(7, KemId.X25519_KYBER768_DRAFT00, bytes(32))
    async with gateway_before(neighbour, hybrid) as (url, _):
        inner, _ = await replace(client, key=hybrid).ask(url, Form.CHUNKED, PING)
    assert inner.content == b"pong"


async def test_hosts_stand_for_services(neighbour: Any, client: Any, key: Any) -> None:
    async with gateway_before(neighbour, key) as (url, _):
        await client.ask(url, Form.UNCHUNKED, replace(PING, path=b"/ping?x=1"))
        await client.ask(url, Form.UNCHUNKED, RequestHead(b"POST", b"http", BANK, b"/deposit"), b"x")
        await client.ask(url, Form.UNCHUNKED, RequestHead(b"GET", b"http", b"", b"/ping", ((b"host", ROUTER),)))
    assert [request.target for request in neighbour.requests] == [b"/ping?x=1", b"/bank/deposit", b"/ping"]


@FORMS
@pytest.mark.parametrize(
    ("head", "status"),
    [
        (replace(PING, authority=b"example.com"), 400),
        (replace(PING, authority=ROUTER + b":80"), 400),
        (replace(PING, authority=ROUTER.upper()), 400),
        (replace(PING, authority=b""), 400),
        (replace(PING, path=b"/_health"), 404),
        (replace(PING, path=b"/ping/"), 404),
        (replace(PING, path=b"http://example.com/ping"), 404),
        (replace(PING, method=b"POST"), 405),
        (replace(COMPUTE, path=b"/node-events"), 404),
        (replace(COMPUTE, method=b"CONNECT"), 405),
        (RequestHead(b"GET", b"http", BANK, b"/deposit"), 405),
        (RequestHead(b"POST", b"http", BANK, b"/"), 404),
        (replace(PING, fields=((b"expect", b"100-continue"),)), 417),
        (replace(PING, path=b"/ping?a b"), 400),
        (replace(PING, fields=((b"x", b"a\x0bb"),)), 400),
    ],
)
async def test_other_requests_are_refused_inside(
    neighbour: Any, client: Any, key: Any, form: Form, head: RequestHead, status: int
) -> None:
    async with gateway_before(neighbour, key) as (url, _):
        inner, _ = await client.ask(url, form, head)
    assert inner.head.status == status
    assert neighbour.requests == []


@FORMS
@pytest.mark.parametrize("message", [b"\x01\x40\xc8", b"\x04", b"garbage", b""])
async def test_what_is_no_request_inside_is_refused_inside(
    neighbour: Any, client: Any, key: Any, form: Form, message: bytes
) -> None:
    async with gateway_before(neighbour, key) as (url, _):
        parts, context = client.seal(form, message)
        outer, sealed = await client.post(url, form, b"".join(parts))
        assert client.open(context, outer, sealed).head.status == 400
    assert neighbour.requests == []


@pytest.mark.parametrize("extra", [-1, 1])
@FORMS
async def test_a_false_content_length_never_reaches_the_upstream_whole(
    neighbour: Any, client: Any, key: Any, form: Form, extra: int
) -> None:
    async with gateway_before(neighbour, key) as (url, _):
        head = replace(COMPUTE, fields=((b"content-length", str(1000 + extra).encode()),))
        inner, _ = await client.ask(url, form, head, b"q" * 1000)
    assert inner.head.status == 400
    assert neighbour.contents == []


async def test_hop_fields_and_forwarding_fields_stop_here(neighbour: Any, client: Any, key: Any) -> None:
    fields = b"connection:x-hop,x-hop:1,te:trailers,upgrade:h2c,keep-alive:1,proxy-authorization:x,forwarded:for=1"
    inner_fields = tuple(tuple(line.split(b":")) for line in (fields + b",x-forwarded-for:1,x-kept:1").split(b","))
    async with gateway_before(neighbour, key) as (url, _):
        message = encode_request(Request(replace(COMPUTE, fields=inner_fields), b"x"))
        parts, _ = client.seal(Form.UNCHUNKED, message)
        await client.post(url, Form.UNCHUNKED, b"".join(parts), ((b"x-outer", b"1"), (b"cookie", b"a")))
    names = [name for name, _ in neighbour.requests[0].fields]
    assert names == [b"host", b"x-kept", b"content-length"]


@FORMS
async def test_trailers_pass_both_ways(neighbour: Any, client: Any, key: Any, form: Form) -> None:
    async def answer(request: IncomingRequest, responder: Responder) -> None:
        _ = [chunk async for chunk in request.body()]
        await responder.send_head(200, ((b"trailer", b"X-Refund, X-Absent"), (b"trailer", b"content-length")))
        await responder.send(b"done")
        await responder.finish(((b"X-Refund", b"abc"), (b"x-unannounced", b"1")))

    neighbour.answer = answer
    async with gateway_before(neighbour, key) as (url, _):
        inner, _ = await client.ask(
            url, form, replace(COMPUTE, fields=((b"trailer", b"x-t"),)), b"x", ((b"x-t", b"1"),)
        )
    assert neighbour.requests[0].trailers == ((b"x-t", b"1"),)
    assert field_value(inner.head.fields, b"trailer") == b"X-Absent,X-Refund"
    assert inner.trailers == ((b"x-absent", b""), (b"x-refund", b"abc"))


async def test_informational_responses_and_answers_to_head_pass(neighbour: Any, client: Any, key: Any) -> None:
    async def answer(request: IncomingRequest, responder: Responder) -> None:
        await responder.send_informational(103, ((b"link", b"a"),))
        await responder.send_head(200, ((b"content-length", b"4"),))
        await responder.finish()

    neighbour.answer = answer
    async with gateway_before(neighbour, key) as (url, _):
        inner, _ = await client.ask(url, Form.UNCHUNKED, replace(PING, method=b"HEAD"))
    assert [(early.status, early.fields) for early in inner.informational] == [(103, ((b"link", b"a"),))]
    assert (field_value(inner.head.fields, b"content-length"), inner.content) == (b"4", b"")


@FORMS
@pytest.mark.parametrize(
    ("edit", "problem"),
    [
        (lambda sealed: b"", "about:blank"),
        (lambda sealed: sealed[:6], "about:blank"),
        (lambda sealed: sealed[:7], "ohttp-key"),
        (lambda sealed: sealed[:20], "ohttp-key"),
        (lambda sealed: b"\x02" + sealed[1:], "ohttp-key"),
        (lambda sealed: sealed[:1] + b"\x00\x10" + sealed[3:], "ohttp-key"),
        (lambda sealed: sealed[:1] + b"\x00\x00" + sealed[3:], "ohttp-key"),
        (lambda sealed: sealed[:5] + b"\x00\x02" + sealed[7:], "ohttp-key"),
        (lambda sealed: sealed[:7] + bytes(32) + sealed[39:], "ohttp-key"),
        (lambda sealed: sealed[:7] + bytes([sealed[7] ^ 1]) + sealed[8:], "ohttp-key"),
        (lambda sealed: sealed[:60] + bytes([sealed[60] ^ 1]) + sealed[61:], "ohttp-key"),
        (lambda sealed: sealed[:-1] if len(sealed) < 600 else sealed[:100], "ohttp-key"),
    ],
)
async def test_what_cannot_be_opened_is_refused_in_clear(
    neighbour: Any, client: Any, key: Any, form: Form, edit: Any, problem: str
) -> None:
    async with gateway_before(neighbour, key) as (url, _):
        parts, _ = client.seal(form, encode_request(Request(PING), pad_to=532))
        response, content = await client.post(url, form, edit(b"".join(parts)))
        inner, _ = await client.ask(url, form, PING)
    assert (response.status, field_value(response.fields, b"content-type")) == (400, b"application/problem+json")
    assert json.loads(content)["type"].endswith(problem)
    assert inner.head.status == 200


@pytest.mark.parametrize(
    "media_type",
    [b"message/ohttp-req; a=b", b"Message/OHTTP-Req", b"application/octet-stream", b"message/ohttp-res", None],
)
async def test_other_media_types_are_refused_in_clear(
    neighbour: Any, client: Any, key: Any, media_type: bytes | None
) -> None:
    fields = ((b"content-type", media_type),) if media_type else ()
    async with gateway_before(neighbour, key) as (url, _):
        parts, _ = client.seal(Form.UNCHUNKED, encode_request(Request(PING)))
        response, content = await exchange(url, b"POST", b"/", fields, b"".join(parts))
    assert (response.status, content) == (400, b'{"type":"about:blank","title":"See HTTP Status Code"}\n')


async def test_the_form_is_bound_to_the_media_type(neighbour: Any, client: Any, key: Any) -> None:
    async with gateway_before(neighbour, key) as (url, _):
        for sealed_as, sent_as in ((Form.UNCHUNKED, Form.CHUNKED), (Form.CHUNKED, Form.UNCHUNKED)):
            parts, _ = client.seal(sealed_as, encode_request(Request(PING)))
            response, _ = await client.post(url, sent_as, b"".join(parts))
            assert response.status == 400


@pytest.mark.parametrize(
    ("start", "end", "status"),
    [(0, 1, 400), (-1, 0, 200), (-2, -1, 400), (-1, 1, 200)],
    ids=["starts now", "ends now", "over", "open"],
)
async def test_keys_are_accepted_in_their_period_only(
    neighbour: Any, client: Any, key: Any, start: int, end: int, status: int
) -> None:
    period = RotationPeriod(1, NOW + timedelta(seconds=start), NOW + timedelta(seconds=end))
    async with gateway_before(neighbour, replace(key, period=period)) as (url, _):
        parts, _ = client.seal(Form.UNCHUNKED, encode_request(Request(PING)))
        response, _ = await client.post(url, Form.UNCHUNKED, b"".join(parts))
    assert response.status == status


async def test_an_overlong_unchunked_request_is_refused_without_holding_it(
    neighbour: Any, client: Any, key: Any
) -> None:
    async with gateway_before(neighbour, key) as (url, _), connect(url) as connection:
        parts, _ = client.seal(Form.UNCHUNKED, b"")
        fields = ((b"content-type", b"message/ohttp-req"), (b"transfer-encoding", b"chunked"))
        await connection.send_head(b"POST", b"/", fields)
        await connection.send(parts[0])
        for _ in range(16):
            await connection.send(bytes(2**20))
        await connection.send(b"x")
        assert (await connection.response()).status == 413


@pytest.mark.parametrize("part", [2, 3, -1])
async def test_a_later_chunk_that_does_not_open_aborts_the_upstream_request(
    neighbour: Any, client: Any, key: Any, part: int
) -> None:
    async with gateway_before(neighbour, key) as (url, _), connect(url) as connection:
        parts, context = client.seal(Form.CHUNKED, encode_request(Request(COMPUTE, b"q" * 2000), indeterminate=True))
        parts[part] = parts[part][:-1] + bytes([parts[part][-1] ^ 1])
        fields = ((b"content-type", b"message/ohttp-chunked-req"), (b"transfer-encoding", b"chunked"))
        await connection.send_head(b"POST", b"/", fields)
        for piece in parts:
            await connection.send(piece)
        await connection.finish()
        outer = await connection.response()
        assert client.open(context, outer, await outer.read()).head.status == 400
    assert neighbour.contents == []


async def test_without_a_final_chunk_the_upstream_request_is_not_completed(
    neighbour: Any, client: Any, key: Any
) -> None:
    async with gateway_before(neighbour, key) as (url, _):
        parts, context = client.seal(Form.CHUNKED, encode_request(Request(COMPUTE, b"q" * 2000), indeterminate=True))
        outer, sealed = await client.post(url, Form.CHUNKED, b"".join(parts[:-1]))
        assert client.open(context, outer, sealed).head.status == 400
    assert neighbour.contents == []


async def test_both_directions_are_passed_on_as_they_come(neighbour: Any, client: Any, key: Any) -> None:
    async def answer(request: IncomingRequest, responder: Responder) -> None:
        await responder.send_head(200)
        async for chunk in request.body():
            await responder.send(chunk.data)
        await responder.finish()

    neighbour.answer = answer
    async with gateway_before(neighbour, key) as (url, _), connect(url) as connection:
        parts, context = client.seal(Form.CHUNKED, encode_request(Request(COMPUTE, b"q" * 2000), indeterminate=True))
        fields = ((b"content-type", b"message/ohttp-chunked-req"), (b"transfer-encoding", b"chunked"))
        await connection.send_head(b"POST", b"/", fields)
        for piece in parts[:3]:
            await connection.send(piece)
        outer = await connection.response()
        opener = ResponseOpener(context, Form.CHUNKED)
        pieces = outer.body()
        early: list[bytes] = []
        while not early:
            early += opener.feed((await anext(pieces)).data)
        assert b"qqqq" in early[0]
        for piece in parts[3:]:
            await connection.send(piece)
        await connection.finish()
        rest = [plaintext async for chunk in pieces for plaintext in opener.feed(chunk.data)]
        opener.finish()
    assert sum(plaintext.count(b"q") for plaintext in (*early, *rest)) == 2000


@FORMS
async def test_chunks_of_16384_bytes_are_taken(neighbour: Any, client: Any, key: Any, form: Form) -> None:
    async with gateway_before(neighbour, key) as (url, _):
        inner, _ = await replace(client, chunk_length=16384).ask(url, form, COMPUTE, b"q" * 100_000)
    assert inner.head.status == 200
    assert neighbour.contents == [b"q" * 100_000]


@FORMS
async def test_an_unreachable_upstream_is_502_inside(neighbour: Any, client: Any, key: Any, form: Form) -> None:
    async with gateway_before(neighbour, key) as (url, upstream):
        async with upstream.paused():
            assert (await client.ask(url, form, PING))[0].head.status == 502
        assert (await client.ask(url, form, PING))[0].head.status == 200


@FORMS
async def test_a_silent_upstream_is_504_inside(neighbour: Any, client: Any, key: Any, form: Form) -> None:
    async def answer(request: IncomingRequest, responder: Responder) -> None:
        _ = [chunk async for chunk in request.body()]
        await anyio.sleep_forever()

    neighbour.answer = answer
    async with gateway_before(neighbour, key, step_s=0.05) as (url, _):
        assert (await client.ask(url, form, PING))[0].head.status == 504


async def test_an_exchange_that_takes_too_long_is_broken_off(neighbour: Any, client: Any, key: Any) -> None:
    async def answer(request: IncomingRequest, responder: Responder) -> None:
        await anyio.sleep_forever()

    neighbour.answer = answer
    async with gateway_before(neighbour, key, exchange_s=0.05) as (url, _):
        with pytest.raises(Http1Error):
            await client.ask(url, Form.UNCHUNKED, PING)


@pytest.mark.parametrize("status", [600, 999])
async def test_a_status_that_cannot_be_carried_is_502_inside(
    neighbour: Any, client: Any, key: Any, status: int
) -> None:
    async def answer(request: IncomingRequest, responder: Responder) -> None:
        await responder.send_head(status, ((b"content-length", b"0"),))
        await responder.finish()

    neighbour.answer = answer
    async with gateway_before(neighbour, key) as (url, _):
        assert (await client.ask(url, Form.CHUNKED, PING))[0].head.status == 502


@FORMS
async def test_a_response_that_breaks_off_has_no_final_chunk(neighbour: Any, client: Any, key: Any, form: Form) -> None:
    async def answer(request: IncomingRequest, responder: Responder) -> None:
        await responder.send_head(200)
        await responder.send(bytes(2000))
        await responder.abort()

    neighbour.answer = answer
    async with gateway_before(neighbour, key) as (url, _):
        with pytest.raises(Http1Error):
            await client.ask(url, form, PING)


async def test_repeated_requests_get_fresh_response_nonces(neighbour: Any, client: Any, key: Any) -> None:
    async with gateway_before(neighbour, key) as (url, _):
        parts, _ = client.seal(Form.UNCHUNKED, encode_request(Request(PING)))
        nonces = {(await client.post(url, Form.UNCHUNKED, b"".join(parts)))[1][:16] for _ in range(3)}
    assert len(nonces) == 3


async def test_long_and_open_ended_responses_are_chunked(neighbour: Any, client: Any, key: Any) -> None:
    async def answer(request: IncomingRequest, responder: Responder) -> None:
        sized = request.target == b"/ping?sized"
        await responder.send_head(200, ((b"content-length", b"2000000"),) if sized else ())
        await responder.send(bytes(2_000_000))
        await responder.finish()

    neighbour.answer = answer
    async with gateway_before(neighbour, key) as (url, _):
        for query in (b"?sized", b""):
            inner, outer = await client.ask(url, Form.UNCHUNKED, replace(PING, path=b"/ping" + query))
            assert field_value(outer.fields, b"content-type") == b"message/ohttp-chunked-res"
            assert len(inner.content) == 2_000_000


async def test_health_is_told_without_encapsulation(neighbour: Any, key: Any) -> None:
    async with gateway_before(neighbour, key) as (url, _):
        response, content = await exchange(url, b"GET", b"/_health")
        assert (response.status, json.loads(content)) == (200, {"status": "OK"})
        assert (await exchange(url, b"HEAD", b"/_health"))[0].status == 200
        response, _ = await exchange(url, b"GET", b"/")
        assert (response.status, field_value(response.fields, b"allow")) == (405, b"POST")


def _config(**members: Any) -> dict[str, Any]:
    key = {"id": 1, "kem_id": 32, "seed": SEED}
    return {"bank_url": "http://a/", "router_url": "http://b/", "keys": [key], **members}


def test_configured_keys_are_published_with_their_periods() -> None:
    window = {"active_from": "2025-09-18T18:00:13.132674Z", "active_until": "2026-03-18T18:00:13.132674Z"}
    keys = [{"id": 1, "kem_id": 32, "seed": SEED, **window}, {"id": 2, "kem_id": 48, "seed": SEED}]
    gateway = Gateway.from_config(_config(keys=keys))
    configs = decode_key_configs(gateway.key_configs())
    assert [(config.key_id, config.kem_id) for config in configs] == [(1, 0x20), (2, 0x30)]
    (period,) = decode_rotation_periods(gateway.rotation_periods())
    assert (period.key_id, period.active_until) == (1, datetime(2026, 3, 18, 18, 0, 13, 132674, tzinfo=UTC))


@pytest.mark.parametrize(
    ("config", "where", "code"),
    [
        (_config(keys=[]), "config.keys", "config.value"),
        (_config(keys={}), "config.keys", "config.type"),
        (_config(keys=[1]), "config.keys[0]", "config.type"),
        (_config(keys=[{"id": 256, "kem_id": 32, "seed": SEED}]), "config.keys[0].id", "config.value"),
        (_config(keys=[{"id": True, "kem_id": 32, "seed": SEED}]), "config.keys[0].id", "config.value"),
        (_config(keys=[{"id": 1, "kem_id": 17, "seed": SEED}]), "config.keys[0].kem_id", "config.value"),
        (_config(keys=[{"id": 1, "kem_id": 32, "seed": "00"}]), "config.keys[0].seed", "config.value"),
        (_config(keys=[{"id": 1, "kem_id": 32, "seed": "zz" * 32}]), "config.keys[0].seed", "config.value"),
        (
            _config(keys=[{"id": 1, "kem_id": 32, "seed": SEED, "active_from": "2025-01-01T00:00:00Z"}]),
            "config.keys[0].active_until",
            "config.missing",
        ),
        (_config(bank_url="ftp://a"), "config.bank_url", "config.value"),
        (_config(extra=1), "config", "config.unknown"),
    ],
)
def test_a_bad_configuration_is_refused_without_its_values(config: Any, where: str, code: str) -> None:
    with pytest.raises(ConfigRejected) as caught:
        Gateway.from_config(config)
    assert (caught.value.where, caught.value.code) == (where, code)
