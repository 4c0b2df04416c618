"""Routers that change what comes back to the client."""

from __future__ import annotations

from typing import Any

import anyio

from conformance.faults import fault
from conformance.faults.router.base import CollectingProxied, ProxyingRouter, without_lines
from openpcc_ref.errors import Rejected
from openpcc_ref.http1 import Fields, IncomingRequest, IncomingResponse, Responder
from openpcc_ref.routing import Candidate
from openpcc_ref.services.forwarding import Upstream, UpstreamFailed, framing, open_upstream, path_of
from openpcc_ref.services.nonce_lock_client import NonceLockUnavailable
from openpcc_ref.services.router import Proxied, Router


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
        return (*without_lines(fields, b"x-node-id"), *said) if said else fields


@fault(id="router.responses.errors-unnamed", breaks=["RTR-047"], trips=["router.responses.node-id-on-errors"])
class ErrorsUnnamed(Router):
    """Names no node with an error."""

    def client_fields(self, response: IncomingResponse, candidate: Candidate) -> Fields:
        fields = super().client_fields(response, candidate)
        return without_lines(fields, b"x-node-id") if response.status >= 400 else fields


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
        return without_lines(super().client_fields(response, candidate), b"trailer")


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


class _Unending(Proxied):
    async def run(self) -> None:
        try:
            await self.exchange()
        except UpstreamFailed:
            await self.settle()
            if self.responder.started:
                await anyio.sleep_forever()
            await self.answer_unreachable()
        except (Rejected, NonceLockUnavailable):
            await self.responder.abort()
        finally:
            await self.settle()


@fault(
    id="router.responses.never-ends",
    breaks=["RTR-074"],
    trips=["router.responses.truncated-chunks", "router.responses.truncated-length"],
)
class NeverEnds(ProxyingRouter):
    """Leaves the client waiting when a response breaks off."""

    proxied_class = _Unending


@fault(id="router.responses.hops-passed", breaks=["PRIV-005"], trips=["router.responses.connection-fields"])
class HopsPassed(Router):
    """Passes fields of the node's connection on."""

    def client_fields(self, response: IncomingResponse, candidate: Candidate) -> Fields:
        hops = tuple(line for line in response.fields if line[0] in (b"keep-alive", b"x-hop"))
        return (*super().client_fields(response, candidate), *hops)
