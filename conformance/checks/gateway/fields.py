"""Which fields cross a gateway: inner ones without hop-by-hop fields, and nothing of the outer exchange."""

from __future__ import annotations

from base64 import b64encode
from contextlib import suppress

from conformance.peers.envelope import open_outer, raw_request
from conformance.peers.gateway import ROUTER, GatewayWorld, compute, inner
from conformance.peers.scripted import Received, answer_after_request
from conformance.registry import check
from conformance.verdicts import Violation, expect
from openpcc_ref.binary_http import encode_request
from openpcc_ref.http1 import Fields, Http1Error, Responder, field_value, field_values
from openpcc_ref.oblivious_http import Form

_FORWARDING = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip", "via")
_IDENTIFIERS = ("traceparent", "tracestate", "baggage", "x-request-id", "x-correlation-id", "b3", "server-timing")
_CARRYING = frozenset(
    {b"content-type", b"content-length", b"transfer-encoding", b"date", b"connection", b"keep-alive"}
    | {b"incremental", b"cache-control"}
)
"""What carries a response (RFC 9458 section 5, chunked OHTTP section 3), or concerns the connection."""

_OF_ITSELF = frozenset({"user-agent", "accept", "accept-encoding"})
"""By what a gateway may say which software it is."""


def _names(fields: Fields) -> list[str]:
    return sorted({name.decode("latin-1").lower() for name, _ in fields})


async def _forwarded(world: GatewayWorld, fields: Fields, form: Form = Form.UNCHUNKED) -> Received:
    """Send a compute request with these inner fields and return what the router got."""
    seen = len(world.router.requests)
    reply = await world.ask(compute(b"content", fields), form)
    expect(reply.response.head.status == 200, expected="an answer to a compute request", observed=str(reply))
    received = await world.router.arrival(seen + 1)
    expect(received.body == b"content", expected="the content at the router", observed=f"{len(received.body)} bytes")
    return received


@check(
    id="gateway.fields.inner-forwarded",
    requirements=["OHT-067", "MSG-021"],
    title="End-to-end fields of the inner request reach the service",
)
async def inner_forwarded(world: GatewayWorld) -> None:
    """Credit, routing information and fields that occur twice; the order of the two values is kept. Where lines are
    combined, semicolons part cookies, and commas all else."""
    fields: Fields = (
        (b"x-credit", b"credit value"),
        (b"x-routing-info", b"routing value"),
        (b"x-list", b"one"),
        (b"x-list", b"two"),
        (b"cookie", b"a=1"),
        (b"cookie", b"b=2"),
    )
    for form in Form:
        received = await _forwarded(world, fields, form)
        for name, expected in (
            (b"content-type", [b"application/confsec-req"]),
            (b"x-credit", [b"credit value"]),
            (b"x-routing-info", [b"routing value"]),
            (b"x-list", [b"one", b"two"]),
            (b"cookie", [b"a=1", b"b=2"]),
        ):
            comma = b";" if name == b"cookie" else b","
            values = [part.strip() for value in field_values(received.fields, name) for part in value.split(comma)]
            what = f"{name.decode()}: {b', '.join(expected).decode()}"
            expect(values == expected, expected=what, observed=f"{b', '.join(values).decode('latin-1')!r}")


@check(
    id="gateway.fields.outer-kept-out",
    requirements=["OHT-067", "PRIV-015"],
    title="No outer field reaches the service",
)
async def outer_kept_out(world: GatewayWorld) -> None:
    """The outer request has credentials, addresses, identifiers, and namesakes of inner fields, each marked."""
    mark = b"outer-mark"
    names = ("cookie", "authorization", "user-agent", "date", "x-credit", "x-custom", *_FORWARDING, *_IDENTIFIERS)
    outer: Fields = tuple((name.encode(), mark) for name in names)
    for form in Form:
        world.router.reset()
        envelope = world.envelope(form)
        plaintext = encode_request(compute(b"content"), indeterminate=form is Form.CHUNKED, pad_to=532)
        open_outer(await world.post(envelope.sealed(plaintext), form, fields=outer), envelope.context)
        received = await world.router.arrival()
        leaked = _names(tuple(line for line in received.fields if mark in line[1]))
        expect(not leaked, expected="no outer field at the router", observed=", ".join(leaked))


@check(
    id="gateway.fields.none-added",
    requirements=["OHT-068", "PRIV-015"],
    title="No forwarding field and no identifier is added",
)
async def none_added(world: GatewayWorld) -> None:
    """What the router gets must not say where the request came from, nor name it."""
    for form in Form:
        received = await _forwarded(world, (), form)
        added = [name for name in (*_FORWARDING, *_IDENTIFIERS) if field_value(received.fields, name.encode())]
        expect(not added, expected="no forwarding field and no identifier", observed=", ".join(added))


