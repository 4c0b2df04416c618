"""Binary HTTP inside the envelope: what a gateway has to understand, and what it must refuse."""

from __future__ import annotations

from conformance.peers.envelope import raw_request
from conformance.peers.gateway import ROUTER, Deployed, GatewayWorld
from conformance.peers.scripted import Received
from conformance.registry import check
from conformance.verdicts import expect
from openpcc_ref.binary_http import Request, RequestHead, encode_request, field_value, field_values
from openpcc_ref.http1 import Fields
from openpcc_ref.oblivious_http import Form
from openpcc_ref.varint import encode_varint

_CONTENT = b"content of a message"


async def _understood(
    world: GatewayWorld, plaintext: bytes, what: str, content: bytes = _CONTENT, form: Form = Form.UNCHUNKED
) -> Received:
    """Send a message that is valid; the router must get it, whole."""
    seen = len(world.router.requests)
    reply = await world.deliver(plaintext, form)
    expect(reply.response.head.status == 200, expected=f"an answer to {what}", observed=str(reply))
    received = await world.router.arrival(seen + 1)
    expect(
        received.complete and received.body == content,
        expected=f"the content of {what} at the router",
        observed=f"{len(received.body)} of {len(content)} bytes",
    )
    return received


async def _refused(world: GatewayWorld, plaintext: bytes, what: str, *, deployed: Deployed | None = None) -> None:
    """Send a message that is invalid, in both forms; nothing may be completed behind the gateway."""
    for form in Form:
        await _refused_in(world, form, plaintext, what, deployed)


async def _refused_in(
    world: GatewayWorld, form: Form, plaintext: bytes, what: str, deployed: Deployed | None = None
) -> None:
    await world.control(form)
    envelope = world.envelope(form)
    await world.never_completed(envelope.sealed(plaintext), form, envelope.context, what, deployed=deployed)


async def _fields_refused(
    world: GatewayWorld, fields: Fields, what: str, *, trailers: Fields = (), deployed: Deployed | None = None
) -> None:
    """Send invalid fields in each of the two framings, which have sections of their own."""
    for form in Form:
        indeterminate = form is Form.CHUNKED
        plaintext = _with_fields(fields, trailers, indeterminate=indeterminate)
        framing = "indeterminate" if indeterminate else "known"
        await _refused_in(world, form, plaintext, f"{what} in a message of {framing} length", deployed)


def _with_fields(fields: Fields, trailers: Fields = (), *, indeterminate: bool = False) -> bytes:
    return raw_request(b"POST", ROUTER, b"/", _CONTENT, fields, trailers, indeterminate=indeterminate)


def _long(value: int, size: int) -> bytes:
    prefix = {1: 0, 2: 0x40, 4: 0x80, 8: 0xC0}[size]
    encoded = bytearray(value.to_bytes(size, "big"))
    encoded[0] |= prefix
    return bytes(encoded)


@check(
    id="gateway.messages.long-varints",
    requirements=["MSG-001"],
    title="Lengths in longer varints than necessary are understood",
)
async def long_varints(world: GatewayWorld) -> None:
    """Framing indicator and every length of a request are written in 2, 4 and 8 bytes."""
    line = (b"x-credit", b"credit value")
    for size in (2, 4, 8):
        sized = [_long(len(part), size) + part for part in (b"POST", b"http", ROUTER, b"/")]
        section = b"".join(_long(len(part), size) + part for part in line)
        sections = [_long(len(part), size) + part for part in (section, _CONTENT, b"")]
        plaintext = _long(0, size) + b"".join([*sized, *sections])
        received = await _understood(world, plaintext, f"a message with lengths of {size} bytes")
        value = field_value(received.fields, b"x-credit")
        expect(value == b"credit value", expected="x-credit at the router", observed=str(value))


