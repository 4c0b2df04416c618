"""Whatever a peer does, it costs one exchange one error that says what, where and what was expected."""

from __future__ import annotations

import random

import pytest

from openpcc_ref.http1 import (
    Connection,
    Failure,
    Http1Error,
    IncomingRequest,
    Responder,
    connect,
    exchange,
    is_http1_error,
    listen,
)

pytestmark = pytest.mark.anyio

CHUNKED = ((b"transfer-encoding", b"chunked"),)
HEAD = b"POST / HTTP/1.1\r\nhost: a\r\n"


async def read_all(request: IncomingRequest, responder: Responder) -> None:
    size = sum([len(chunk.data) async for chunk in request.body()])
    content = str(size).encode()
    await responder.send_head(200, ((b"content-length", str(len(content)).encode()),))
    await responder.send(content)
    await responder.finish()


@pytest.mark.parametrize(
    "raw",
    [
        b"\r\nnonsense\r\n\r\n",
        b"GET /\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET  / HTTP/1.1\r\nhost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost : a\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: a\r\nx\x00y: 1\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: a\r\nx: \x00\r\n\r\n",
        HEAD + b"content-length: 1\r\ncontent-length: 2\r\n\r\nab",
        HEAD + b"content-length: -1\r\n\r\n",
        HEAD + b"transfer-encoding: gzip\r\n\r\n",
        HEAD + b"transfer-encoding: chunked\r\n\r\nxyz\r\n",
        HEAD + b"transfer-encoding: chunked\r\n\r\n2\r\nabc\r\n0\r\n\r\n",
        HEAD + b"transfer-encoding: chunked\r\n\r\n0\r\nbad trailer\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/1.1\r\nx: " + b"a" * 300_000 + b"\r\nhost: a\r\n\r\n",
    ],
)
async def test_malformed_requests_are_refused_and_the_server_lives_on(raw: bytes) -> None:
    async with listen(read_all) as server:
        async with connect(server.url) as connection:
            await connection.send_raw(raw)
            assert 400 <= (await connection.response()).status < 600
        _, content = await exchange(server.url, b"POST", b"/", (), b"abc")
    assert content == b"3"


async def test_random_bytes_never_stop_the_server() -> None:
    source = random.Random(20261125)
    async with listen(read_all) as server:
        for _ in range(100):
            async with connect(server.url) as connection:
                await connection.send_raw(source.randbytes(source.randrange(1, 200)))
        _, content = await exchange(server.url, b"POST", b"/", (), b"abc")
    assert content == b"3"


@pytest.mark.parametrize("framing", [b"content-length: 5\r\n\r\nabc", b"transfer-encoding: chunked\r\n\r\n5\r\nabc"])
async def test_truncated_requests_are_never_complete(framing: bytes) -> None:
    seen: list[Http1Error] = []

    async def handler(request: IncomingRequest, responder: Responder) -> None:
        try:
            await read_all(request, responder)
        except Http1Error as error:
            seen.append(error)
            assert not request.complete
            raise

    async with listen(handler) as server, connect(server.url) as connection:
        await connection.send_raw(HEAD + framing)
        await connection.close_write()
        assert (await connection.response()).status == 400
    assert [error.failure for error in seen] == [Failure.CLOSED]
    assert (seen[0].where, seen[0].expected) == ("request content", "the rest of the content")


@pytest.mark.parametrize(
    ("raw", "failure"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nabc", Failure.CLOSED),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n", Failure.CLOSED),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nq\r\n", Failure.MALFORMED),
        (b"HTTP/1.1 200 OK\r\ncontent-le", Failure.CLOSED),
        (b"hello\r\n\r\n", Failure.MALFORMED),
        (b"HTTP/1.1 20 OK\r\n\r\n", Failure.MALFORMED),
    ],
)
async def test_bad_responses_are_told_apart(raw: bytes, failure: Failure) -> None:
    async def handler(request: IncomingRequest, responder: Responder) -> None:
        await responder.send_raw(raw)

    async with listen(handler) as server:
        with pytest.raises(Http1Error) as caught:
            await exchange(server.url)
    assert caught.value.failure is failure


async def test_content_without_length_ends_with_the_connection() -> None:
    async def handler(request: IncomingRequest, responder: Responder) -> None:
        await responder.send_raw(b"HTTP/1.0 200 OK\r\n\r\nabc")

    async with listen(handler) as server:
        response, content = await exchange(server.url)
    assert (response.status, content) == (200, b"abc")


async def test_an_aborted_response_is_a_reset_even_where_closing_would_be_an_end() -> None:
    async def handler(request: IncomingRequest, responder: Responder) -> None:
        await responder.send_raw(b"HTTP/1.0 200 OK\r\n\r\nabc")
        await responder.abort()

    async with listen(handler) as server:
        with pytest.raises(Http1Error) as caught:
            await exchange(server.url)
    assert caught.value.failure is Failure.RESET


@pytest.mark.parametrize("raises", [False, True])
async def test_an_unfinished_response_is_aborted(raises: bool) -> None:
    failures: list[Exception] = []

    async def handler(request: IncomingRequest, responder: Responder) -> None:
        await responder.send_head(200)
        await responder.send(b"abc")
        if raises:
            raise RuntimeError("the handler broke")

    async with listen(handler, failed=failures.append) as server:
        with pytest.raises(Http1Error) as caught:
            await exchange(server.url)
    assert caught.value.failure is Failure.RESET
    assert [str(failure) for failure in failures] == ["the handler broke"] * raises


