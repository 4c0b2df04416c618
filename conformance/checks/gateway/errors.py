"""How a gateway says no: in clear before decapsulation, inside an encapsulated response after it."""

from __future__ import annotations

import json
from dataclasses import replace

from conformance.peers.envelope import Outer, expect_encapsulated, open_outer
from conformance.peers.gateway import PING, ROUTER, GatewayWorld, inner
from conformance.registry import check
from conformance.verdicts import expect
from openpcc_ref.binary_http import Response, ResponseHead, encode_request, encode_response
from openpcc_ref.oblivious_http import Form

_PLAINTEXT = encode_request(PING, pad_to=532)
_KEY_PROBLEM = "https://iana.org/assignments/http-problem-types#ohttp-key"


def _expect_problem(outer: Outer, problem: str, what: str) -> None:
    try:
        document = json.loads(outer.content)
    except ValueError:
        document = None
    stated = document.get("type") if isinstance(document, dict) else None
    media_type = outer.media_type.partition(b";")[0].strip().lower()
    expect(
        outer.status == 400 and media_type == b"application/problem+json" and stated == problem,
        expected=f"status 400, application/problem+json and the type {problem} for {what}",
        observed=f"{outer}, type {stated!r}",
    )


@check(
    id="gateway.errors.key-problem",
    requirements=["OHT-081"],
    title="Refusals of keys and ciphertexts are one and the same problem document",
)
async def key_problem(world: GatewayWorld) -> None:
    """Unknown identifier, altered ciphertext, cut enc, expired key: nothing tells the sender which it was."""
    envelope = world.envelope(Form.UNCHUNKED)
    content = envelope.whole(_PLAINTEXT)
    unknown = world.envelope(Form.UNCHUNKED, replace(world.key, key_id=world.keys.unused_id()))
    refused = {
        "an unknown key identifier": unknown.whole(_PLAINTEXT),
        "an altered ciphertext": content[:-1] + bytes([content[-1] ^ 1]),
        "a cut encapsulated key": envelope.start[:-1],
    }
    for key in (*world.keys.expired, *world.keys.future):
        refused[f"inactive key {key.key_id}"] = world.envelope(Form.UNCHUNKED, key).whole(_PLAINTEXT)
    answers = set()
    for what, altered in refused.items():
        outer = await world.post(altered, Form.UNCHUNKED)
        _expect_problem(outer, _KEY_PROBLEM, what)
        answers.add(outer.content)
    expect(len(answers) == 1, expected="the same document for all of them", observed=f"{len(answers)} documents")


@check(
    id="gateway.errors.blank-problem",
    requirements=["OHT-082"],
    title="Content that is too short and unknown media types are an about:blank problem",
)
async def blank_problem(world: GatewayWorld) -> None:
    """Empty content, three bytes of content, and another media type."""
    for content in (b"", world.envelope(Form.UNCHUNKED).start[:3]):
        outer = await world.post(content, Form.UNCHUNKED)
        _expect_problem(outer, "about:blank", f"{len(content)} bytes of content")
    outer = await world.post(world.envelope(Form.UNCHUNKED).whole(_PLAINTEXT), b"application/octet-stream")
    _expect_problem(outer, "about:blank", "another media type")


async def _expect_inner_error(world: GatewayWorld, plaintext: bytes, form: Form, what: str) -> None:
    envelope = world.envelope(form)
    outer = await world.post(envelope.sealed(plaintext), form)
    if expect_encapsulated(outer, deployed="OHT-D05"):
        reply = open_outer(outer, envelope.context)
        expect(400 <= reply.response.head.status <= 599, expected=f"an inner error for {what}", observed=str(reply))
    await world.nothing_forwarded(what)


@check(
    id="gateway.errors.host-encapsulated",
    requirements=["OHT-064", "OHT-065"],
    title="A forbidden host is refused inside an encapsulated response",
)
async def host_encapsulated(world: GatewayWorld) -> None:
    """The relay must not learn that a client asked for something forbidden."""
    for form in Form:
        request = inner(b"GET", b"example.com", b"/ping")
        plaintext = encode_request(request, indeterminate=form is Form.CHUNKED, pad_to=532)
        await _expect_inner_error(world, plaintext, form, "a forbidden host")


@check(
    id="gateway.errors.message-encapsulated",
    requirements=["OHT-064", "OHT-037"],
    title="Content that is no Binary HTTP request is refused inside an encapsulated response",
)
async def message_encapsulated(world: GatewayWorld) -> None:
    """A response, an unknown framing indicator, a truncated head and plain text come in honest envelopes."""
    for form in Form:
        await world.control(form)
        for plaintext, what in (
            (encode_response(Response(ResponseHead(200)), pad_to=532), "a response"),
            (b"\x04" + _PLAINTEXT[1:], "framing indicator 4"),
            (_PLAINTEXT[:20], "a truncated head"),
            (b"GET /ping HTTP/1.1\r\n\r\n", "plain text"),
        ):
            await _expect_inner_error(world, plaintext, form, what)


@check(
    id="gateway.errors.path-encapsulated",
    requirements=["OHT-064", "OHT-066", "RTR-004"],
    title="A forbidden path is refused inside an encapsulated response",
)
async def path_encapsulated(world: GatewayWorld) -> None:
    """The inner status is 404 or 405, the outer one 200."""
    for form in Form:
        await world.control(form)
        request = inner(b"POST", ROUTER, b"/node-events", b"content")
        plaintext = encode_request(request, indeterminate=form is Form.CHUNKED, pad_to=532)
        reply = await world.deliver(plaintext, form)
        expect(
            reply.response.head.status in (404, 405),
            expected="inner status 404 or 405 for a forbidden path",
            observed=str(reply),
        )
        await world.nothing_forwarded("a forbidden path")
