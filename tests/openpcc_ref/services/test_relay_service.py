"""The relay passes bytes on as they come, to one gateway, and nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from openpcc_ref.http1 import (
    Failure,
    Http1Error,
    IncomingRequest,
    Responder,
    connect,
    exchange,
    field_value,
    listen,
)
from openpcc_ref.services.config import ConfigRejected
from openpcc_ref.services.relay import Relay

pytestmark = pytest.mark.anyio

SEALED = ((b"content-type", b"message/ohttp-req"),)
CHUNKED = ((b"content-type", b"message/ohttp-chunked-req"), (b"transfer-encoding", b"chunked"))


@asynccontextmanager
async def relay_before(neighbour: Any, path: str = "", step_s: float = 5) -> AsyncIterator[tuple[str, Any]]:
    async with (
        neighbour.serve() as gateway,
        listen(Relay(gateway.url + path, step_s=step_s).handle, step_s=5) as relay,
    ):
        yield relay.url, gateway


async def test_content_goes_unchanged_to_the_one_gateway_resource(neighbour: Any) -> None:
    content = bytes(range(256)) * 20
    async with relay_before(neighbour, "/gw?x=1") as (url, gateway):
        for target in (b"/", b"/other?y", b"http://example.com/"):
            response, answer = await exchange(url, b"POST", target, SEALED, content)
            assert (response.status, answer) == (200, b"pong")
    assert [request.target for request in neighbour.requests] == [b"/gw?x=1"] * 3
    assert neighbour.contents == [content] * 3
    hosts = {field_value(request.fields, b"host") for request in neighbour.requests}
    assert hosts == {gateway.url.removeprefix("http://").encode()}


async def test_the_gateway_sees_three_fields_and_the_framing(neighbour: Any) -> None:
    names = b"user-agent cookie authorization date via forwarded x-forwarded-for referer origin traceparent"
    personal = tuple((name, b"CANARY") for name in names.split())
    async with relay_before(neighbour) as (url, _):
        fields = (*SEALED, *personal, (b"incremental", b"?1"), (b"connection", b"x-hop"), (b"x-hop", b"1"))
        await exchange(url, b"POST", b"/", fields, b"x")
    seen = [name for name, _ in neighbour.requests[0].fields]
    assert seen == [b"host", b"content-type", b"incremental", b"content-length"]


async def test_the_client_sees_neither_cookies_nor_unknown_fields(neighbour: Any) -> None:
    async def answer(request: IncomingRequest, responder: Responder) -> None:
        fields = (
            (b"content-type", b"message/ohttp-chunked-res"),
            (b"incremental", b"?1"),
            (b"cache-control", b"no-store"),
        )
        await responder.send_head(200, (*fields, (b"set-cookie", b"a=b"), (b"server", b"x"), (b"trailer", b"x-t")))
        await responder.send(b"sealed")
        await responder.finish(((b"x-t", b"1"),))

    neighbour.answer = answer
    async with relay_before(neighbour) as (url, _):
        response, content = await exchange(url, b"POST", b"/", SEALED, b"x")
    names = [name for name, _ in response.fields]
    assert names == [b"content-type", b"incremental", b"cache-control", b"transfer-encoding"]
    assert (content, response.trailers) == (b"sealed", ())


async def test_requests_of_one_connection_reach_the_gateway_on_several(neighbour: Any) -> None:
    async with relay_before(neighbour) as (url, _), connect(url) as connection:
        for _ in range(2):
            await connection.send_head(b"POST", b"/", (*SEALED, (b"content-length", b"1")))
            await connection.send(b"x")
            await connection.finish()
            await (await connection.response()).read()
    assert len({request.connection_id for request in neighbour.requests}) == 2


async def test_both_directions_are_delivered_piece_by_piece(neighbour: Any) -> None:
    async def answer(request: IncomingRequest, responder: Responder) -> None:
        await responder.send_head(200)
        async for chunk in request.body():
            await responder.send(chunk.data)
        await responder.finish()

    neighbour.answer = answer
    async with relay_before(neighbour) as (url, _), connect(url) as connection:
        await connection.send_head(b"POST", b"/", CHUNKED)
        response = await connection.response()
        pieces = response.body()
        for word in (b"one", b"two"):
            await connection.send(word)
            assert (await anext(pieces)).data == word
        await connection.finish()
        assert [piece async for piece in pieces] == []


async def test_errors_of_the_gateway_are_passed_on(neighbour: Any) -> None:
    async def answer(request: IncomingRequest, responder: Responder) -> None:
        await responder.send_head(400, ((b"content-type", b"application/problem+json"), (b"content-length", b"2")))
        await responder.send(b"{}")
        await responder.finish()

    neighbour.answer = answer
    async with relay_before(neighbour) as (url, _):
        response, content = await exchange(url, b"POST", b"/", SEALED, b"x" * 100_000)
    assert (response.status, content) == (400, b"{}")
    assert field_value(response.fields, b"content-type") == b"application/problem+json"


async def test_an_unreachable_gateway_is_502_and_later_reachable_again(neighbour: Any) -> None:
    async with relay_before(neighbour) as (url, gateway):
        async with gateway.paused():
            assert (await exchange(url, b"POST", b"/", SEALED, b"x"))[0].status == 502
        assert (await exchange(url, b"POST", b"/", SEALED, b"x"))[0].status == 200


async def test_a_gateway_that_hangs_up_is_502_and_is_asked_once(neighbour: Any) -> None:
    async def answer(request: IncomingRequest, responder: Responder) -> None:
        await responder.abort()

    neighbour.answer = answer
    async with relay_before(neighbour) as (url, _):
        assert (await exchange(url, b"POST", b"/", SEALED, b"x"))[0].status == 502
    assert len(neighbour.requests) == 1


async def test_a_silent_gateway_is_504(neighbour: Any) -> None:
    async def answer(request: IncomingRequest, responder: Responder) -> None:
        _ = [chunk async for chunk in request.body()]
        await anyio.sleep_forever()

    neighbour.answer = answer
    async with relay_before(neighbour, step_s=0.05) as (url, _):
        assert (await exchange(url, b"POST", b"/", SEALED, b"x"))[0].status == 504


@pytest.mark.parametrize("fields", [(), ((b"content-length", b"100"),)])
async def test_a_response_that_breaks_off_is_never_ended_cleanly(neighbour: Any, fields: Any) -> None:
    async def answer(request: IncomingRequest, responder: Responder) -> None:
        await responder.send_head(200, fields)
        await responder.send(b"part")
        await responder.abort()

    neighbour.answer = answer
    async with relay_before(neighbour) as (url, _):
        with pytest.raises(Http1Error) as caught:
            await exchange(url, b"POST", b"/", SEALED, b"x")
    assert caught.value.failure is Failure.RESET


async def test_a_request_that_breaks_off_is_never_completed(neighbour: Any) -> None:
    async with relay_before(neighbour) as (url, _):
        async with connect(url) as connection:
            await connection.send_head(b"POST", b"/", CHUNKED)
            await connection.send(b"part")
            await connection.close_write()
            assert (await connection.response()).status == 400
        await exchange(url, b"POST", b"/", SEALED, b"x")
    assert [error.failure for error in neighbour.failures] == [Failure.RESET]
    assert neighbour.contents == [b"x"]


@pytest.mark.parametrize(
    ("method", "fields", "content", "status"),
    [
        (b"GET", SEALED, b"", 405),
        (b"PUT", SEALED, b"x", 405),
        (b"POST", ((b"content-type", b"text/plain"),), b"x", 415),
        (b"POST", (), b"x", 415),
        (b"POST", SEALED, b"", 400),
    ],
)
async def test_what_is_no_encapsulated_request_goes_nowhere(
    neighbour: Any, method: bytes, fields: Any, content: bytes, status: int
) -> None:
    async with relay_before(neighbour) as (url, _):
        assert (await exchange(url, method, b"/", fields, content))[0].status == status
    assert neighbour.requests == []


@pytest.mark.parametrize(
    ("config", "code"),
    [
        ([], "config.type"),
        ({}, "config.missing"),
        ({"gateway_url": 1}, "config.type"),
        ({"gateway_url": "gateway:80"}, "config.value"),
        ({"gateway_url": "http://a/", "extra": 1}, "config.unknown"),
    ],
)
def test_a_bad_configuration_is_refused(config: Any, code: str) -> None:
    with pytest.raises(ConfigRejected) as caught:
        Relay.from_config(config)
    assert caught.value.code == code
