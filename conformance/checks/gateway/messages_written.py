"""Binary HTTP that a gateway writes: the responses of services, made anew."""

from __future__ import annotations

from conformance.peers.gateway import GatewayWorld, compute
from conformance.peers.scripted import Received, answer_after_request
from conformance.registry import check
from conformance.verdicts import expect
from openpcc_ref.binary_http import field_values
from openpcc_ref.http1 import Fields, Responder
from openpcc_ref.oblivious_http import Form

_CONTENT = b"content of a message"


@check(
    id="gateway.messages.lower-case",
    requirements=["MSG-012"],
    title="Field names of responses are in lower case",
)
async def lower_case(world: GatewayWorld) -> None:
    """The router writes them in mixed case; HTTP/1.1 allows it, Binary HTTP does not."""

    async def answer(received: Received, responder: Responder) -> None:
        await received.end()
        await responder.send_raw(
            b"HTTP/1.1 200 OK\r\nX-Mixed-Case: value\r\nContent-Type: text/plain\r\nContent-Length: 7\r\n\r\ncontent"
        )

    for form in Form:
        world.router.answer = answer
        reply = await world.ask(compute(_CONTENT), form)
        written = b"".join(reply.chunks)
        expect(
            b"x-mixed-case" in written and b"X-Mixed-Case" not in written,
            expected="the name x-mixed-case in the Binary HTTP response",
            observed="another spelling",
        )


@check(
    id="gateway.messages.response-fields",
    requirements=["MSG-024", "MSG-014"],
    title="Responses carry no fields of the connection and keep the order of the others",
)
async def response_fields(world: GatewayWorld) -> None:
    """The router sends connection fields, and one field twice."""

    async def answer(received: Received, responder: Responder) -> None:
        await received.end()
        fields: Fields = (
            (b"connection", b"x-hop"),
            (b"x-hop", b"1"),
            (b"keep-alive", b"timeout=5"),
            (b"x-list", b"one"),
            (b"x-list", b"two"),
            (b"transfer-encoding", b"chunked"),
        )
        await responder.send_head(200, fields)
        await responder.send(b"content")
        await responder.finish()

    for form in Form:
        world.router.answer = answer
        reply = await world.ask(compute(_CONTENT), form)
        fields = reply.response.head.fields
        hop = (b"connection", b"x-hop", b"keep-alive", b"transfer-encoding", b"proxy-connection", b"upgrade")
        kept = [name.decode() for name, _ in fields if name in hop]
        expect(not kept, expected="no field of the connection inside", observed=", ".join(kept))
        values = [part.strip() for value in field_values(fields, b"x-list") for part in value.split(b",")]
        expect(values == [b"one", b"two"], expected="x-list: one, two", observed=str(values))


@check(
    id="gateway.messages.response-length",
    requirements=["MSG-025"],
    title="A response of known length states it",
)
async def response_length(world: GatewayWorld) -> None:
    """The router states the length of its content, which is 0 once."""
    for content in (b"", _CONTENT):

        async def answer(received: Received, responder: Responder, content: bytes = content) -> None:
            await answer_after_request(received, responder, 200, (), content)

        world.router.answer = answer
        reply = await world.ask(compute(_CONTENT), Form.UNCHUNKED)
        values = field_values(reply.response.head.fields, b"content-length")
        known = reply.chunks[0][:1] == b"\x01"
        expected = (str(len(content)).encode(),)
        what = f"content-length: {len(content)} inside"
        expect(not known or values == expected, expected=what, observed=f"{list(values) or 'no such field'}")