@check(
    id="gateway.fields.forwarding-not-extended",
    requirements=["OHT-068"],
    title="A forwarding field of the client does not grow",
)
async def forwarding_not_extended(world: GatewayWorld) -> None:
    """The inner request has X-Forwarded-For, Forwarded and Via; they are dropped or kept, but nothing is appended."""
    fields: Fields = (
        (b"x-forwarded-for", b"192.0.2.1"),
        (b"forwarded", b"for=192.0.2.1"),
        (b"via", b"1.1 client.example"),
    )
    received = await _forwarded(world, fields)
    for name, value in fields:
        values = field_values(received.fields, name)
        expect(
            values in ((), (value,)),
            expected=f"{name.decode()} dropped or unchanged",
            observed=b", ".join(values).decode("latin-1"),
        )


@check(
    id="gateway.fields.hop-by-hop",
    requirements=["OHT-068"],
    title="Hop-by-hop fields of the inner request are removed",
)
async def hop_by_hop(world: GatewayWorld) -> None:
    """Connection with a field that it names, and the other fields that concern one connection only."""
    mark = b"inner-mark"
    names = (b"keep-alive", b"proxy-connection", b"proxy-authorization", b"proxy-authenticate", b"te", b"upgrade")
    fields: Fields = (
        (b"connection", b"x-hop, x-other-hop"),
        (b"x-hop", mark),
        (b"x-other-hop", mark),
        *((name, mark) for name in names),
    )
    for form in Form:
        received = await _forwarded(world, (*fields, (b"x-end-to-end", b"stays")), form)
        kept = _names(tuple(line for line in received.fields if mark in line[1] or b"x-hop" in line[1]))
        expect(not kept, expected="no hop-by-hop field at the router", observed=", ".join(kept))
        stays = field_values(received.fields, b"x-end-to-end")
        expect(stays == (b"stays",), expected="x-end-to-end at the router", observed=str(_names(received.fields)))


_SMUGGLED = b"POST /node-events HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n"


async def _nothing_smuggled(world: GatewayWorld, content: bytes, fields: Fields, what: str) -> None:
    """Send a message that frames its content twice; behind the gateway there is one request, or none."""
    await world.control(Form.UNCHUNKED)
    with suppress(Http1Error, Violation):  # whatever comes back: what counts is what went on
        await world.status_of(raw_request(b"POST", ROUTER, b"/", content, fields), Form.UNCHUNKED)
    await world.settled()
    targets = [received.target for received in world.forwarded()]
    seen = [f"a request to {target.decode('latin-1')}" for target in targets] + world.malformed()
    expect(
        seen in ([], ["a request to /"]),
        expected=f"for {what}, one request to / or none",
        observed=", ".join(seen),
    )


@check(
    id="gateway.fields.transfer-encoding",
    requirements=["OHT-068", "OHT-066"],
    title="An inner Transfer-Encoding does not frame the request behind the gateway",
)
async def transfer_encoding(world: GatewayWorld) -> None:
    """The content looks like the end of a chunked body followed by a request to a path that is not allowed."""
    for value in (b"chunked", b"identity", b"gzip, chunked"):
        what = f"transfer-encoding: {value.decode()}"
        await _nothing_smuggled(world, b"0\r\n\r\n" + _SMUGGLED, ((b"transfer-encoding", value),), what)


@check(
    id="gateway.fields.content-length",
    requirements=["OHT-066"],
    title="An inner Content-Length that is wrong does not frame the request behind the gateway",
)
async def content_length(world: GatewayWorld) -> None:
    """It is smaller, larger, no number, signed, or there are two; the content is a request of its own."""
    size = str(len(_SMUGGLED)).encode()
    for values in ([b"0"], [b"5"], [b"9999"], [b"+5"], [b"-1"], [b"5, 6"], [b"0", size], [size, b"0"]):
        fields = tuple((b"content-length", value) for value in values)
        await _nothing_smuggled(world, _SMUGGLED, fields, f"content-length: {b' and '.join(values).decode()}")


@check(
    id="gateway.fields.expect",
    requirements=["OHT-048"],
    title="An inner Expect: 100-continue is answered with an error",
)
async def expect_continue(world: GatewayWorld) -> None:
    """An unchunked request cannot be continued: it is whole or not there. Expectations are compared without case."""
    for value in (b"100-continue", b"100-Continue"):
        await world.control(Form.UNCHUNKED)
        reply = await world.ask(compute(b"content", ((b"expect", value),)), Form.UNCHUNKED)
        status = reply.response.head.status
        deployed = "OHT-D12" if status == 200 and world.router.requests else None
        what = f"Expect: {value.decode()}"
        if expect(400 <= status <= 599, expected=f"an inner error for {what}", observed=str(reply), deployed=deployed):
            await world.nothing_forwarded(what)


