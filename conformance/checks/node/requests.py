"""What an opened request may ask, and how: path, method, fields, length of the body."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from conformance.canaries import search
from conformance.peers.node import NodeWorld
from conformance.peers.node_engine import PATHS, same_request
from conformance.peers.node_message import Opened
from conformance.registry import check
from conformance.verdicts import expect
from openpcc_ref.compute_messages import Form
from openpcc_ref.http1 import Fields
from openpcc_ref.varint import encode_varint

_MAX_FIELD = 1024
_MAX_BODY = 1048576
_SENT = (
    *(b"authorization", b"cookie", b"user-agent", b"accept", b"accept-language", b"x-forwarded-for"),
    *(b"x-request-id", b"x-own"),
)
"""Fields that clients and proxies send."""

_SHAPES = {b"traceparent": "00-{}-00f067aa0ba902b7-01", b"baggage": "own={}"}
"""What tracers send, in the form in which it travels; outside, node and router may have a trace of their own."""


def _code(opened: Opened) -> Any:
    """Return the code of a refusal, or None where there is none to be read."""
    try:
        members = json.loads(opened.response.content)
    except ValueError:
        return None
    return members.get("code") if isinstance(members, dict) else None


def _expect_code(opened: Opened, code: str, what: str) -> None:
    expect(_code(opened) == code, expected=f"{code} for {what}", observed=str(opened))


def _lines(world: NodeWorld, body: bytes, name: bytes, *values: bytes) -> Fields:
    """Return honest fields with other lines of one name."""
    return (*(line for line in world.fields(body) if line[0] != name), *((name, value) for value in values))


@check(
    id="node.requests.forwarded",
    requirements=["NODE-030", "NODE-040"],
    title="The engine is asked what the client asks, on each of the four paths",
    needs=["node.engine"],
)
async def forwarded(world: NodeWorld) -> None:
    """Method and path are the same, and the body is the same JSON value; in both forms. Streamed, model and prompt or
    messages are the same."""
    for number, path in enumerate(PATHS):
        form = (Form.UNCHUNKED, Form.CHUNKED)[number % 2]
        body = world.body(path)
        received = await world.accepted(world.request(form, path=path, body=body), f"an honest request to {path}", form)
        assert received is not None
        observed = f"{received.method.decode('latin-1')} {received.target[:80].decode('latin-1')}"
        same = received.method == b"POST" and received.target == path.encode()
        expect(same, expected=f"POST {path} at the engine", observed=observed)
        expect(
            same_request(received.body, body),
            expected=f"the client's body at the engine for {path}",
            observed=f"another one of {len(received.body)} bytes",
        )
        streamed = world.body(path, stream=True)
        request = world.request(form, path=path, body=streamed)
        received = await world.accepted(request, f"a streamed request to {path}", form)
        assert received is not None
        sent, got = json.loads(streamed), json.loads(received.body)
        changed = [name for name in ("model", "prompt", "messages") if got.get(name) != sent.get(name)]
        expect(not changed, expected=f"what the client streams on {path}", observed=f"another {', '.join(changed)}")


@check(
    id="node.requests.unknown-path",
    requirements=["NODE-031", "NODE-030"],
    title="An unknown path is answered with 404 inside",
)
async def unknown_path(world: NodeWorld) -> None:
    """Paths of engines that nodes do not serve, paths in capitals, and the beginning and continuation of known ones."""
    await world.control()
    for path in ("/api/pull", "/v1/models", "/", "/V1/completions", "/api", "/v1/completions/stream"):
        body = world.body()
        opened = await world.refused(world.request(path=path, body=body), f"the path {path}", status=404)
        _expect_code(opened, "ErrUnsupportedPath", f"the path {path}")


@check(
    id="node.requests.path-form",
    requirements=["NODE-030", "NODE-031"],
    title="A path with a query or not in its normal form is refused",
)
async def path_form(world: NodeWorld) -> None:
    """A query, a bare question mark, a slash too many at three places, an escape, and dot segments."""
    await world.control()
    uri = "ErrInvalidRequestURI"
    for path, code in (
        ("/v1/completions?model=other", "ErrQueryParamsNotAllowed"),
        ("/v1/completions?", uri),
        ("/v1/completions/", uri),
        ("/v1//completions", uri),
        ("/v1/%63ompletions", uri),
        ("/v1/./completions", uri),
        ("/api/../v1/completions", uri),
    ):
        opened = await world.refused(world.request(path=path, body=world.body()), f"the path {path}")
        _expect_code(opened, code, f"the path {path}")


@check(
    id="node.requests.method",
    requirements=["NODE-030", "NODE-031"],
    title="Another method than POST is refused inside",
)
async def method(world: NodeWorld) -> None:
    """GET, PUT, DELETE and PATCH with the body of an honest request, and post in small letters."""
    await world.control()
    for name in (b"GET", b"PUT", b"DELETE", b"PATCH", b"post"):
        what = f"the method {name.decode()}"
        opened = await world.refused(world.request(method=name), what)
        _expect_code(opened, "ErrUnsupportedMethod", what)


@check(
    id="node.requests.authority",
    requirements=["NODE-032"],
    title="Another authority than confsec.invalid is refused",
)
async def authority(world: NodeWorld) -> None:
    """Another host, the right one with a port, in capitals, with a dot behind it, as a part of a name, and none."""
    await world.control()
    for name in (
        b"example.com",
        b"confsec.invalid:80",
        b"CONFSEC.INVALID",
        b"confsec.invalid.",
        b"a.confsec.invalid",
        b"",
    ):
        await world.refused(world.request(authority=name), f"the authority {name.decode() or 'of no name'}")


@check(
    id="node.requests.content-type",
    requirements=["NODE-033"],
    title="Another inner content type than application/json is refused",
)
async def content_type(world: NodeWorld) -> None:
    """None, one with a parameter, one in capitals, and others."""
    await world.control()
    body = world.body()
    values: tuple[tuple[bytes, ...], ...] = (
        (),
        (b"application/json; charset=utf-8",),
        (b"Application/JSON",),
        (b"text/plain",),
        (b"application/json-patch+json",),
    )
    for lines in values:
        what = f"content-type {lines[0].decode()}" if lines else "no content-type"
        await world.refused(world.request(body=body, fields=_lines(world, body, b"content-type", *lines)), what)


@check(
    id="node.requests.codings",
    requirements=["NODE-034"],
    title="Inner transfer and content codings are refused",
)
async def codings(world: NodeWorld) -> None:
    """Content codings gzip and identity, and the transfer codings chunked and gzip; nothing is coded in fact."""
    await world.control()
    body = world.body()
    for name, value in (
        (b"content-encoding", b"gzip"),
        (b"content-encoding", b"identity"),
        (b"transfer-encoding", b"chunked"),
        (b"transfer-encoding", b"gzip"),
    ):
        sealed = world.sealed()
        plaintext = world.request(body=body, fields=world.fields(body, more=((name, value),)))
        await world.not_taken(sealed.sealed(plaintext), sealed, f"{name.decode()}: {value.decode()}")


@check(
    id="node.requests.field-length",
    requirements=["NODE-035"],
    title="1024 bytes of one field name are accepted, and 1025 refused",
)
async def field_length(world: NodeWorld) -> None:
    """In one line, and as the sum of two; fields of other names do not count."""
    name = b"x-long"
    for sizes in ((_MAX_FIELD,), (600, 424)):
        body = world.body()
        lines = tuple((name, b"a" * size) for size in sizes)
        fields = world.fields(body, more=(*lines, (b"x-other", b"b" * _MAX_FIELD)))
        await world.accepted(world.request(body=body, fields=fields), f"fields of {sizes} bytes")
    world.engine.reset()
    for sizes in ((_MAX_FIELD + 1,), (600, 425), (1, _MAX_FIELD)):
        body = world.body()
        lines = tuple((name, b"a" * size) for size in sizes)
        await world.refused(world.request(body=body, fields=world.fields(body, more=lines)), f"fields of {sizes} bytes")


@check(
    id="node.requests.body-limit",
    requirements=["NODE-036"],
    title="A body of 1048576 bytes is accepted, and one of a byte more refused",
)
async def body_limit(world: NodeWorld) -> None:
    """A prompt fills the body up to its length; honest but for that; in both forms."""
    for form, length, taken in (
        (Form.UNCHUNKED, _MAX_BODY, True),
        (Form.UNCHUNKED, _MAX_BODY + 1, False),
        (Form.CHUNKED, _MAX_BODY, True),
        (Form.CHUNKED, _MAX_BODY + 1, False),
    ):
        body = world.body(prompt="a" * (length - len(world.body(prompt=""))))
        expect(len(body) == length, expected=f"a body of {length} bytes", observed=f"one of {len(body)}")
        what = f"a body of {length} bytes, {form}"
        if taken:
            received = await world.accepted(world.request(form, body=body), what, form)
            whole = received is None or same_request(received.body, body)
            expect(whole, expected=f"{what} at the engine", observed="another one")
            world.engine.reset()
        else:
            await world.refused(world.request(form, body=body), what, form)


@check(
    id="node.requests.body-length",
    requirements=["NODE-037"],
    title="A body without a declared length, or of another one, is refused",
)
async def body_length(world: NodeWorld) -> None:
    """No content-length, one too many and one too few, none at all, and no number; in both forms."""
    body = world.body()
    size = len(body)
    declared: tuple[tuple[bytes, ...], ...] = (
        (),
        (b"%d" % (size + 1),),
        (b"%d" % (size - 1),),
        (b"0",),
        (b"abc",),
    )
    for form in Form:
        await world.control(form)
        for lines in declared:
            what = f"content-length {lines[0].decode()} for {size} bytes" if lines else "no content-length"
            fields = _lines(world, body, b"content-length", *lines)
            await _not_taken(world, form, body, fields, what)


async def _not_taken(world: NodeWorld, form: Form, body: bytes, fields: Fields, what: str) -> None:
    sealed = world.sealed(form)
    if form is Form.UNCHUNKED:
        plaintext = world.request(form, body=body, fields=fields)
    else:  # an encoder would not say it
        plaintext = _indeterminate(world, body, fields)
    await world.not_taken(sealed.sealed(plaintext), sealed, f"{what}, {form}")


def _indeterminate(world: NodeWorld, body: bytes, fields: Fields) -> bytes:
    """Return a request of indeterminate length with any fields. RFC 9292 section 3.2."""
    honest = world.request(Form.CHUNKED, path=PATHS[0], body=b"", fields=())
    head = honest[: honest.index(PATHS[0].encode()) + len(PATHS[0])]
    section = b"".join(encode_varint(len(part)) + part for line in fields for part in line)
    content = encode_varint(len(body)) + body + b"\0"
    plain = head + section + b"\0" + content + b"\0"
    return plain + bytes(-len(plain) % 514)


@check(
    id="node.requests.body-empty",
    requirements=["NODE-037", "NODE-039"],
    title="A request without a body is refused",
)
async def body_empty(world: NodeWorld) -> None:
    """The length is declared as 0, and is not declared."""
    await world.control()
    for fields, what in (
        (world.fields(b""), "content-length 0"),
        (_lines(world, b"", b"content-length"), "no content-length"),
    ):
        await world.refused(world.request(body=b"", fields=fields), f"an empty body with {what}")


@check(
    id="node.requests.fields-hidden",
    requirements=["NODE-014"],
    title="No field of the client reaches the engine",
    needs=["node.engine"],
)
async def fields_hidden(world: NodeWorld) -> None:
    """Fields that clients, proxies and tracers send, with marked values, inside the sealed request and beside it; the
    badge too."""
    marks: dict[str, str] = {}

    def marked(names: Sequence[bytes], where: str) -> Fields:
        marks.update({f"{name.decode()} {where}": world.random(16).hex() for name in names})
        texts = ((name, _SHAPES.get(name, "{}").format(marks[f"{name.decode()} {where}"])) for name in names)
        return tuple((name, text.encode()) for name, text in texts)

    inner = marked((*_SENT, *_SHAPES), "inside")
    outer = marked(_SENT, "outside")
    for form in Form:
        body = world.body()
        sealed = world.sealed(form)
        plaintext = world.request(form, body=body, fields=world.fields(body, more=inner))
        answer = await world.post(sealed.sealed(plaintext), sealed, more=outer)
        expect(answer.form is not None, expected="an answer to a request with further fields", observed=str(answer))
        await world.engine.arrival(len(world.engine.requests) or 1)
    secrets = {name: value.encode() for name, value in marks.items()}
    secrets["the badge"] = world.material.badge([world.model])
    leaks = search(secrets, [("the engine", bytes(data)) for data in world.taps.inputs["engine"].values()])
    expect(not leaks, expected="none of the client's fields at the engine", observed=", ".join(map(str, leaks)))


@check(
    id="node.requests.refusal-form",
    requirements=["NODE-044", "NODE-031"],
    title="Refusals are sealed JSON with code, error and message",
)
async def refusal_form(world: NodeWorld) -> None:
    """A wrong path, content type, badge and body; in both forms."""
    body = world.body()
    for form in Form:
        for plaintext, what, status in (
            (world.request(form, path="/api/pull", body=body), "an unknown path", 404),
            (world.request(form, authority=b"example.com"), "another authority", 400),
            (world.request(form, body=body, fields=world.fields(body, badge=b"***")), "no badge", 400),
            (world.request(form, body=b"{}"), "an empty object", 400),
        ):
            opened = await world.refused(plaintext, what, form, status=status)
            response = opened.response
            try:
                members = json.loads(response.content)
            except ValueError:
                members = None
            texts = isinstance(members, dict) and all(
                isinstance(members.get(name), str) and members[name] for name in ("code", "error", "message")
            )
            expect(texts, expected=f"code, error and message for {what}", observed=str(opened))
            types = [value for name, value in response.head.fields if name == b"content-type"]
            plain = [value.partition(b";")[0].strip().lower() for value in types]
            expect(plain == [b"application/json"], expected="content-type application/json", observed=str(types))
