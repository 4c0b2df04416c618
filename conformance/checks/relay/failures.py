"""When the gateway or the way to it fails, the client learns that it failed, and nothing is tried again."""

from __future__ import annotations

from contextlib import suppress

from conformance.peers.relay import CHUNKED_RESPONSE, INCREMENTAL, RESPONSE, RelayCase, answers, sized
from conformance.peers.scripted import Answer, Received
from conformance.registry import check
from conformance.verdicts import Violation, expect
from openpcc_ref.http1 import Http1Error, IncomingResponse, Responder, field_value


@check(
    id="relay.failures.unreachable",
    requirements=["OHT-059"],
    title="An unreachable gateway is a 5xx",
)
async def unreachable(case: RelayCase) -> None:
    """The gateway refuses connections. The client must get an unencapsulated 5xx, and once the gateway is back an
    answer from it."""
    async with case.gateway.unreachable():
        response, _ = await case.post(case.request())
    _expect_5xx(response, "a gateway that refuses connections")
    response, _ = await case.post(case.request())
    expect(response.status == 200, expected="status 200 once it is back", observed=f"status {response.status}")


@check(
    id="relay.failures.hang-up",
    requirements=["OHT-059", "OHT-049"],
    title="A gateway that hangs up is a failure, and is asked once",
)
async def hang_up(case: RelayCase) -> None:
    """The gateway takes the whole request and resets the connection, then another and closes it in good order. Whether
    it has acted on a request nobody knows, so it must not be sent again. The client must get an unencapsulated 5xx or
    see the exchange break."""
    for number, hang_up in enumerate((_take_and_reset, _take_and_close), 1):
        case.gateway.answer = hang_up
        with suppress(Http1Error):  # a broken exchange is a failure that shows, too
            response, _ = await case.post(case.request())
            _expect_5xx(response, "a gateway that hangs up")
        _expect_asked(case, number, "one for each, when it hangs up")


@check(
    id="relay.failures.hang-up-on-reuse",
    requirements=["OHT-049"],
    title="A request is not repeated when a kept connection breaks",
)
async def hang_up_on_reuse(case: RelayCase) -> None:
    """The first exchange succeeds and may leave connections open on both sides. On the second the gateway takes the
    whole request and resets the connection, or closes it in good order. Libraries that keep connections like to repeat
    just then; the gateway must be asked once."""
    for hang_up in (_take_and_reset, _take_and_close):
        case.gateway.reset()
        async with case.raw_client() as client:
            await client.send(case.raw_request(case.request()))
            await client.answer()
            case.gateway.answer = hang_up
            await client.send(case.raw_request(case.request()))
            await client.answer()
        if len(case.gateway.requests) == 1:  # the relay keeps no connections of clients
            with suppress(Http1Error):
                await case.post(case.request())
        _expect_asked(case, 2, "one that succeeds and one that it breaks")


@check(
    id="relay.failures.no-answer-is-final",
    requirements=["OHT-049"],
    title="No status of the gateway makes it repeat a request",
)
async def retryable_status(case: RelayCase) -> None:
    """The gateway answers with statuses that invite to try again: 408, 425, 429, 500, 502, 503, 504, with
    `Retry-After: 0`. They are for the client; each request must reach the gateway once."""
    for number, status in enumerate((408, 425, 429, 500, 502, 503, 504), 1):
        case.gateway.answer = answers(status, ((b"retry-after", b"0"), (b"content-length", b"0")), b"")
        response, _ = await case.post(case.request())
        _expect_asked(case, number, f"one for each, the last answered with {status}")
        expect(response.status >= 400, expected=f"a failure for {status}", observed=f"status {response.status}")


@check(
    id="relay.failures.garbage",
    requirements=["OHT-059"],
    title="A gateway that speaks no HTTP is a failure",
)
async def garbage(case: RelayCase) -> None:
    """The gateway's port answers with something that is no HTTP response. The client must get an unencapsulated 5xx or
    see the exchange break."""
    case.gateway.answer = _take_and_babble
    with suppress(Http1Error):
        response, _ = await case.post(case.request())
        _expect_5xx(response, "a gateway that speaks no HTTP")


@check(
    id="relay.failures.cut-chunked-response",
    requirements=["OHT-060"],
    title="A chunked response that breaks off has no clean end",
)
async def cut_chunked_response(case: RelayCase) -> None:
    """The gateway sends some pieces of a chunked response and resets the connection. To the client the response must
    break off too: a clean end would say that this was all."""
    pieces = case.response_pieces()

    async def answer(received: Received, responder: Responder) -> None:
        await received.end()
        await responder.send_head(200, ((b"content-type", CHUNKED_RESPONSE), *INCREMENTAL))
        await responder.send(pieces[0])
        await responder.send(pieces[1])
        await responder.abort()

    case.gateway.answer = answer
    await _expect_broken_off(case)


