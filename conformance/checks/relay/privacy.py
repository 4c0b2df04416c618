"""Nothing that tells one client from another reaches the gateway, and nothing from there marks a client."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack

from conformance.canaries import address_renderings, search
from conformance.peers.relay import RESPONSE, RelayCase, answers, sized
from conformance.peers.relay_view import DEPLOYED_PASSES_FIELDS, expect_no_trace, places, traces
from conformance.peers.scripted import Received
from conformance.registry import check
from conformance.verdicts import expect
from openpcc_ref.http1 import field_values

_IDENTIFYING = (
    "forwarded via x-forwarded-for x-forwarded-host x-forwarded-proto x-forwarded-port x-forwarded-by x-real-ip "
    "x-client-ip client-ip true-client-ip cf-connecting-ip fastly-client-ip x-cluster-client-ip "
    "x-original-forwarded-for x-envoy-external-address x-appengine-user-ip x-azure-clientip x-proxyuser-ip "
    "x-client-cert x-forwarded-client-cert client-cert ssl-client-cert x-ssl-client-dn x-ja3-fingerprint "
    "x-request-id x-correlation-id x-amzn-trace-id traceparent tracestate baggage b3 x-b3-traceid x-session-id "
    "x-connection-id cookie authorization"
)
"""Fields by which intermediaries tell servers about clients."""

_EXPLAINED = (
    "host content-type content-length transfer-encoding content-encoding incremental connection keep-alive te "
    "user-agent accept accept-encoding cache-control pragma date priority"
)
"""Fields that carry the message or speak of the relay itself."""


@check(
    id="relay.privacy.client-address",
    requirements=["OHT-055", "PRIV-002"],
    title="The client's address does not reach the gateway in any form",
)
async def client_address(case: RelayCase) -> None:
    """After an honest exchange, every field the gateway received is searched for the address the client connects
    from: as text, packed, as a number, in base64 and hex, and as a digest."""
    await case.post(case.request())
    searched = [place for place in places(await case.gateway.arrival()) if place[0] != "field host"]
    address = case.client_address
    leaks = search({f"the client's address {address}": address.encode()}, searched, forms=_address_forms)
    expect_no_trace(leaks)


@check(
    id="relay.privacy.nothing-identifying-added",
    requirements=["OHT-055", "PRIV-015"],
    title="No field that tells of the client is added",
)
async def nothing_identifying_added(case: RelayCase) -> None:
    """An honest request carries none of the fields by which intermediaries tell servers about clients, connections or
    traces. None of them may have been added when it arrives."""
    await case.post(case.request())
    _expect_without(await case.gateway.arrival(), _IDENTIFYING.split())


@check(
    id="relay.privacy.nothing-added",
    requirements=["PRIV-005"],
    title="No unknown field is added",
)
async def nothing_added(case: RelayCase) -> None:
    """The fields of an honest request as it arrives are compared with those that carry the message and those by which
    a relay may speak of itself. There must be no others."""
    await case.post(case.request())
    arrived = await case.gateway.arrival()
    known = {*_EXPLAINED.split(), *_IDENTIFYING.split()}
    _expect_without(
        arrived, [name.decode("latin-1") for name, _ in arrived.fields if name.decode("latin-1") not in known]
    )


@check(
    id="relay.privacy.same-view",
    requirements=["OHT-055", "PRIV-015"],
    title="Requests of different clients look the same",
)
async def same_view(case: RelayCase) -> None:
    """Three clients post the same content over connections of their own. Apart from `Date`, the gateway must see the
    same fields each time: a value that differs is an identifier."""
    content = case.request()
    views = []
    for number in range(1, 4):
        await case.post(content)
        arrived = await case.gateway.arrival(number)
        views.append({(name, value) for name, value in arrived.fields if name != b"date"})
    differing = sorted({name.decode("latin-1") for view in views for name, _ in view ^ views[0]})
    expect(
        not differing,
        expected="equal fields at the gateway for three clients",
        observed=f"values of their own in {', '.join(differing)}",
    )


@check(
    id="relay.privacy.connections",
    requirements=["OHT-055"],
    title="Connections to the gateway do not follow clients",
)
async def connections(case: RelayCase) -> None:
    """Twelve clients take turns, each on a connection it keeps. If every client's requests share a connection of their
    own behind the relay, the gateway can tell which belong together; connections must be shared by all or used
    once."""
    by_client = await _take_turns(case, clients=12, turns=2)
    if by_client is None:
        return
    apart = len(set().union(*by_client)) == 12 and all(len(used) == 1 for used in by_client)
    expect(
        not apart,
        expected="connections to the gateway that are shared or used once",
        observed="one connection for each of twelve clients, kept as long as theirs",
    )


@check(
    id="relay.privacy.target",
    requirements=["PRIV-002", "OHT-052"],
    title="Nothing of the client's target reaches the gateway",
)
async def target(case: RelayCase) -> None:
    """The client's path and query contain marks, as if the relay's URL were a personal one. They may not reach the
    gateway in any form."""
    path, query = case.canary(), case.canary()
    here = case.target.rstrip(b"/")
    await case.post(case.request(), target=here + b"/" + path + b"?user=" + query)
    expect_no_trace(traces(case, {"the path": path, "the query": query}))


@check(
    id="relay.privacy.trailers",
    requirements=["PRIV-005", "OHT-056"],
    title="Outer trailers of the client are dropped",
)
async def trailers(case: RelayCase) -> None:
    """A chunked request ends with outer trailers. Encapsulated messages have theirs inside, so none may reach the
    gateway."""
    mark = case.canary()
    announced = ((b"trailer", b"x-mark"), (b"incremental", b"?1"))
    async with case.chunked_post(fields=announced) as connection:
        for piece in case.request_pieces():
            await connection.send(piece)
        await connection.finish(((b"x-mark", mark),))
        await (await connection.response()).read()
    expect_no_trace(traces(case, {"the trailer": mark}))


@check(
    id="relay.privacy.chunk-extensions",
    requirements=["PRIV-005"],
    title="Chunk extensions of the client are dropped",
)
async def chunk_extensions(case: RelayCase) -> None:
    """Every chunk of HTTP may carry extensions, meant for this hop only. A mark in one may not reach the gateway."""
    mark, content = case.canary(), case.request()
    chunked = b"%x;mark=%b\r\n%b\r\n0;end=%b\r\n\r\n" % (len(content), mark, content, mark)
    async with case.raw_client() as client:
        await client.send(case.raw_request(b"", framing=b"transfer-encoding: chunked") + chunked)
        answer = await client.answer()
    refused = answer is not None and 400 <= answer.status <= 499
    expect(
        refused or len(case.gateway.requests) == 1,
        expected="the request at the gateway, or a 4xx",
        observed="neither",
    )
    expect_no_trace(traces(case, {"the chunk extension": mark}))


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
    names = "server-timing via x-request-id x-correlation-id traceparent etag x-served-by".split()
    marks = {name: case.canary() for name in names}
    content = case.response()
    marked = tuple((name.encode(), mark) for name, mark in marks.items())
    case.gateway.answer = answers(200, (*sized(RESPONSE, content), *marked), content)
    response, _ = await case.post(case.request())
    received = [(f"field {name.decode('latin-1')}", value) for name, value in response.fields]
    expect_no_trace(search(marks, received), DEPLOYED_PASSES_FIELDS)


def _expect_without(arrived: Received, names: Sequence[str]) -> None:
    present = [f"{name.decode('latin-1')}: {value.decode('latin-1')}" for name, value in arrived.fields]
    added = [line for line in present if line.partition(":")[0] in names]
    expect(not added, expected="no such field at the gateway", observed="; ".join(added)[:300])


def _address_forms(address: bytes) -> Iterator[tuple[str, bytes]]:
    return address_renderings(address.decode())


async def _take_turns(case: RelayCase, clients: int, turns: int) -> list[set[int]] | None:
    """Let clients ask in turn, each on a connection it keeps; return by client which connections behind the relay were
    used, or None if the relay closes connections after one exchange."""
    async with AsyncExitStack() as stack:
        asking = [await stack.enter_async_context(case.raw_client()) for _ in range(clients)]
        for number, client in enumerate(asking * turns):
            await client.send(case.raw_request(case.request()))
            answer = await client.answer()
            if answer is None and number >= clients:
                return None
            expect(answer is not None, expected="an answer to each client", observed=f"none to client {number + 1}")
    used = [received.connection for received in case.gateway.requests]
    return [set(used[number::clients]) for number in range(clients)]
