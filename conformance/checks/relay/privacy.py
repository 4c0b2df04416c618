"""Nothing that tells one client from another reaches the gateway."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack

from conformance.canaries import address_renderings, search
from conformance.peers.relay import INCREMENTAL, RelayCase
from conformance.peers.relay_view import expect_no_trace, places, traces
from conformance.peers.scripted import Received
from conformance.registry import check
from conformance.verdicts import expect

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
    """After an honest exchange in each form, every field the gateway received is searched for the address the client
    connects from: as text, packed, as a number, in base64 and hex, and as a digest."""
    arrived = await _in_both_forms(case)
    searched = [place for received in arrived for place in places(received) if place[0] != "field host"]
    address = case.client_address
    leaks = search({f"the client's address {address}": address.encode()}, searched, forms=_address_forms)
    expect_no_trace(leaks)


@check(
    id="relay.privacy.nothing-identifying-added",
    requirements=["OHT-055", "PRIV-015"],
    title="No field that tells of the client is added",
)
async def nothing_identifying_added(case: RelayCase) -> None:
    """An honest request of either form carries none of the fields by which intermediaries tell servers about clients,
    connections or traces. None of them may have been added when it arrives."""
    for arrived in await _in_both_forms(case):
        _expect_without(arrived, _IDENTIFYING.split(), "no field that tells of the client")


@check(
    id="relay.privacy.nothing-added",
    requirements=["PRIV-005"],
    title="No unknown field is added",
)
async def nothing_added(case: RelayCase) -> None:
    """The fields of an honest request of either form as it arrives are compared with those that carry the message and
    those by which a relay may speak of itself. There must be no others."""
    known = {*_EXPLAINED.split(), *_IDENTIFYING.split()}
    for arrived in await _in_both_forms(case):
        names = [name.decode("latin-1") for name, _ in arrived.fields]
        _expect_without(arrived, [name for name in names if name not in known], "no unknown field")


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
        response, _ = await case.post(content)
        arrived = case.forwarded(response, number)
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
    await case.post_in_chunks(fields=(*INCREMENTAL, (b"trailer", b"x-mark")), trailers=((b"x-mark", mark),))
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


async def _in_both_forms(case: RelayCase) -> list[Received]:
    """Post an honest request of each form and return what arrived: relays often have two ways of passing on."""
    whole, _ = await case.post(case.request())
    in_chunks, _ = await case.post_in_chunks()
    return [case.forwarded(whole, 1), case.forwarded(in_chunks, 2)]


def _expect_without(arrived: Received, names: Sequence[str], what: str) -> None:
    present = [f"{name.decode('latin-1')}: {value.decode('latin-1')}" for name, value in arrived.fields]
    added = [line for line in present if line.partition(":")[0] in names]
    expect(not added, expected=f"{what} at the gateway", observed="; ".join(added)[:300])


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
