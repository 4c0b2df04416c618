"""Routers that change what goes to the node."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

import anyio

from conformance.faults import fault
from conformance.faults.router.base import ProxyingRouter, without_lines
from openpcc_ref.credits import Credit
from openpcc_ref.http1 import Fields, Http1Error, IncomingRequest, Responder, field_value
from openpcc_ref.routing import Candidate, RoutingInfo
from openpcc_ref.services.forwarding import CHUNKED, Upstream, open_upstream, path_of
from openpcc_ref.services.router import Proxied, Refused, Router


@fault(
    id="router.towards-node.credit-passed",
    breaks=["RTR-041"],
    trips=["router.towards-node.payment-stays", "router.towards-node.doubled-fields"],
    also=["router.towards-node.same-view"],
)
class CreditPassed(Router):
    """Passes the credit on."""

    def node_fields(self, request: IncomingRequest, candidate: Candidate, credit: Credit) -> Fields:
        payment = tuple(line for line in request.fields if line[0] == b"x-credit")
        return (*super().node_fields(request, candidate, credit), *payment)


@fault(id="router.towards-node.candidates-renamed", breaks=["RTR-041"], trips=["router.towards-node.payment-stays"])
class CandidatesRenamed(Router):
    """Passes the routing info on under another name."""

    def node_fields(self, request: IncomingRequest, candidate: Candidate, credit: Credit) -> Fields:
        info = field_value(request.fields, b"x-routing-info") or b""
        return (*super().node_fields(request, candidate, credit), (b"x-original-routing-info", info))


@fault(id="router.towards-node.second-lines", breaks=["RTR-041"], trips=["router.towards-node.doubled-fields"])
class SecondLines(Router):
    """Takes away one line of the payment and passes further ones on."""

    def node_fields(self, request: IncomingRequest, candidate: Candidate, credit: Credit) -> Fields:
        further: list[tuple[bytes, bytes]] = []
        for name in (b"x-credit", b"x-routing-info"):
            further += [line for line in request.fields if line[0] == name][1:]
        return (*super().node_fields(request, candidate, credit), *further)


@fault(id="router.towards-node.first-key", breaks=["RTR-042"], trips=["router.towards-node.encapsulated-key"])
class FirstKey(Router):
    """Sends the first candidate's key, whoever is chosen."""

    def node_fields(self, request: IncomingRequest, candidate: Candidate, credit: Credit) -> Fields:
        first = self.candidates_of(request)[0]
        return super().node_fields(request, Candidate(candidate.node_id, first.encapsulated_key), credit)


@fault(id="router.towards-node.clients-key", breaks=["RTR-042"], trips=["router.towards-node.encapsulated-key"])
class ClientsKey(Router):
    """Leaves a key that the client has sent itself."""

    def node_fields(self, request: IncomingRequest, candidate: Candidate, credit: Credit) -> Fields:
        own = tuple(line for line in request.fields if line[0] == b"x-encapsulated-key")
        fields = super().node_fields(request, candidate, credit)
        return (*without_lines(fields, b"x-encapsulated-key"), *own) if own else fields


@fault(id="router.towards-node.clients-amount", breaks=["RTR-043"], trips=["router.towards-node.credit-amount"])
class ClientsAmount(Router):
    """Leaves an amount that the client has sent itself."""

    def node_fields(self, request: IncomingRequest, candidate: Candidate, credit: Credit) -> Fields:
        own = tuple(line for line in request.fields if line[0] == b"x-credit-amount")
        fields = super().node_fields(request, candidate, credit)
        return (*without_lines(fields, b"x-credit-amount"), *own) if own else fields


@fault(id="router.towards-node.amount-as-code", breaks=["RTR-043"], trips=["router.towards-node.credit-amount"])
class AmountAsCode(Router):
    """Sends the code of the value for the amount."""

    def node_fields(self, request: IncomingRequest, candidate: Candidate, credit: Credit) -> Fields:
        fields = super().node_fields(request, candidate, credit)
        return (*without_lines(fields, b"x-credit-amount"), (b"x-credit-amount", str(credit.value.code).encode()))


@fault(
    id="router.towards-node.other-type",
    breaks=["RTR-044"],
    trips=["router.towards-node.content", "router.towards-node.large-content"],
)
class OtherType(Router):
    """Forwards everything as application/octet-stream."""

    def node_fields(self, request: IncomingRequest, candidate: Candidate, credit: Credit) -> Fields:
        fields = without_lines(super().node_fields(request, candidate, credit), b"content-type")
        return (*fields, (b"content-type", b"application/octet-stream"))


@fault(id="router.towards-node.small", breaks=["RTR-044"], trips=["router.towards-node.large-content"])
class Small(Router):
    """Refuses content of more than a megabyte."""

    async def compute(self, request: IncomingRequest, responder: Responder) -> None:
        if int(field_value(request.fields, b"content-length") or 0) > 1 << 20:
            raise Refused(413, "content too large")
        await super().compute(request, responder)


