"""Content passes a relay unchanged, complete, and to the client it is for."""

from __future__ import annotations

import gzip
from contextlib import suppress

import anyio

from conformance.peers.relay import (
    CHUNKED_REQUEST,
    CHUNKED_RESPONSE,
    REQUEST,
    RESPONSE,
    RelayCase,
    answers,
    answers_in_chunks,
    expect_same,
    sized,
)
from conformance.peers.scripted import Received, answer_after_request
from conformance.registry import check
from conformance.verdicts import Violation, expect
from openpcc_ref.http1 import Http1Error, Responder, field_value

_MIB = 2**20

_AWKWARD = bytes(range(256)) + b"\r\n0\r\n\r\n" + b"\n\n\r\r\x00\xff\xfe\x1f\x8b\x08" + "é\u2028".encode() + b"  \r\n"
"""Octets that something which takes content for text, lines or HTTP would change."""

_GARBAGE = (
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: relay\r\nContent-",
    b"POST / HTTP/9.9\r\n\r\n",
    bytes(300),
    b"",
)
_SENDERS = 16


@check(
    id="relay.content.request",
    requirements=["OHT-053"],
    title="Request content arrives byte for byte",
)
async def request_content(case: RelayCase) -> None:
    """The client posts an encapsulated request whose ciphertext contains every octet, line ends in all combinations
    and the start of other formats. The gateway must receive exactly that."""
    content = case.request() + _AWKWARD
    response, _ = await case.post(content)
    expect_same(content, case.forwarded(response).body, "request content")


@check(
    id="relay.content.chunked-request",
    requirements=["OHT-053"],
    title="Chunked request content arrives byte for byte",
)
async def chunked_request_content(case: RelayCase) -> None:
    """The client posts a chunked encapsulated request, some pieces of which look like the framing of HTTP itself. What
    the gateway receives must be the pieces one after the other; how they are cut on the way does not matter."""
    pieces = [*case.request_pieces(), _AWKWARD, b"0\r\n\r\n", b"\r\n"]
    response, _ = await case.post_in_chunks(pieces)
    arrived = case.forwarded(response)
    expect_same(b"".join(pieces), arrived.body, "request content")
    expect(arrived.complete, expected="a complete request", observed="one that breaks off")


@check(
    id="relay.content.response",
    requirements=["OHT-053"],
    title="Response content comes back byte for byte",
)
async def response_content(case: RelayCase) -> None:
    """The gateway answers with status 200 and ciphertext that contains every octet. The client must get that status
    and exactly these bytes."""
    content = case.response() + _AWKWARD
    case.gateway.answer = answers(200, sized(RESPONSE, content), content)
    response, received = await case.post(case.request())
    expect(response.status == 200, expected="the gateway's status 200", observed=f"status {response.status}")
    expect_same(content, received, "response content")


@check(
    id="relay.content.chunked-response",
    requirements=["OHT-053"],
    title="Chunked response content comes back byte for byte",
)
async def chunked_response_content(case: RelayCase) -> None:
    """The gateway answers in chunks, some of which look like the framing of HTTP itself. What the client receives must
    be the chunks one after the other, with a clean end."""
    pieces = [*case.response_pieces(), _AWKWARD, b"0\r\n\r\n", b"\r\n"]
    case.gateway.answer = answers_in_chunks(CHUNKED_RESPONSE, pieces)
    response, received = await case.post(case.request())
    expect(response.status == 200, expected="the gateway's status 200", observed=f"status {response.status}")
    expect_same(b"".join(pieces), received, "response content")


@check(
    id="relay.content.no-coding-applied",
    requirements=["OHT-053"],
    title="No content coding is applied",
)
async def no_coding_applied(case: RelayCase) -> None:
    """The client accepts compressed responses and the content compresses well. The relay must not compress it: sizes
    are padded on purpose, and the far end does not undo a coding."""
    content = bytes(64 * 532)
    case.gateway.answer = answers(200, sized(RESPONSE, content), content)
    response, received = await case.post(
        case.request() + bytes(8 * 532), fields=((b"accept-encoding", b"gzip, deflate, br, zstd"),)
    )
    coding = field_value(response.fields, b"content-encoding")
    expect(
        coding is None, expected="a response without content coding", observed=f"content-encoding {(coding or b'')!r}"
    )
    expect_same(content, received, "response content")
    coding = field_value(case.forwarded(response).fields, b"content-encoding")
    expect(
        coding is None, expected="a request without content coding", observed=f"content-encoding {(coding or b'')!r}"
    )


