"""Requests and answers: paths, methods, content types, messages, and what is none."""

from __future__ import annotations

from google.protobuf.message import DecodeError

from conformance.peers.nonce_lock import PATHS, NonceLockCase
from conformance.registry import check
from conformance.verdicts import Violation, expect
from openpcc_ref.banking import messages
from openpcc_ref.http1 import Fields, Http1Error, field_value
from openpcc_ref.protobuf.error_pb2 import Error
from openpcc_ref.services.message_service import MEDIA_TYPE

_OVERSIZED = 10 * 2**20
_RANDOM_BODIES = 200


def _good_requests(case: NonceLockCase) -> dict[str, bytes]:
    settle = messages.encode_unlock_request(case.nonce(), "0123456789abcdef")
    return {"/lock": messages.encode_lock_request(case.nonce()), "/consume": settle, "/release": settle}


@check(
    id="nonce-lock.http.answers",
    requirements=["PAY-105"],
    title="Each operation answers 200 with its message",
)
async def answers(case: NonceLockCase) -> None:
    """A nonce is locked and consumed, another locked and released. The content type of the tickets must be
    `application/octet-stream`; the other answers must be empty, and then need none."""
    consumed, released = case.nonce(), case.nonce()
    for nonce, settle in ((consumed, case.ask_consume), (released, case.ask_release)):
        locked = await case.ask_lock(nonce)
        settled = await settle(nonce, locked.read(messages.decode_lock_response, "a lock"))
        for reply, without in ((locked, b"no media type"), (settled, MEDIA_TYPE)):
            media_type = field_value(reply.fields, b"content-type") or without
            expect(
                (reply.status, media_type) == (200, MEDIA_TYPE),
                expected=f"status 200 with {MEDIA_TYPE.decode()}",
                observed=f"status {reply.status} with {media_type.decode('latin-1')}",
            )
        expect(settled.content == b"", expected="no content", observed=f"{len(settled.content)} bytes")


@check(
    id="nonce-lock.http.media-type",
    requirements=["PAY-106"],
    title="Another content type is refused with 400",
)
async def media_type(case: NonceLockCase) -> None:
    """A lock, a consumption and a release are asked for without content type and with others, one of them the right
    one with a parameter. Each must be answered with 400 and have no effect."""
    wrong: tuple[Fields, ...] = (
        (),
        ((b"content-type", b"application/x-protobuf"),),
        ((b"content-type", b"application/octet-stream; charset=utf-8"),),
        ((b"content-type", b"text/plain"),),
        ((b"content-type", b""),),
    )
    held = case.nonce()
    ticket = await case.lock(held)
    for fields in wrong:
        told = fields[0][1].decode() if fields else "none"
        free = case.nonce()
        for path, content in (
            ("/lock", messages.encode_lock_request(free)),
            ("/consume", messages.encode_unlock_request(held, ticket)),
            ("/release", messages.encode_unlock_request(held, ticket)),
        ):
            reply = await case.post(path, content, fields=fields)
            reply.expect_refused(f"{path} with the content type {told!r}", 400)
        await case.lock(free)
        await case.expect_locked(held, f"requests with the content type {told!r}")


@check(
    id="nonce-lock.http.methods",
    requirements=["PAY-105"],
    title="Every path has the one method POST",
)
async def methods(case: NonceLockCase) -> None:
    """Each path is asked with GET, PUT and DELETE. Each must be refused with a status between 400 and 499 and have no
    effect."""
    for path, content in _good_requests(case).items():
        for method in (b"GET", b"PUT", b"DELETE"):
            reply = await case.post(path, content, method=method)
            reply.expect_client_error(f"{method.decode()} {path}")
    nonce = case.nonce()
    await case.post("/lock", messages.encode_lock_request(nonce), method=b"PUT")
    await case.lock(nonce)


@check(
    id="nonce-lock.http.paths",
    requirements=["PAY-105"],
    title="Other paths are not found",
)
async def paths(case: NonceLockCase) -> None:
    """A good lock request is posted to paths that differ from the known ones by case, by a slash, or by a letter.
    Each must be refused with a status between 400 and 499 and lock nothing."""
    nonce = case.nonce()
    content = messages.encode_lock_request(nonce)
    for path in ("/", "/Lock", "/lock/", "/lock/x", "/unlock", "/locks"):
        (await case.post(path, content)).expect_client_error(f"POST {path}")
    await case.lock(nonce)


@check(
    id="nonce-lock.http.malformed",
    requirements=["PAY-105"],
    title="Content that is not the message is refused with 400",
)
async def malformed(case: NonceLockCase) -> None:
    """To each path a good request is sent without its last byte, with a group that never ends, with a length that
    runs over the end, and followed by half a tag."""
    for path, good in _good_requests(case).items():
        for what, content in (
            ("without its last byte", good[:-1]),
            ("with a group that never ends", b"\x0b" + good),
            ("with a length beyond its end", b"\x0a\xff\xff\xff\x7f" + good),
            ("followed by half a tag", good + b"\x80"),
        ):
            (await case.post(path, content)).expect_refused(f"{path} {what}", 400)


@check(
    id="nonce-lock.http.random",
    requirements=["PAY-105"],
    title="Random content is refused with 400",
)
async def random(case: NonceLockCase) -> None:
    """200 requests with up to 100 random bytes go to all paths. Each must be answered with 400."""
    for number in range(_RANDOM_BODIES):
        content = case.random.randbytes(case.random.randrange(1, 100))
        path = PATHS[number % len(PATHS)]
        (await case.post(path, content)).expect_refused(f"{path} with random bytes", 400)


@check(
    id="nonce-lock.http.oversized",
    requirements=["PAY-207"],
    title="Ten megabytes lock nothing",
)
async def oversized(case: NonceLockCase) -> None:
    """A good lock request is sent with an unknown field of ten megabytes behind it. It must be refused with a status
    between 400 and 499, or the connection be closed; the nonce must be lockable afterwards."""
    nonce = case.nonce()
    padding = b"\x7a\x80\x80\x80\x05" + bytes(_OVERSIZED)
    try:
        reply = await case.post("/lock", messages.encode_lock_request(nonce) + padding)
    except Http1Error:
        pass
    else:
        reply.expect_client_error("a lock request of ten megabytes")
    await case.lock(nonce)


@check(
    id="nonce-lock.http.error-message",
    requirements=["PAY-105"],
    title="A refusal carries an Error message",
)
async def error_message(case: NonceLockCase) -> None:
    """A nonce is locked twice, and consumed and locked. The refusals must be serialized `Error` messages under
    `application/octet-stream`, each with a text."""
    nonce = case.nonce()
    ticket = await case.lock(nonce)
    locked = await case.ask_lock(nonce)
    await case.consume(nonce, ticket)
    for reply in (locked, await case.ask_lock(nonce)):
        reply.expect_refused("a nonce that is locked or consumed", 409, 410)
        media_type = field_value(reply.fields, b"content-type") or b"no media type"
        expect(media_type == MEDIA_TYPE, expected=MEDIA_TYPE.decode(), observed=media_type.decode("latin-1"))
        expect(_error_text(reply.content) != "", expected="an Error message with a text", observed="one without")


def _error_text(content: bytes) -> str:
    error = Error()
    try:
        error.ParseFromString(content)
    except DecodeError as wrong:
        raise Violation("an Error message", f"content that cannot be read: {wrong}") from wrong
    return error.Message