class _Completing(Proxied):
    async def forward_request(self, node: Upstream) -> None:
        try:
            async for chunk in self.request.body():
                await node.send(chunk.data)
        finally:
            with anyio.CancelScope(shield=True):
                await node.finish()


@fault(
    id="router.towards-node.completes-requests",
    breaks=["RTR-044"],
    trips=["router.towards-node.truncated-request"],
    also=["router.settlement.client-gone-before"],
)
class CompletesRequests(ProxyingRouter):
    """Ends a request cleanly whose client has gone."""

    proxied_class = _Completing


class _WhateverCame(Proxied):
    async def exchange(self) -> None:
        content = bytearray()
        with suppress(Http1Error):
            async for chunk in self.request.body():
                content += chunk.data
        fields = self.router.node_fields(self.request, self.candidate, self.transaction.credit)
        async with open_upstream(self.node.url, self.router.step_s) as node:
            await node.send_head(b"POST", path_of(self.node.url), (*fields, *CHUNKED))
            await node.send(bytes(content))
            await node.finish()
            await self.forward_response(node)


@fault(
    id="router.towards-node.whatever-came",
    breaks=["RTR-044"],
    trips=["router.towards-node.truncated-request"],
)
class WhateverCame(ProxyingRouter):
    """Collects requests and forwards what it has when one breaks off."""

    proxied_class = _WhateverCame


@fault(
    id="router.towards-node.latest-key",
    breaks=["RTR-042"],
    trips=["router.robustness.side-by-side"],
)
class LatestKey(Router):
    """Keeps one place for the keys of each node."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.keys: dict[str, Candidate] = {}

    def pick(self, candidates: tuple[Candidate, ...], routable: Mapping[str, RoutingInfo]) -> Candidate | None:
        picked = super().pick(candidates, routable)
        if picked is not None:
            self.keys[picked.node_id] = picked
        return picked

    def node_fields(self, request: IncomingRequest, candidate: Candidate, credit: Credit) -> Fields:
        return super().node_fields(request, self.keys[candidate.node_id], credit)


@fault(
    id="router.towards-node.own-numbers",
    breaks=["RTR-045", "PRIV-015"],
    trips=["router.towards-node.same-view"],
)
class OwnNumbers(Router):
    """Gives every request an identifier under a name of its own."""

    def node_fields(self, request: IncomingRequest, candidate: Candidate, credit: Credit) -> Fields:
        return (*super().node_fields(request, candidate, credit), (b"x-router-job", self.random(8).hex().encode()))


@fault(
    id="router.towards-node.forwarded-for",
    breaks=["RTR-045", "OHT-077"],
    trips=["router.towards-node.forwarding-fields"],
)
class ForwardedFor(Router):
    """Says where a request came from."""

    def node_fields(self, request: IncomingRequest, candidate: Candidate, credit: Credit) -> Fields:
        fields = super().node_fields(request, candidate, credit)
        return (*fields, (b"x-forwarded-for", request.client_address.encode()))


@fault(
    id="router.towards-node.numbered",
    breaks=["PRIV-015"],
    trips=["router.towards-node.forwarding-fields", "router.towards-node.same-view"],
)
class Numbered(Router):
    """Gives every request an identifier."""

    def node_fields(self, request: IncomingRequest, candidate: Candidate, credit: Credit) -> Fields:
        return (*super().node_fields(request, candidate, credit), (b"x-request-id", self.random(8).hex().encode()))


@fault(
    id="router.towards-node.connection-passed",
    breaks=["PRIV-005"],
    trips=["router.towards-node.connection-fields"],
)
class ConnectionPassed(Router):
    """Passes fields of the client's connection on."""

    def node_fields(self, request: IncomingRequest, candidate: Candidate, credit: Credit) -> Fields:
        names = (b"keep-alive", b"proxy-authorization", b"x-hop")
        hops = tuple(line for line in request.fields if line[0] in names)
        return (*super().node_fields(request, candidate, credit), *hops)


class _WithQuery(Proxied):
    async def exchange(self) -> None:
        _, mark, query = self.request.target.partition(b"?")
        self.node = replace(self.node, url=self.node.url + "&" + query.decode("latin-1") if mark else self.node.url)
        await super().exchange()


@fault(id="router.towards-node.clients-query", breaks=["RTR-046"], trips=["router.towards-node.url"])
class ClientsQuery(ProxyingRouter):
    """Adds the client's query to the node's URL."""

    proxied_class = _WithQuery


class _WithTrailers(Proxied):
    async def forward_request(self, node: Upstream) -> None:
        try:
            async for chunk in self.request.body():
                await node.send(chunk.data)
        except Exception:
            await node.abort()
            raise
        await node.finish(self.request.trailers)


@fault(
    id="router.towards-node.trailers-passed",
    breaks=["RTR-041", "RTR-042", "RTR-043"],
    trips=["router.towards-node.payment-in-trailers"],
)
class TrailersPassed(ProxyingRouter):
    """Passes trailers of requests on, whatever they are."""

    proxied_class = _WithTrailers