@check(
    id="relay.content.no-coding-removed",
    requirements=["OHT-053"],
    title="No content coding is removed",
)
async def no_coding_removed(case: RelayCase) -> None:
    """Both sides declare gzip and send gzip. A relay that is built on a library which decompresses on its own changes
    the bytes; they must arrive as they were sent."""
    request, response = (gzip.compress(content, mtime=0) for content in (case.request(), case.response()))
    coded = (b"content-encoding", b"gzip")
    case.gateway.answer = answers(200, (*sized(RESPONSE, response), coded), response)
    came, received = await case.post(request, fields=(coded,))
    expect_same(request, case.forwarded(came).body, "request content")
    expect_same(response, received, "response content")


@check(
    id="relay.content.large",
    requirements=["OHT-053"],
    title="Eight mebibytes pass in each direction",
)
async def large(case: RelayCase) -> None:
    """A prompt with images is large, and so may be an answer. Eight mebibytes go each way and must arrive unchanged."""
    request, response = case.request() + case.random.randbytes(8 * _MIB), case.random.randbytes(8 * _MIB)
    case.gateway.answer = answers(200, sized(RESPONSE, response), response)
    came, received = await case.post(request)
    expect_same(request, case.forwarded(came).body, "request content")
    expect_same(response, received, "response content")


@check(
    id="relay.content.own-answer",
    requirements=["OHT-053"],
    title="Each of many clients gets its own answer",
)
async def own_answer(case: RelayCase) -> None:
    """Eight clients ask at once. The gateway waits for all of them and answers in reverse order, each request with
    content that repeats its own; if the relay lets fewer through at a time, it answers as they come. No client may get
    another's answer."""
    requests = [case.request() for _ in range(8)]
    waiting: list[anyio.Event] = []
    in_time = True

    async def answer(received: Received, responder: Responder) -> None:
        nonlocal in_time
        await received.end()
        mine = anyio.Event()
        waiting.append(mine)
        if in_time and len(waiting) < len(requests):
            with anyio.move_on_after(case.step_s / 2) as limit:
                await mine.wait()
            in_time = in_time and not limit.cancelled_caught
        await answer_after_request(received, responder, 200, ((b"content-type", RESPONSE),), received.body[-548:])
        waiting.remove(mine)
        if waiting:
            waiting[-1].set()

    case.gateway.answer = answer
    answered: dict[int, bytes] = {}

    async def client(number: int) -> None:
        answered[number] = (await case.post(requests[number]))[1]

    async with anyio.create_task_group() as group:
        for number in range(len(requests)):
            group.start_soon(client, number)
    for number, request in enumerate(requests):
        expect_same(request[-548:], answered[number], f"answer to client {number + 1} of {len(requests)}")


@check(
    id="relay.content.fresh-answer",
    requirements=["OHT-053"],
    title="An answer is never served from a cache",
)
async def fresh_answer(case: RelayCase) -> None:
    """The same content is posted twice by two clients, and the first answer calls itself cacheable. The second request
    must reach the gateway too and get the second answer."""
    content, answer = case.request(), [case.response(), case.response()]
    cacheable = (b"cache-control", b"public, max-age=3600")
    for turn in range(2):
        case.gateway.answer = answers(200, (*sized(RESPONSE, answer[turn]), cacheable), answer[turn])
        _, received = await case.post(content)
        expect_same(answer[turn], received, f"answer {turn + 1}")
    expect(
        len(case.gateway.requests) == 2,
        expected="two requests at the gateway",
        observed=f"{len(case.gateway.requests)}",
    )


@check(
    id="relay.content.one-after-the-other",
    requirements=["OHT-053"],
    title="Requests sent back to back on one connection stay apart",
)
async def one_after_the_other(case: RelayCase) -> None:
    """A client sends three requests on one connection, the last two in one write. Each that arrives at the gateway must
    be one request with its own content, and the answers must come back in order. The relay may close the connection
    after any answer."""
    requests = [case.request() + bytes([number]) * number for number in range(3)]

    async def answer(received: Received, responder: Responder) -> None:
        await received.end()
        await answer_after_request(received, responder, 200, ((b"content-type", RESPONSE),), received.body[::-1])

    case.gateway.answer = answer
    wire = [case.raw_request(content) for content in requests]
    async with case.raw_client() as client:
        await client.send(wire[0])
        answered = [await client.answer()]
        await client.send(wire[1] + wire[2])
        answered += [await client.answer(), await client.answer()]
    expect(answered[0] is not None, expected="an answer to the first request", observed="none")
    for number, (content, came) in enumerate(zip(requests, answered, strict=True), 1):
        if came is not None:
            expect_same(content[::-1], came.content, f"answer {number} of 3")
    arrived = [request.body for request in case.gateway.requests]
    expect(
        arrived == requests[: len(arrived)],
        expected=f"requests of {', '.join(str(len(content)) for content in requests)} bytes at the gateway, as sent",
        observed=f"requests of {', '.join(str(len(body)) for body in arrived)} bytes",
    )