@check(
    id="gateway.messages.framing",
    requirements=["MSG-004", "MSG-005"],
    title="A framing indicator that is not that of a request is refused",
)
async def framing(world: GatewayWorld) -> None:
    """Those of responses, and values that mean nothing."""
    for indicator in (1, 3, 4, 63, 64, 2**14 + 1):
        await _refused(world, encode_varint(indicator) + _with_fields(())[1:], f"framing indicator {indicator}")


@check(
    id="gateway.messages.framing-value",
    requirements=["MSG-003", "MSG-004"],
    title="A framing indicator is compared as a whole",
)
async def framing_value(world: GatewayWorld) -> None:
    """Values whose lowest byte, or lowest four, are those of a request."""
    deployed = Deployed("MSG-D08", lambda received: received.body == _CONTENT)
    for indicator in (256, 2**16, 2**32, 2**61):
        plaintext = encode_varint(indicator) + _with_fields(())[1:]
        await _refused(world, plaintext, f"framing indicator {indicator}", deployed=deployed)


@check(
    id="gateway.messages.long-parts",
    requirements=["MSG-007"],
    title="Method and path up to their limits are understood",
)
async def long_parts(world: GatewayWorld) -> None:
    """A path of 4096 and a method of 64 bytes are not allowed ones: 404 or 405 says that they were read."""
    for method, path in ((b"POST", b"/" + b"x" * 4095), (b"M" * 64, b"/")):
        reply = await world.deliver(raw_request(method, ROUTER, path, _CONTENT), Form.UNCHUNKED)
        expect(
            reply.response.head.status in (404, 405),
            expected=f"inner status 404 or 405 for {len(method)} bytes of method and {len(path)} of path",
            observed=str(reply),
        )


@check(
    id="gateway.messages.method",
    requirements=["MSG-008"],
    title="A method that is empty or no token is refused",
)
async def method(world: GatewayWorld) -> None:
    """No method, blanks, a slash, a byte beyond ASCII."""
    for name in (b"", b"PO ST", b"PO/ST", b"POST\t", b"P\xd6ST"):
        await _refused(world, raw_request(name, ROUTER, b"/", _CONTENT), f"the method {name!r}")


@check(
    id="gateway.messages.field-bytes",
    requirements=["MSG-015"],
    title="Field names that are no tokens and values with forbidden bytes are refused",
)
async def field_bytes(world: GatewayWorld) -> None:
    """Line breaks and NUL in values; blanks, NUL and brackets in names."""
    for line in (
        (b"x-value", b"one\ntwo"),
        (b"x-value", b"one\rtwo"),
        (b"x-value", b"one\0two"),
        (b"x name", b"one"),
        (b"x\0name", b"one"),
        (b"x(name)", b"one"),
    ):
        await _fields_refused(world, (line,), f"the field {line[0]!r} with the value {line[1]!r}")


@check(
    id="gateway.messages.field-injection",
    requirements=["MSG-015"],
    title="No field is made out of the name or value of another",
)
async def field_injection(world: GatewayWorld) -> None:
    """Written to the service as they are, these would be other fields, or another request."""
    request = b"one\r\n\r\nPOST /node-events HTTP/1.1\r\nx-injected: two"
    injected = Deployed("MSG-D09", lambda received: field_value(received.fields, b"x-injected") is not None)
    ended = Deployed("MSG-D09", lambda received: received.target == b"/" and not injected.is_this(received))
    split = Deployed("MSG-D09", lambda received: field_value(received.fields, b"x") == b"name: one")
    for line, deployed in (
        ((b"x-value", request), ended),
        ((b"x-value", b"one\r\nx-injected: two"), injected),
        ((b"x-value", b"one\nx-injected: two"), injected),
        ((b"x-name: y\r\nx-injected", b"one"), injected),
        ((b"x:name", b"one"), split),
    ):
        what = f"the field {line[0]!r} with the value {line[1][:20]!r}"
        await _fields_refused(world, (line,), what, deployed=deployed)


