"""What comes with a sealed request in the clear: media type, encapsulated key, amount of the credit."""

from __future__ import annotations

from collections.abc import Iterable

from conformance.peers.node import NodeWorld
from conformance.registry import check
from conformance.verdicts import expect
from openpcc_ref.base64_text import to_text
from openpcc_ref.errors import Rejected
from openpcc_ref.http1 import Fields, exchange
from openpcc_ref.protobuf import parse
from openpcc_ref.protobuf.error_pb2 import Error

_TYPE, _KEY, _AMOUNT = b"content-type", b"x-encapsulated-key", b"x-credit-amount"


def _with(fields: Fields, name: bytes, *values: bytes) -> Fields:
    """Return the fields with other lines of one name."""
    return (*(line for line in fields if line[0] != name), *((name, value) for value in values))


async def _refused(world: NodeWorld, name: bytes, cases: Iterable[tuple[tuple[bytes, ...], str]]) -> None:
    """Send requests that are honest but for the lines of one field; each must be refused in clear."""
    await world.control()
    for values, what in cases:
        sealed = world.sealed()
        fields = _with(world.outer_fields(sealed), name, *values)
        await world.unopened(sealed.whole(world.request()), sealed, what, fields=fields)


@check(
    id="node.parameters.media-type",
    requirements=["NODE-003", "MSG-071", "MSG-081"],
    title="A Content-Type that is not exactly one of the two of requests is refused",
)
async def media_type(world: NodeWorld) -> None:
    """None, another one, those of responses, one with a parameter, and the right one in capitals."""
    others = (
        b"application/octet-stream",
        b"application/confsec-res",
        b"application/confsec-chunked-res",
        b"application/confsec-req; charset=utf-8",
        b"Application/Confsec-Req",
        b"application/confsec-req-2",
        b"message/ohttp-req",
    )
    cases = [((other,), f"Content-Type {other.decode()}") for other in others]
    await _refused(world, _TYPE, [((), "no Content-Type"), *cases])


@check(
    id="node.parameters.key-absent",
    requirements=["NODE-004", "MSG-081"],
    title="A request without X-Encapsulated-Key, or with an empty one, is refused",
)
async def key_absent(world: NodeWorld) -> None:
    """All else is honest."""
    await _refused(world, _KEY, [((), "no X-Encapsulated-Key"), ((b"",), "an empty X-Encapsulated-Key")])


@check(
    id="node.parameters.key-long",
    requirements=["NODE-004", "MSG-081"],
    title="An X-Encapsulated-Key of more than 512 characters is refused",
)
async def key_long(world: NodeWorld) -> None:
    """The honest key stands in front and zeros fill it up to 513, 516 and 8192 characters."""
    await world.control()
    for length in (513, 516, 8192):
        sealed = world.sealed()
        text = to_text(sealed.encapsulated_key + bytes(length)).encode()[:length]
        fields = _with(world.outer_fields(sealed), _KEY, text)
        await world.unopened(sealed.whole(world.request()), sealed, f"a key of {length} characters", fields=fields)


@check(
    id="node.parameters.key-base64",
    requirements=["NODE-004", "MSG-081"],
    title="An X-Encapsulated-Key that is not base64 is refused",
)
async def key_base64(world: NodeWorld) -> None:
    """Asterisks; the honest key with one behind it, in the alphabet for URLs, in hexadecimal, and with a blank."""
    await world.control()
    for what in ("asterisks", "an asterisk behind the key", "the alphabet for URLs", "hexadecimal", "a blank inside"):
        sealed = world.sealed()
        while b"+" not in sealed.key_text and b"/" not in sealed.key_text:
            sealed = world.sealed()
        text = sealed.key_text
        texts = {
            "asterisks": b"***",
            "an asterisk behind the key": text + b"*",
            "the alphabet for URLs": text.replace(b"+", b"-").replace(b"/", b"_"),
            "hexadecimal": sealed.encapsulated_key.hex().encode(),
            "a blank inside": text[:40] + b" " + text[40:],
        }
        fields = _with(world.outer_fields(sealed), _KEY, texts[what])
        await world.unopened(sealed.whole(world.request()), sealed, f"a key with {what}", fields=fields)


