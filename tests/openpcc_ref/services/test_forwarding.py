"""Waiting for an upstream: as long as the request goes on, and no longer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, cast

import anyio
import pytest

from openpcc_ref.http1 import Connection, Failure, Http1Error, IncomingRequest, Responder, connect, listen
from openpcc_ref.services.forwarding import Upstream, UpstreamFailed

pytestmark = pytest.mark.anyio

TIMEOUT = Http1Error(Failure.TIMEOUT, where="response head", expected="an answer")
RESET = Http1Error(Failure.RESET, where="response head", expected="an answer")


class Told:
    """A connection whose waits end as they are told to."""

    def __init__(self, *waits: Callable[[], Awaitable[Any]], send_fails: bool = False) -> None:
        self.waits = list(waits)
        self.sent: list[bytes] = []
        self._send_fails = send_fails

    async def send(self, data: bytes) -> None:
        if self._send_fails:
            raise RESET
        self.sent.append(data)

    async def response(self) -> Any:
        return await self.waits.pop(0)()


def failing(error: Http1Error, upstream: list[Upstream] | None = None) -> Callable[[], Awaitable[Any]]:
    """Return a wait that fails; with an upstream, after it has sent some more of the request."""

    async def wait() -> Any:
        if upstream:
            await upstream[0].send(b"more")
        raise error

    return wait


async def answered() -> str:
    return "the answer"


def told(*waits: tuple[Http1Error, bool], send_fails: bool = False) -> tuple[Upstream, Told]:
    upstreams: list[Upstream] = []
    steps = [failing(error, upstreams if more else None) for error, more in waits]
    connection = Told(*steps, answered, send_fails=send_fails)
    upstreams.append(Upstream(cast(Connection, connection)))
    return upstreams[0], connection


async def test_the_wait_goes_on_with_the_request() -> None:
    upstream, connection = told((TIMEOUT, True), (TIMEOUT, True))
    assert cast(Any, await upstream.response()) == "the answer"
    assert connection.sent == [b"more", b"more"]


@pytest.mark.parametrize(
    ("waits", "send_fails", "error"),
    [
        ([(TIMEOUT, False)], False, TIMEOUT),
        ([(TIMEOUT, True), (TIMEOUT, False)], False, TIMEOUT),
        ([(TIMEOUT, True)], True, TIMEOUT),
        ([(RESET, True)], False, RESET),
    ],
)
async def test_the_wait_ends(waits: list[tuple[Http1Error, bool]], send_fails: bool, error: Http1Error) -> None:
    upstream, connection = told(*waits, send_fails=send_fails)
    with pytest.raises(UpstreamFailed) as failed:
        await upstream.response()
    assert failed.value.error is error
    assert len(connection.waits) == 1


async def test_early_responses_outlast_a_timeout() -> None:
    go_on = anyio.Event()

    async def handle(request: IncomingRequest, responder: Responder) -> None:
        await responder.send_informational(103, ((b"link", b"<a>"),))
        await go_on.wait()
        await responder.send_head(204)
        await responder.finish()

    async with listen(handle) as server, connect(server.url, step_s=0.2) as connection:
        await connection.send_head(b"GET", b"/")
        await connection.finish()
        with pytest.raises(Http1Error) as failed:
            await connection.response()
        assert failed.value.failure is Failure.TIMEOUT
        go_on.set()
        response = await connection.response()
    assert (response.status, response.informational) == (204, ((103, ((b"link", b"<a>"),)),))