@check(
    id="gateway.messages.field-blanks",
    requirements=["MSG-015"],
    title="Values with blanks at their ends are refused",
)
async def field_blanks(world: GatewayWorld) -> None:
    """A text form would lose them."""
    deployed = Deployed("MSG-D09", lambda received: field_value(received.fields, b"x-value") == b"one")
    for value in (b" one", b"one ", b"\tone", b"one\t"):
        await _fields_refused(world, ((b"x-value", value),), f"the value {value!r}", deployed=deployed)


@check(
    id="gateway.messages.pseudo-field",
    requirements=["MSG-016", "MSG-017"],
    title="Control data among the fields, and pseudo-fields out of place, are refused",
)
async def pseudo_field(world: GatewayWorld) -> None:
    """Each of the five names that control data have, one behind a regular field, one among the trailers."""
    regular = (b"x-credit", b"credit value")
    names = (b":method", b":scheme", b":authority", b":path", b":status")
    for name in names:
        await _fields_refused(world, ((name, b"/node-events"), regular), f"the field {name.decode()}")
    await _fields_refused(world, (regular, (b":extension", b"x")), "a pseudo-field behind a regular one")
    await _fields_refused(world, (), "a pseudo-field among the trailers", trailers=((b":extension", b"x"),))


@check(
    id="gateway.messages.unknown-pseudo-field",
    requirements=["MSG-018"],
    title="An unknown pseudo-field in front of the fields is ignored",
)
async def unknown_pseudo_field(world: GatewayWorld) -> None:
    """A later version of the format may define it."""
    received = await _understood(world, _with_fields(((b":extension", b"x"),)), "an unknown pseudo-field")
    names = [name for name, _ in received.fields if b"extension" in name]
    expect(not names, expected="nothing of it at the router", observed=str(names))


@check(
    id="gateway.messages.sections",
    requirements=["MSG-019"],
    title="Field sections that do not add up are refused",
)
async def sections(world: GatewayWorld) -> None:
    """A field name without length, a value that overruns its section, a section that overruns the message."""
    head = b"\0\4POST\4http" + encode_varint(len(ROUTER)) + ROUTER + b"\1/"
    rest = encode_varint(len(_CONTENT)) + _CONTENT + b"\0"
    await _refused(world, _with_fields(((b"", b"value"),)), "an empty field name")
    await _refused(world, head + b"\4\1x\5y" + rest, "a value that overruns its section")
    await _refused(world, head + b"\2\1x" + rest, "a field line without value")
    await _refused(world, head + _long(100_000, 4) + b"\1x\1y" + rest, "a section that overruns the message")


@check(
    id="gateway.messages.large-field",
    requirements=["MSG-020"],
    title="A field line of 16384 encoded bytes is accepted",
)
async def large_field(world: GatewayWorld) -> None:
    """Credits and routing information are long; the value must reach the router unchanged."""
    name = b"x-routing-info"
    value = b"v" * (16384 - 1 - len(name) - 2)
    while 1 + len(name) + len(encode_varint(len(value))) + len(value) > 16384:
        value = value[:-1]
    received = await _understood(world, _with_fields(((name, value),)), "a field line of 16384 bytes")
    values = field_values(received.fields, name)
    expect(values == (value,), expected="the whole value at the router", observed=f"{sum(map(len, values))} bytes")


@check(
    id="gateway.messages.host-field",
    requirements=["MSG-023"],
    title="A host field stands in for an empty authority",
)
async def host_field(world: GatewayWorld) -> None:
    """The authority is empty and one host field names the router."""
    plaintext = raw_request(b"POST", b"", b"/", _CONTENT, ((b"host", ROUTER),))
    await _understood(world, plaintext, "a host field in place of the authority")


@check(
    id="gateway.messages.content-length",
    requirements=["MSG-026"],
    title="A content-length that is no number is refused",
)
async def content_length(world: GatewayWorld) -> None:
    """A minus, blanks inside, hexadecimal, a fraction, nothing."""
    for value in (b"-1", b"2 0", b"0x14", b"", b"20.0"):
        await _refused(world, _with_fields(((b"content-length", value),)), f"content-length {value!r}")