@check(
    id="node.parameters.amount-absent",
    requirements=["NODE-005"],
    title="A request without X-Credit-Amount is refused",
)
async def amount_absent(world: NodeWorld) -> None:
    """The field is missing, then empty."""
    await _refused(world, _AMOUNT, [((), "no X-Credit-Amount"), ((b"",), "an empty X-Credit-Amount")])


@check(
    id="node.parameters.amount-number",
    requirements=["NODE-005"],
    title="An X-Credit-Amount that is no integer is refused",
)
async def amount_number(world: NodeWorld) -> None:
    """Letters, fractions, an exponent, hexadecimal, an underscore, two numbers, and more than 64 bits."""
    texts = (b"abc", b"1.5", b"1e3", b"0x10", b"1 000", b"1_000", b"10,20", b"9223372036854775808", b"1" * 400)
    await _refused(world, _AMOUNT, [((text,), f"X-Credit-Amount {text[:24].decode()}") for text in texts])


@check(
    id="node.parameters.amount-positive",
    requirements=["NODE-005"],
    title="An X-Credit-Amount of zero or less is refused",
)
async def amount_positive(world: NodeWorld) -> None:
    """Zero, written in four ways, and negative numbers."""
    texts = (b"0", b"000", b"-0", b"+0", b"-1", b"-1000", b"-9223372036854775808")
    await _refused(world, _AMOUNT, [((text,), f"X-Credit-Amount {text.decode()}") for text in texts])


@check(
    id="node.parameters.refusal-message",
    requirements=["MSG-082", "NODE-006"],
    title="A request that cannot be opened is answered with an Error message and no trailer",
)
async def refusal_message(world: NodeWorld) -> None:
    """The answer is application/octet-stream with a serialized Error; nothing of it says what is wrong."""
    sealed = world.sealed()
    answer = await world.unopened(bytes(600), sealed, "zeros")
    try:
        parse(Error, answer.content, Rejected, "error.malformed")
        readable = True
    except Rejected:
        readable = False
    expect(
        readable and answer.media_type == b"application/octet-stream" and answer.complete,
        expected="an Error message of the type application/octet-stream",
        observed=str(answer),
    )
    expect(not answer.trailers, expected="no trailer", observed=f"{len(answer.trailers)} trailers")


@check(
    id="node.parameters.method",
    requirements=["NODE-001"],
    title="Requests are accepted by POST only",
)
async def method(world: NodeWorld) -> None:
    """An honest request comes with GET, PUT, PATCH and DELETE."""
    await world.control()
    for name in (b"GET", b"PUT", b"PATCH", b"DELETE"):
        sealed = world.sealed()
        content = sealed.whole(world.request())
        framing = (b"content-length", str(len(content)).encode())
        async with world.exchange(fields=(*world.outer_fields(sealed), framing), method=name) as going:
            await going.send(content)
            await going.finish()
            answer = await going.answer()
        what = f"an honest request by {name.decode()}"
        expect(answer.form is None, expected=f"no sealed response to {what}", observed=str(answer))
        await world.not_asked(what)


@check(
    id="node.parameters.outer-target",
    requirements=["NODE-015"],
    title="Outer host, query and path decide nothing",
)
async def outer_target(world: NodeWorld) -> None:
    """Honest requests to a foreign host, and with the inner path of another endpoint as a query, are answered."""
    for host, query, what in (
        (b"confsec.invalid", b"", "host confsec.invalid"),
        (b"example.com", b"", "host example.com"),
        (None, b"?model=unserved:0b&path=/api/pull", "a query"),
    ):
        sealed = world.sealed()
        content = sealed.whole(world.request())
        named: Fields = ((b"host", host),) if host is not None else ()
        fields = (*named, *world.outer_fields(sealed), (b"content-length", str(len(content)).encode()))
        async with world.exchange(fields=fields, target=world.target + query) as going:
            await going.send(content)
            await going.finish()
            answer = await going.answer()
        expect(
            answer.status == 200 and answer.form is not None, expected=f"an answer with {what}", observed=str(answer)
        )


@check(
    id="node.parameters.health",
    requirements=["NODE-002"],
    title="GET /_health succeeds",
)
async def health(world: NodeWorld) -> None:
    """The status is 2xx while the node answers requests."""
    response, _ = await exchange(
        world.subject.url, b"GET", b"/_health", tap=world.taps.of("router"), step_s=world.step_s
    )
    expect(200 <= response.status <= 299, expected="status 2xx", observed=f"status {response.status}")
