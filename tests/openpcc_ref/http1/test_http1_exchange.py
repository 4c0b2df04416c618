"""What both ends say arrives as it was said: chunks, trailers, early answers, one request after the other."""

from __future__ import annotations

import anyio
import pytest

from openpcc_ref.http1 import (
    Chunk,
    Connection,
    IncomingRequest,
    Responder,
    connect,
    exchange,
    field_value,
    field_values,
    listen,
)

pytestmark = pytest.mark.anyio

CHUNKED = ((b"transfer-encoding", b"chunked"),)


async def echo(request: IncomingRequest, responder: Responder) -> None:
    chunks = [chunk async for chunk in request.body()]
    await responder.send_head(200, ((b"X-Target", request.target), (b"x-method", request.method)))
    for chunk in chunks:
        await responder.send(chunk.data)
    await responder.finish(request.trailers)


async def test_sized_content_and_fields_arrive() -> None:
    async with listen(echo) as server:
        response, content = await exchange(server.url, b"PUT", b"/a?b", ((b"X-One", b"1"),), b"hello")
    assert (response.status, content) == (200, b"hello")
    assert field_value(response.fields, b"x-target") == b"/a?b"
    assert response.complete


async def test_request_fields_come_in_order_with_lower_case_names() -> None:
    seen: list[IncomingRequest] = []

    async def handler(request: IncomingRequest, responder: Responder) -> None:
        seen.append(request)
        await echo(request, responder)

    async with listen(handler) as server:
        await exchange(server.url, b"GET", b"/", ((b"X-B", b"1"), (b"X-A", b"2"), (b"X-B", b"3")))
        host = server.url.removeprefix("http://").encode()
    assert seen[0].fields == ((b"host", host), (b"x-b", b"1"), (b"x-a", b"2"), (b"x-b", b"3"))
    assert field_values(seen[0].fields, b"X-b") == (b"1", b"3")
    assert (seen[0].version, seen[0].complete, seen[0].trailers) == (b"1.1", True, ())
    assert seen[0].client_address == "127.0.0.1"


async def test_each_send_is_one_chunk_on_the_wire() -> None:
    sizes = [1, 2, 532, 16384]

    async def handler(request: IncomingRequest, responder: Responder) -> None:
        await responder.send_head(200)
        for size in sizes:
            await responder.send(bytes(size))
        await responder.send(b"")
        await responder.finish()

    async with listen(handler) as server, connect(server.url) as connection:
        await connection.send_head(b"GET", b"/")
        await connection.finish()
        response = await connection.response()
        assert _chunk_sizes([chunk async for chunk in response.body()]) == sizes


async def test_chunk_borders_survive_arriving_byte_by_byte() -> None:
    seen: list[Chunk] = []

    async def handler(request: IncomingRequest, responder: Responder) -> None:
        seen.extend([chunk async for chunk in request.body()])
        await responder.send_head(204)
        await responder.finish()

    raw = b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n"
    async with listen(handler) as server, connect(server.url) as connection:
        for byte in raw:
            await connection.send_raw(bytes([byte]))
        assert (await connection.response()).status == 204
    assert _chunk_sizes(seen) == [3, 2]
    assert b"".join(chunk.data for chunk in seen) == b"abcde"


async def test_content_without_chunks_has_no_borders() -> None:
    seen: list[Chunk] = []

    async def handler(request: IncomingRequest, responder: Responder) -> None:
        seen.extend([chunk async for chunk in request.body()])
        await responder.send_head(204)
        await responder.finish()

    async with listen(handler) as server:
        await exchange(server.url, b"POST", b"/", (), b"abc")
    assert [(chunk.starts, chunk.ends) for chunk in seen] == [(False, False)]


async def test_trailers_travel_both_ways() -> None:
    async with listen(echo) as server, connect(server.url) as connection:
        await connection.send_head(b"POST", b"/", CHUNKED)
        await connection.send(b"x")
        await connection.finish(((b"X-Refund", b"abc"),))
        response = await connection.response()
        assert response.trailers == ()
        assert await response.read() == b"x"
        assert response.trailers == ((b"x-refund", b"abc"),)


async def test_informational_responses_come_before_the_final_one() -> None:
    async def handler(request: IncomingRequest, responder: Responder) -> None:
        await responder.send_informational(103, ((b"link", b"a"),))
        await responder.send_informational(102)
        await responder.send_head(200)
        await responder.finish()

    async with listen(handler) as server:
        response, _ = await exchange(server.url)
    assert response.informational == ((103, ((b"link", b"a"),)), (102, ()))


async def test_a_client_that_waits_for_100_gets_it_when_its_content_is_read() -> None:
    async with listen(echo) as server, connect(server.url) as connection:
        await connection.send_head(b"POST", b"/", ((b"expect", b"100-continue"), (b"content-length", b"1")))
        with anyio.fail_after(5):
            async with anyio.create_task_group() as group:
                group.start_soon(_finish_with, connection, b"x")
                response = await connection.response()
        assert response.informational == ((100, ()),)
        assert await response.read() == b"x"