@check(
    id="relay.content.cut-chunked-request",
    requirements=["OHT-053"],
    title="A request that breaks off is not completed",
)
async def cut_chunked_request(case: RelayCase) -> None:
    """The client's connection breaks in the middle of a chunked request. What has arrived at the gateway must not be
    given a clean end there, for then it would be a different request."""
    async with case.chunked_post() as connection:
        pieces = case.request_pieces()
        for piece in pieces[:2]:
            await connection.send(piece)
        with suppress(Violation):  # a relay that gathers messages has nothing to complete yet
            await (await case.gateway.arrival()).content(1)
        await connection.abort()
    await _not_completed(case)


@check(
    id="relay.content.cut-sized-request",
    requirements=["OHT-053"],
    title="A request shorter than its length is not completed",
)
async def cut_sized_request(case: RelayCase) -> None:
    """The client announces more content than it sends and closes its side. The gateway must not see a complete
    request."""
    content = case.request()
    async with case.connect() as connection:
        length = (b"content-length", str(len(content)).encode())
        await connection.send_head(b"POST", case.target, ((b"content-type", REQUEST), length))
        await connection.send(content[:-100])
        await connection.close_write()
        with suppress(Http1Error):  # nobody has to answer this
            await (await connection.response()).read()
    await _not_completed(case)


@check(
    id="relay.content.closed-request",
    requirements=["OHT-053"],
    title="The end of the client's connection is not the end of its request",
)
async def closed_request(case: RelayCase) -> None:
    """One client closes its side in good order between two chunks, one inside a chunk; one resets its connection
    before the length it announced is reached. The gateway must not see any of these requests complete."""
    start, chunk, *_ = case.request_pieces()
    for last in (b"%x\r\n%b\r\n" % (len(chunk), chunk), b"%x\r\n%b" % (len(chunk), chunk[:-100])):
        async with case.raw_client() as client:
            head = case.raw_request(b"", framing=b"transfer-encoding: chunked", media_type=CHUNKED_REQUEST)
            await client.send(head + b"%x\r\n%b\r\n" % (len(start), start) + last)
            await client.close_write()
            await client.answer()  # nobody has to answer this
        await _not_completed(case)
    content = case.request()
    async with case.connect() as connection:
        length = (b"content-length", str(len(content)).encode())
        await connection.send_head(b"POST", case.target, ((b"content-type", REQUEST), length))
        await connection.send(content[:-100])
        await connection.abort()
    with suppress(Violation):  # a relay that gathers messages has nothing to pass on
        await case.gateway.arrival(len(case.gateway.requests) + 1)
    await _not_completed(case)


@check(
    id="relay.content.gateway-refusal",
    requirements=["OHT-053", "OHT-054"],
    title="A refusal by the gateway stays a refusal",
)
async def gateway_refusal(case: RelayCase) -> None:
    """The gateway refuses with an unencapsulated problem. The relay passes it on as it is, or reports a failure of its
    own; it must not look like an answer."""
    problem = b'{"type":"https://iana.org/assignments/http-problem-types#ohttp-key","title":"no such key"}\n'
    media_type = b"application/problem+json"
    for status in (400, 401, 413, 429, 500, 503):
        case.gateway.answer = answers(status, sized(media_type, problem), problem)
        response, received = await case.post(case.request())
        own = field_value(response.fields, b"content-type") or b"no media type"
        expect(
            response.status >= 400 and not own.startswith(b"message/"),
            expected=f"an unencapsulated failure for the gateway's {status}",
            observed=f"status {response.status} with {own.decode('latin-1')}",
        )
        if response.status == status and own == media_type:
            expect_same(problem, received, f"content of the gateway's {status}")


@check(
    id="relay.content.after-garbage",
    requirements=["OHT-053"],
    title="Thousands of senders of garbage do not stop it",
    costly=True,
)
async def after_garbage(case: RelayCase) -> None:
    """Ten thousand connections, some at a time, or as many as a slow relay takes in eight times the deadline of a wait,
    send what is no HTTP, stop in the middle of a head, or hang up. Afterwards an honest request must pass as before."""
    left = iter(range(10_000))

    async def sender() -> None:
        for number in left:
            async with case.raw_client() as client:
                await client.send(_GARBAGE[number % len(_GARBAGE)])

    with anyio.move_on_after(8 * case.step_s):
        async with anyio.create_task_group() as group:
            for _ in range(_SENDERS):
                group.start_soon(sender)
    content = case.request()
    response, _ = await case.post(content)
    expect(response.status == 200, expected="status 200", observed=f"status {response.status}")
    expect_same(content, case.gateway.requests[-1].body, "request content")


async def _not_completed(case: RelayCase) -> None:
    for arrived in tuple(case.gateway.requests):
        with suppress(Violation):  # left open is not completed either
            await arrived.end()
        expect(
            not arrived.complete,
            expected="no complete request at the gateway",
            observed=f"one with {len(arrived.body)} bytes and a clean end",
        )