@check(
    id="gateway.fields.outer-response",
    requirements=["OHT-069"],
    title="The outer response has status 200, and its fields tell nothing of the encapsulated one",
)
async def outer_response(world: GatewayWorld) -> None:
    """The router answers 404 with cookies, a server name and fields of its own, then 200 with none of these. Outside,
    the two must look the same but for what carries them; what the gateway says of itself is the same each time."""
    telling = ((b"set-cookie", b"a=b"), (b"server", b"router"), (b"x-node-id", b"17"), (b"retry-after", b"17"))
    for form in Form:
        seen = [await _outer_fields(world, form, status, fields) for status, fields in ((404, telling), (200, ()))]
        told = _names(tuple(seen[0] ^ seen[1]))
        expect(not told, expected="outer fields that do not depend on the answer", observed=", ".join(told))
        marks = [name for name in _names(tuple(seen[0])) if name in ("set-cookie", *_IDENTIFIERS)]
        expect(not marks, expected="no outer field that marks a client or an exchange", observed=", ".join(marks))


async def _outer_fields(world: GatewayWorld, form: Form, status: int, fields: Fields) -> set[tuple[bytes, bytes]]:
    """Let the router answer so; return the outer fields besides those that carry a response."""

    async def answer(received: Received, responder: Responder) -> None:
        await answer_after_request(received, responder, status, fields, b"no such thing")

    world.router.answer = answer
    envelope = world.envelope(form)
    plaintext = encode_request(compute(b"content"), indeterminate=form is Form.CHUNKED, pad_to=532)
    outer = await world.post(envelope.sealed(plaintext), form)
    reply = open_outer(outer, envelope.context)
    expect(reply.response.head.status == status, expected=f"the router's {status} inside", observed=str(reply))
    return {line for line in outer.fields if line[0] not in _CARRYING}


@check(
    id="gateway.fields.only-inner",
    requirements=["PRIV-005"],
    title="The service gets the fields of the inner request and what frames it, and learns nothing by others",
)
async def only_inner(world: GatewayWorld) -> None:
    """Names that the client did not send would tell about the exchange or the relay. Besides host and framing, the
    gateway may only say what software it is and takes, the same each time."""
    known = {"content-type", "x-credit", "host", "content-length", "transfer-encoding", "connection"}
    own = set()
    for form in (*Form, *Form):
        received = await _forwarded(world, ((b"x-credit", b"credit value"),), form)
        extra = tuple(line for line in received.fields if line[0].decode("latin-1") not in known)
        unknown = [name for name in _names(extra) if name not in _OF_ITSELF]
        expect(not unknown, expected="no further field at the service", observed=", ".join(unknown))
        own.add(frozenset(extra))
    expect(len(own) == 1, expected="the same of the gateway itself each time", observed=f"{len(own)} variants")


@check(
    id="gateway.fields.nothing-in-clear",
    requirements=["PRIV-001"],
    title="Nothing that was sealed shows in the outer response, in any encoding",
)
async def nothing_in_clear(world: GatewayWorld) -> None:
    """Marks stand in the content and fields of request and response, then in a forbidden path and host."""
    marks = {what: world.junk(what).randbytes(12).hex().encode() for what in ("field", "content", "answer", "place")}

    async def answer(received: Received, responder: Responder) -> None:
        fields = ((b"x-mark", marks["answer"]), (b"location", b"/" + marks["answer"]))
        await answer_after_request(received, responder, 302, fields, marks["answer"])

    forbidden = inner(b"POST", ROUTER, b"/" + marks["place"])
    foreign = inner(b"POST", marks["place"] + b".example", b"/")
    for request in (compute(marks["content"], ((b"x-credit", marks["field"]),)), forbidden, foreign):
        for form in Form:
            world.router.answer = answer
            plaintext = encode_request(request, indeterminate=form is Form.CHUNKED, pad_to=532)
            outer = await world.post(world.envelope(form).sealed(plaintext), form)
            seen = b"\r\n".join([*(b": ".join(line) for line in outer.fields), outer.content])
            shown = [what for what, mark in marks.items() if any(code in seen for code in _encodings(mark))]
            expect(not shown, expected="no mark in the outer response", observed=f"the mark of {', '.join(shown)}")


def _encodings(mark: bytes) -> list[bytes]:
    """Return the mark as it is, reversed case, in hexadecimal and in base64 at each of its three offsets."""
    base64 = [b64encode(bytes(shift) + mark)[shift + 1 : -4] for shift in range(3)]
    return [mark, mark.upper(), mark.hex().encode(), *base64]