async def test_answers_may_overtake_requests() -> None:
    """Both directions go on side by side: each chunk comes back before the next is sent."""

    async def handler(request: IncomingRequest, responder: Responder) -> None:
        await responder.send_head(200)
        async for chunk in request.body():
            await responder.send(chunk.data)
        await responder.finish()

    async with listen(handler) as server, connect(server.url) as connection:
        await connection.send_head(b"POST", b"/", CHUNKED)
        response = await connection.response()
        pieces = response.body()
        for word in (b"one", b"two", b"three"):
            await connection.send(word)
            assert (await anext(pieces)).data == word
        await connection.finish()
        assert [piece async for piece in pieces] == []


async def test_connections_are_reused() -> None:
    ids: list[int] = []

    async def handler(request: IncomingRequest, responder: Responder) -> None:
        ids.append(request.connection_id)
        await echo(request, responder)

    async with listen(handler) as server, connect(server.url) as connection:
        for number in range(3):
            await connection.send_head(b"POST", b"/%d" % number, CHUNKED)
            await connection.send(b"x")
            await connection.finish()
            response = await connection.response()
            assert field_value(response.fields, b"x-target") == b"/%d" % number
            assert await response.read() == b"x"
        await exchange(server.url)
    assert len(set(ids[:3])) == 1
    assert ids[3] != ids[0]


async def test_pipelined_requests_are_answered_in_order() -> None:
    async with listen(echo) as server, connect(server.url) as connection:
        await connection.send_raw(
            b"GET /1 HTTP/1.1\r\nhost: a\r\n\r\nGET /2 HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"
        )
        response = await connection.response()
        assert field_value(response.fields, b"x-target") == b"/1"


async def test_unread_request_content_does_not_spoil_the_connection() -> None:
    async def handler(request: IncomingRequest, responder: Responder) -> None:
        await responder.send_head(200, ((b"content-length", b"0"),))
        await responder.finish()

    async with listen(handler) as server, connect(server.url) as connection:
        for _ in range(2):
            await connection.send_head(b"POST", b"/", CHUNKED)
            await connection.send(bytes(1000))
            await connection.finish()
            response = await connection.response()
            assert (response.status, await response.read()) == (200, b"")


async def test_http_1_0_is_answered_without_chunks_and_closed() -> None:
    async with listen(echo) as server, connect(server.url) as connection:
        await connection.send_raw(b"POST / HTTP/1.0\r\ncontent-length: 2\r\n\r\nhi")
        response = await connection.response()
        assert field_value(response.fields, b"transfer-encoding") is None
        assert await response.read() == b"hi"


async def test_answers_to_head_carry_fields_but_no_content() -> None:
    async def handler(request: IncomingRequest, responder: Responder) -> None:
        await responder.send_head(200, ((b"content-length", b"4"),))
        await responder.send(b"pong")
        await responder.finish()

    async with listen(handler) as server:
        response, content = await exchange(server.url, b"HEAD")
    assert (field_value(response.fields, b"content-length"), content) == (b"4", b"")


async def test_a_half_closed_client_still_gets_its_answer() -> None:
    async with listen(echo) as server, connect(server.url) as connection:
        await connection.send_raw(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nhi")
        await connection.close_write()
        assert await (await connection.response()).read() == b"hi"


async def test_taps_see_the_same_bytes_at_both_ends() -> None:
    at_server: list[tuple[int, str, float, bytes]] = []
    at_client: list[tuple[int, str, float, bytes]] = []

    async with listen(echo, tap=lambda *event: at_server.append(event)) as server:
        tap = lambda *event: at_client.append(event)  # noqa: E731
        await exchange(server.url, b"POST", b"/", ((b"X-Mixed", b"Case"),), b"hello", tap=tap)
    assert _bytes(at_server, "in") == _bytes(at_client, "out")
    assert _bytes(at_server, "out") == _bytes(at_client, "in")
    assert b"X-Mixed: Case\r\n" in _bytes(at_server, "in")
    times = [event[2] for event in at_client]
    assert times == sorted(times)


async def test_a_tap_sees_the_first_request_before_the_answer_to_it() -> None:
    events: list[str] = []
    async with listen(echo, tap=lambda _, direction, *rest: events.append(direction)) as server:
        await exchange(server.url)
    assert events[0] == "in"
    assert "out" in events


async def _finish_with(connection: Connection, data: bytes) -> None:
    await connection.send(data)
    await connection.finish()


def _bytes(events: list[tuple[int, str, float, bytes]], direction: str) -> bytes:
    return b"".join(data for _, way, _, data in events if way == direction)


def _chunk_sizes(pieces: list[Chunk]) -> list[int]:
    """Put the pieces of chunks together by their borders."""
    sizes: list[int] = []
    for piece in pieces:
        if piece.starts:
            sizes.append(0)
        sizes[-1] += len(piece.data)
    assert sum(piece.ends for piece in pieces) == len(sizes)
    return sizes
