"""What comes back carries the message: nothing marks a client, and nothing of the far side shows."""

from __future__ import annotations

from conformance.canaries import Leak, search
from conformance.peers.relay import CHUNKED_RESPONSE, INCREMENTAL, RESPONSE, RelayCase, answers, sized
from conformance.peers.relay_view import DEPLOYED_PASSES_FIELDS, expect_no_trace
from conformance.peers.scripted import Received
from conformance.registry import check
from conformance.verdicts import expect
from openpcc_ref.http1 import Fields, IncomingResponse, Responder, field_values


@check(
    id="relay.privacy.response-cookies",
    requirements=["PRIV-005"],
    title="No cookie reaches the client",
)
async def response_cookies(case: RelayCase) -> None:
    """The gateway tries to set a cookie, by which the client would be known the next time. The client may get neither
    that nor one of the relay's own."""
    mark = b"visitor=" + case.canary()
    content = case.response()
    case.gateway.answer = answers(200, (*sized(RESPONSE, content), (b"set-cookie", mark)), content)
    response, _ = await case.post(case.request())
    cookies = field_values(response.fields, b"set-cookie")
    expect(
        not cookies,
        expected="no Set-Cookie at the client",
        observed=f"{b', '.join(cookies).decode('latin-1')!r}",
        deployed=DEPLOYED_PASSES_FIELDS if cookies == (mark,) else None,
    )


@check(
    id="relay.privacy.response-identifiers",
    requirements=["PRIV-015"],
    title="Identifiers of the far side do not reach the client",
)
async def response_identifiers(case: RelayCase) -> None:
    """The gateway's response carries identifiers by which records are joined. The client may not get them in any
    form."""
    names = "server-timing via x-request-id x-correlation-id traceparent etag x-served-by"
    expect_no_trace(await _answered_marked(case, names), DEPLOYED_PASSES_FIELDS)


@check(
    id="relay.privacy.response-fields",
    requirements=["PRIV-005"],
    title="Fields of the gateway that do not carry the message end at the relay",
)
async def response_fields(case: RelayCase) -> None:
    """The gateway's response carries fields that no chapter names, and fields for its hop only, among them one that its
    `Connection` field names. The client may not get them in any form."""
    hop = "x-hop keep-alive proxy-authenticate proxy-connection upgrade"
    expect_no_trace(await _answered_marked(case, hop, ((b"connection", b"x-hop, keep-alive"),)))
    names = "server x-powered-by x-node-id x-custom link alt-svc location content-disposition www-authenticate warning"
    expect_no_trace(await _answered_marked(case, names), DEPLOYED_PASSES_FIELDS)


@check(
    id="relay.privacy.response-trailers",
    requirements=["PRIV-005"],
    title="Outer trailers of the gateway are dropped",
)
async def response_trailers(case: RelayCase) -> None:
    """A chunked response ends with an outer trailer. Encapsulated messages have theirs inside, so none may reach the
    client."""
    mark = case.canary()

    async def answer(received: Received, responder: Responder) -> None:
        await received.end()
        announced = (b"trailer", b"x-mark")
        await responder.send_head(200, ((b"content-type", CHUNKED_RESPONSE), *INCREMENTAL, announced))
        for piece in case.response_pieces():
            await responder.send(piece)
        await responder.finish(((b"x-mark", mark),))

    case.gateway.answer = answer
    response, _ = await case.post(case.request(), fields=((b"te", b"trailers"),))
    values = field_values((*response.fields, *response.trailers), b"x-mark")
    expect(
        not values,
        expected="no outer trailer at the client",
        observed=f"x-mark: {b', '.join(values).decode('latin-1')}",
        deployed=DEPLOYED_PASSES_FIELDS if values == (mark,) else None,
    )


@check(
    id="relay.privacy.response-same-view",
    requirements=["PRIV-015", "PRIV-005"],
    title="Equal answers look the same to different clients",
)
async def response_same_view(case: RelayCase) -> None:
    """Three clients post the same content over connections of their own and the gateway answers all alike. Apart from
    `Date`, they must get the same fields: a value that differs is an identifier the relay has made."""
    content, answer = case.request(), case.response()
    case.gateway.answer = answers(200, sized(RESPONSE, answer), answer)
    views = []
    for _ in range(3):
        response, _ = await case.post(content)
        views.append({line for line in response.fields if line[0] != b"date"})
    differing = sorted({name.decode("latin-1") for view in views for name, _ in view ^ views[0]})
    expect(
        not differing,
        expected="equal fields at three clients",
        observed=f"values of their own in {', '.join(differing)}",
    )


async def _answered_marked(case: RelayCase, names: str, extra: Fields = ()) -> list[Leak]:
    """Let the gateway answer with a canary in each of the fields; return where they show at the client."""
    marks = {name: case.canary() for name in names.split()}
    marked = tuple((name.encode(), mark) for name, mark in marks.items())
    content = case.response()
    case.gateway.answer = answers(200, (*sized(RESPONSE, content), *extra, *marked), content)
    response, _ = await case.post(case.request())
    return search(marks, list(_places(response)))


def _places(response: IncomingResponse) -> list[tuple[str, bytes]]:
    return [(f"field {name.decode('latin-1')}", value) for name, value in response.fields]