@check(
    id="relay.failures.closed-chunked-response",
    requirements=["OHT-060"],
    title="A chunked response closed before its last chunk has no clean end",
)
async def closed_chunked_response(case: RelayCase) -> None:
    """The gateway closes its connection in good order, but before the last chunk. A relay that takes the end of the
    connection for the end of the message would end it cleanly; it must break off."""
    first = case.response_pieces()[0]

    async def answer(received: Received, responder: Responder) -> None:
        await received.end()
        head = b"HTTP/1.1 200 OK\r\ncontent-type: " + CHUNKED_RESPONSE + b"\r\ntransfer-encoding: chunked\r\n\r\n"
        await responder.send_raw(head + b"%x\r\n%b\r\n" % (len(first), first))

    case.gateway.answer = answer
    await _expect_broken_off(case)


@check(
    id="relay.failures.cut-sized-response",
    requirements=["OHT-060"],
    title="A response shorter than its length has no clean end",
)
async def cut_sized_response(case: RelayCase) -> None:
    """The gateway announces more content than it sends and closes. The client must not get a message that claims to be
    whole."""
    content = case.response()

    async def answer(received: Received, responder: Responder) -> None:
        await received.end()
        await responder.send_head(200, sized(RESPONSE, content))
        await responder.send(content[:-100])
        await responder.abort()

    case.gateway.answer = answer
    await _expect_broken_off(case)


@check(
    id="relay.failures.closed-sized-response",
    requirements=["OHT-060"],
    title="A response closed before its length is reached has no clean end",
)
async def closed_sized_response(case: RelayCase) -> None:
    """As before, but the gateway closes its connection in good order, which some libraries take for the end."""
    content = case.response()
    case.gateway.answer = _closing(b"content-length: %d" % len(content), content[:-100])
    await _expect_broken_off(case)


@check(
    id="relay.failures.invalid-chunked-response",
    requirements=["OHT-060"],
    title="A chunked response that becomes invalid has no clean end",
)
async def invalid_chunked_response(case: RelayCase) -> None:
    """Where the next chunk should begin, the gateway sends what is none. Nobody knows what was to follow, so the
    response must break off for the client too."""
    first = case.response_pieces()[0]
    case.gateway.answer = _closing(b"transfer-encoding: chunked", b"%x\r\n%b\r\nno chunk\r\n" % (len(first), first))
    await _expect_broken_off(case)


@check(
    id="relay.failures.broken-answer-is-final",
    requirements=["OHT-049"],
    title="A request is not repeated when its answer is broken",
)
async def broken_answer_is_final(case: RelayCase) -> None:
    """The gateway takes each request and answers with garbage, with a response that is cut, reset, or ends before its
    length. It may have acted on every one, so each must arrive once."""
    content = case.response()
    length, chunked = b"content-length: %d" % len(content), b"transfer-encoding: chunked"
    broken = {
        "garbage": _take_and_babble,
        "a response that ends before its length": _closing(length, content[:-100]),
        "a response that ends before its last chunk": _closing(chunked, b"10\r\n" + bytes(16) + b"\r\n"),
        "a response that is reset": _resetting(length, content[:-100]),
        "a head that is cut": _closing(b"content-", b""),
    }
    for number, (what, answer) in enumerate(broken.items(), 1):
        case.gateway.answer = answer
        with suppress(Http1Error):
            await case.post(case.request())
        _expect_asked(case, number, f"one for each, the last answered with {what}")


def _closing(line: bytes, rest: bytes) -> Answer:
    """Return an answer of status 200 with one field line and what is behind the head, closed in good order."""

    async def answer(received: Received, responder: Responder) -> None:
        await received.end()
        end = b"\r\n\r\n" if rest else b""
        await responder.send_raw(b"HTTP/1.1 200 OK\r\ncontent-type: " + CHUNKED_RESPONSE + b"\r\n" + line + end + rest)

    return answer


def _resetting(line: bytes, rest: bytes) -> Answer:
    """Return the same answer, ended by a reset of the connection."""
    closing = _closing(line, rest)

    async def answer(received: Received, responder: Responder) -> None:
        await closing(received, responder)
        await responder.abort()

    return answer


async def _take_and_babble(received: Received, responder: Responder) -> None:
    await received.end()
    await responder.send_raw(b"SSH-2.0-gateway\r\n\r\n" + bytes(64))


async def _take_and_close(received: Received, responder: Responder) -> None:
    await received.end()
    await responder.send_raw(b"")


async def _take_and_reset(received: Received, responder: Responder) -> None:
    await received.end()
    await responder.abort()


def _expect_5xx(response: IncomingResponse, what: str) -> None:
    media_type = (field_value(response.fields, b"content-type") or b"no media type").decode("latin-1")
    expect(
        500 <= response.status <= 599 and not media_type.startswith("message/"),
        expected=f"an unencapsulated 5xx for {what}",
        observed=f"status {response.status} with {media_type}",
    )


def _expect_asked(case: RelayCase, times: int, what: str) -> None:
    asked = len(case.gateway.requests)
    expect(asked == times, expected=f"{times} requests at the gateway ({what})", observed=f"{asked} requests there")


async def _expect_broken_off(case: RelayCase) -> None:
    """Require that the client sees the response break off, or a failure instead of it."""
    try:
        response, content = await case.post(case.request())
    except Http1Error:
        return
    if 500 <= response.status <= 599:
        return
    raise Violation(
        "a response that breaks off as the gateway's does",
        f"status {response.status} with {len(content)} bytes and a clean end",
    )
