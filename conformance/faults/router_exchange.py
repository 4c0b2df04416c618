"""Routers that change what goes through them, in either direction."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import anyio

from conformance.faults import fault
from conformance.faults.router_base import CollectingProxied, ProxyingRouter
from openpcc_ref.credits import Credit
from openpcc_ref.http1 import Fields, IncomingRequest, IncomingResponse, Responder, field_value
from openpcc_ref.routing import Candidate
from openpcc_ref.services.forwarding import Upstream, framing, open_upstream, path_of
from openpcc_ref.services.router import Proxied, Refused, Router


def _without(fields: Fields, *names: bytes) -> Fields:
    return tuple(line for line in fields if line[0] not in names)


# -- towards the node ------------------------------------------------------------------------------------------------


@fault(
    id="router.towards-node.credit-passed",
    breaks=["RTR-041"],
    trips=["router.towards-node.payment-stays", "router.towards-node.doubled-fields"],
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
        return (*_without(fields, b"x-encapsulated-key"), *own) if own else fields


@fault(id="router.towards-node.clients-amount", breaks=["RTR-043"], trips=["router.towards-node.credit-amount"])
class ClientsAmount(Router):
    """Leaves an amount that the client has sent itself."""

    def node_fields(self, request: IncomingRequest, candidate: Candidate, credit: Credit) -> Fields:
        own = tuple(line for line in request.fields if line[0] == b"x-credit-amount")
        fields = super().node_fields(request, candidate, credit)
        return (*_without(fields, b"x-credit-amount"), *own) if own else fields


@fault(id="router.towards-node.amount-as-code", breaks=["RTR-043"], trips=["router.towards-node.credit-amount"])
class AmountAsCode(Router):
    """Sends the code of the value for the amount."""

    def node_fields(self, request: IncomingRequest, candidate: Candidate, credit: Credit) -> Fields:
        fields = super().node_fields(request, candidate, credit)
        return (*_without(fields, b"x-credit-amount"), (b"x-credit-amount", str(credit.value.code).encode()))


@fault(
    id="router.towards-node.other-type",
    breaks=["RTR-044"],
    trips=["router.towards-node.content", "router.towards-node.large-content"],
)
class OtherType(Router):
    """Forwards everything as application/octet-stream."""

    def node_fields(self, request: IncomingRequest, candidate: Candidate, credit: Credit) -> Fields:
        fields = _without(super().node_fields(request, candidate, credit), b"content-type")
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


@fault(id="router.towards-node.numbered", breaks=["PRIV-015"], trips=["router.towards-node.forwarding-fields"])
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


# -- towards the client ----------------------------------------------------------------------------------------------


@fault(
    id="router.responses.nodes-word",
    breaks=["RTR-047"],
    trips=["router.responses.node-id"],
)
class NodesWord(Router):
    """Believes a node who it says it is."""

    def client_fields(self, response: IncomingResponse, candidate: Candidate) -> Fields:
        fields = super().client_fields(response, candidate)
        said = tuple(line for line in response.fields if line[0] == b"x-node-id")[:1]
        return (*_without(fields, b"x-node-id"), *said) if said else fields


@fault(id="router.responses.errors-unnamed", breaks=["RTR-047"], trips=["router.responses.node-id-on-errors"])
class ErrorsUnnamed(Router):
    """Names no node with an error."""

    def client_fields(self, response: IncomingResponse, candidate: Candidate) -> Fields:
        fields = super().client_fields(response, candidate)
        return _without(fields, b"x-node-id") if response.status >= 400 else fields


class _MixingProxied(Proxied):
    async def forward_response(self, node: Upstream) -> None:
        router = self.router
        assert isinstance(router, MixesUp)
        self.candidate = router.latest
        await super().forward_response(node)


@fault(id="router.responses.mixed-up", breaks=["RTR-047"], trips=["router.robustness.side-by-side"])
class MixesUp(ProxyingRouter):
    """Names the node that was chosen last."""

    proxied_class = _MixingProxied
    latest = Candidate("", b"")

    def proxied(self, *arguments: Any) -> Proxied:
        self.latest = arguments[2]
        return super().proxied(*arguments)


@fault(id="router.responses.trailer-unannounced", breaks=["RTR-048"], trips=["router.responses.trailer-announced"])
class TrailerUnannounced(Router):
    """Does not announce the trailer."""

    def client_fields(self, response: IncomingResponse, candidate: Candidate) -> Fields:
        return _without(super().client_fields(response, candidate), b"trailer")


class _Relabelling(CollectingProxied):
    async def reply(self, response: IncomingResponse, content: bytes, trailers: Fields, *, complete: bool) -> None:
        response.status = 502 if response.status >= 500 else response.status
        await super().reply(response, content, trailers, complete=complete)


_COLLECTED = [
    "router.responses.both-ways",
    "router.responses.streaming",
    "router.refunds.after-consumption",
    "router.settlement.client-gone",
]
"""What else shows when responses are collected."""


@fault(
    id="router.responses.other-status",
    breaks=["RTR-049"],
    trips=["router.responses.content"],
    also=[*_COLLECTED, "router.refunds.none", "router.settlement.node-error"],
)
class OtherStatus(ProxyingRouter):
    """Answers 502 for a node that answers with a failure."""

    proxied_class = _Relabelling


@fault(
    id="router.responses.collected",
    breaks=["RTR-049"],
    trips=["router.responses.streaming", "router.responses.both-ways"],
    also=_COLLECTED,
)
class Collected(ProxyingRouter):
    """Collects responses before it passes them on."""

    proxied_class = CollectingProxied


class _OneAfterTheOther(Proxied):
    async def exchange(self) -> None:
        fields = self.router.node_fields(self.request, self.candidate, self.transaction.credit)
        async with open_upstream(self.node.url, self.router.step_s) as node:
            await node.send_head(b"POST", path_of(self.node.url), (*fields, *framing(self.request)))
            await self.forward_request(node)
            await self.forward_response(node)


@fault(id="router.responses.one-way", breaks=["RTR-049"], trips=["router.responses.both-ways"])
class OneWay(ProxyingRouter):
    """Looks for the response when the request has ended."""

    proxied_class = _OneAfterTheOther


class _Whole(CollectingProxied):
    async def reply(self, response: IncomingResponse, content: bytes, trailers: Fields, *, complete: bool) -> None:
        await super().reply(response, content, trailers, complete=True)


@fault(
    id="router.responses.always-whole",
    breaks=["RTR-074"],
    trips=["router.responses.truncated-chunks", "router.responses.truncated-length"],
    also=_COLLECTED,
)
class AlwaysWhole(ProxyingRouter):
    """Ends responses cleanly that have broken off."""

    proxied_class = _Whole


@fault(
    id="router.responses.one-at-a-time",
    breaks=["RTR-049"],
    trips=["router.robustness.slow-node", "router.robustness.stalled-clients"],
    also=["router.requests.simultaneous"],
)
class OneAtATime(ProxyingRouter):
    """Does one exchange with nodes after the other."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.only_one = anyio.Lock()

    async def compute(self, request: IncomingRequest, responder: Responder) -> None:
        async with self.only_one:
            await super().compute(request, responder)