@check(
    id="gateway.messages.content-length-sign",
    requirements=["MSG-026"],
    title="A content-length with a plus is refused",
)
async def content_length_sign(world: GatewayWorld) -> None:
    """It is the length of the content otherwise."""
    deployed = Deployed("MSG-D13", lambda received: received.body == _CONTENT)
    value = b"+%d" % len(_CONTENT)
    await _refused(world, _with_fields(((b"content-length", value),)), f"content-length {value!r}", deployed=deployed)


@check(
    id="gateway.messages.content-length-differs",
    requirements=["MSG-039"],
    title="A content-length that is not that of the content is refused",
)
async def content_length_differs(world: GatewayWorld) -> None:
    """The service must not get a part of the content for the whole."""
    deployed = Deployed("MSG-D13", lambda received: _CONTENT.startswith(received.body))
    for value in (b"0", b"5", b"9999"):
        fields = ((b"content-length", value),)
        await _refused(world, _with_fields(fields), f"content-length {value!r}", deployed=deployed)


@check(
    id="gateway.messages.shortened",
    requirements=["MSG-030"],
    title="A message that leaves out empty parts at its end is accepted",
)
async def shortened(world: GatewayWorld) -> None:
    """The trailer section is left out; then the content, which is empty, with it."""
    whole = _with_fields(())
    await _understood(world, whole[:-1], "a message without its trailer section")
    empty = raw_request(b"POST", ROUTER, b"/")
    await _understood(world, empty[:-2], "a message without content and trailer section", b"")


_FIELDS: Fields = ((b"x-credit", b"credit value"),)
_TRAILERS: Fields = ((b"x-trailer", b"value"),)
_KNOWN = raw_request(b"POST", ROUTER, b"/", _CONTENT, _FIELDS, _TRAILERS)
_INDETERMINATE = encode_request(
    Request(RequestHead(b"POST", b"http", ROUTER, b"/", _FIELDS), _CONTENT, _TRAILERS), indeterminate=True
)


@check(
    id="gateway.messages.truncated",
    requirements=["MSG-031", "MSG-035"],
    title="A message that is cut inside a part is refused",
)
async def truncated(world: GatewayWorld) -> None:
    """Inside control data, fields, content and trailers, in both framings."""
    for whole, length_of in ((_KNOWN, "known"), (_INDETERMINATE, "indeterminate")):
        content = whole.index(_CONTENT)
        for size in (1, 20, content - 5, content + 1, content + len(_CONTENT) // 2, len(whole) - 3):
            await _refused(world, whole[:size], f"{size} of {len(whole)} bytes of {length_of} length")


@check(
    id="gateway.messages.truncated-end",
    requirements=["MSG-031"],
    title="A message that lacks the last byte of a part is refused",
)
async def truncated_end(world: GatewayWorld) -> None:
    """The last byte of content of known length; the zeros that end content and trailers of unknown length."""
    deployed = Deployed("MSG-D19", lambda received: received.body in (_CONTENT, _CONTENT[:-1] + b"\0"))
    last = _KNOWN.index(_CONTENT) + len(_CONTENT) - 1
    await _refused(world, _KNOWN[:last], "content that lacks a byte", deployed=deployed)
    end = _INDETERMINATE.index(_CONTENT) + len(_CONTENT)
    await _refused(world, _INDETERMINATE[:end], "content without its end", deployed=deployed)
    await _refused(world, _INDETERMINATE[:-1], "trailers without their end", deployed=deployed)


@check(
    id="gateway.messages.padding",
    requirements=["MSG-032"],
    title="Any number of zero bytes behind the message is accepted",
)
async def padding(world: GatewayWorld) -> None:
    """None, one, and sixteen thousand."""
    for size in (0, 1, 16_000):
        await _understood(world, _with_fields(()) + bytes(size), f"{size} bytes of padding")