async def test_a_handler_that_breaks_before_it_answers_is_answered_for() -> None:
    failures: list[Exception] = []

    async def handler(request: IncomingRequest, responder: Responder) -> None:
        raise RuntimeError("the handler broke")

    async with listen(handler, failed=failures.append) as server:
        for _ in range(2):
            response, _ = await exchange(server.url)
            assert response.status == 500
    assert len(failures) == 2


async def test_an_aborted_request_is_a_reset_at_the_server() -> None:
    seen: list[Http1Error] = []

    async def handler(request: IncomingRequest, responder: Responder) -> None:
        try:
            await read_all(request, responder)
        except Http1Error as error:
            seen.append(error)

    async with listen(handler) as server:
        async with connect(server.url) as connection:
            await connection.send_head(b"POST", b"/", CHUNKED)
            await connection.send(b"abc")
            await connection.abort()
            with pytest.raises(Http1Error) as caught:
                await connection.response()
        await exchange(server.url)
    assert caught.value.failure is Failure.RESET
    assert [error.failure for error in seen] == [Failure.RESET]


async def test_silence_runs_into_the_deadline_at_either_end() -> None:
    seen: list[Http1Error] = []

    async def handler(request: IncomingRequest, responder: Responder) -> None:
        try:
            await read_all(request, responder)
        except Http1Error as error:
            seen.append(error)
            raise

    async with listen(handler, step_s=0.05) as server, connect(server.url) as connection:
        await connection.send_head(b"POST", b"/", CHUNKED)
        assert (await connection.response()).status == 400
    assert [error.failure for error in seen] == [Failure.TIMEOUT]

    async with listen(handler) as server, connect(server.url, step_s=0.05) as connection:
        await connection.send_head(b"POST", b"/", CHUNKED)
        with pytest.raises(Http1Error) as caught:
            await connection.response()
    assert caught.value.failure is Failure.TIMEOUT
    assert str(caught.value) == ("nothing came in time at response head: expected an HTTP/1.1 response (waited 0.05 s)")


async def test_a_peer_that_does_not_read_runs_into_the_deadline() -> None:
    async def handler(request: IncomingRequest, responder: Responder) -> None:
        await responder.send_head(200)
        for _ in range(1000):
            await responder.send(bytes(65536))

    async with listen(handler, step_s=0.05) as server, connect(server.url, step_s=5) as connection:
        await connection.send_head(b"GET", b"/")
        await connection.finish()
        await connection.response()
        # Nothing is read until the server has given up, which shows as a reset to the one that still sends.
        with pytest.raises(Http1Error) as caught:
            await _send_on(connection)
    assert caught.value.failure is Failure.RESET


async def _send_on(connection: Connection) -> None:
    while True:
        await connection.send_raw(b"x")


async def test_a_paused_server_refuses_connections_and_keeps_its_address() -> None:
    async with listen(read_all) as server:
        url = server.url
        for _ in range(2):
            async with connect(url) as idle:
                await idle.send_head(b"GET", b"/")
                await idle.finish()
                await (await idle.response()).read()
                async with server.paused():
                    with pytest.raises(Http1Error) as caught:
                        await exchange(url)
                    assert caught.value.failure is Failure.UNREACHABLE
                    await idle.send_head(b"GET", b"/")
                    with pytest.raises(Http1Error):
                        await idle.response()
            assert server.url == url
            assert (await exchange(url))[0].status == 200


async def test_nobody_listens_after_the_context() -> None:
    async with listen(read_all) as server:
        url = server.url
    with pytest.raises(Http1Error) as caught:
        await exchange(url)
    assert caught.value.failure is Failure.UNREACHABLE
    assert "Connection refused" in str(caught.value)


async def test_what_the_body_of_the_context_raises_comes_out_unwrapped() -> None:
    with pytest.raises(KeyError):
        async with listen(read_all):
            raise KeyError("mine")


async def test_misuse_is_a_value_error() -> None:
    async with listen(read_all) as server, connect(server.url) as connection:
        with pytest.raises(ValueError, match="Request"):
            await connection.send_head(b"GET", b"/ a")
        with pytest.raises(ValueError, match="Request"):
            await connection.send_head(b"GET", b"/", ((b"x", b"a\r\nb"),))
        with pytest.raises(ValueError, match="request content"):
            await connection.send(b"x")
    with pytest.raises(ValueError, match="no http or https URL"):
        await exchange("ftp://127.0.0.1/")


async def test_what_the_rules_forbid_can_be_sent_raw() -> None:
    seen: list[bytes] = []
    async with (
        listen(read_all, tap=lambda _, way, __, data: seen.append(data) if way == "in" else None) as server,
        connect(server.url) as connection,
    ):
        await connection.send_raw(b"GET / HTTP/1.1\r\nbad header\r\n\r\n")
        assert (await connection.response()).status == 400
    assert b"".join(seen) == b"GET / HTTP/1.1\r\nbad header\r\n\r\n"


def test_groups_of_errors_are_recognised() -> None:
    error = Http1Error(Failure.RESET, where="a", expected="b")
    assert is_http1_error(ExceptionGroup("", [error, ExceptionGroup("", [error])]))
    assert not is_http1_error(ExceptionGroup("", [error, ValueError()]))
