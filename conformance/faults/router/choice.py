"""Routers whose choice depends on how nodes fare, or that choose again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from conformance.faults import fault
from conformance.faults.router.base import ProxyingRouter
from openpcc_ref.http1 import Fields, IncomingRequest, IncomingResponse, Responder
from openpcc_ref.routing import Candidate, RoutingInfo
from openpcc_ref.services.forwarding import CHUNKED, UpstreamFailed, open_upstream, path_of
from openpcc_ref.services.router import Proxied, Router


class _Counting(Proxied):
    async def run(self) -> None:
        router = self.router
        assert isinstance(router, LeastLoaded)
        router.load[self.candidate.node_id] += 1
        try:
            await super().run()
        finally:
            router.load[self.candidate.node_id] -= 1


@fault(
    id="router.choice.least-loaded",
    breaks=["RTR-037"],
    trips=["router.choice.not-by-load"],
)
class LeastLoaded(ProxyingRouter):
    """Chooses among the nodes with the fewest requests."""

    proxied_class = _Counting

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.load: Counter[str] = Counter()

    def pick(self, candidates: tuple[Candidate, ...], routable: Mapping[str, RoutingInfo]) -> Candidate | None:
        there = [candidate for candidate in candidates if candidate.node_id in routable]
        fewest = min((self.load[candidate.node_id] for candidate in there), default=0)
        return super().pick(tuple(one for one in there if self.load[one.node_id] == fewest), routable)


@fault(
    id="router.choice.avoids-errors",
    breaks=["RTR-037"],
    trips=["router.choice.not-by-errors"],
    also=["router.choice.not-by-load"],
)
class AvoidsErrors(Router):
    """Avoids nodes of which the last five answers were errors, if there is another one."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.errors: Counter[str] = Counter()

    def client_fields(self, response: IncomingResponse, candidate: Candidate) -> Fields:
        failed = response.status >= 400
        self.errors[candidate.node_id] = self.errors[candidate.node_id] + 1 if failed else 0
        return super().client_fields(response, candidate)

    def pick(self, candidates: tuple[Candidate, ...], routable: Mapping[str, RoutingInfo]) -> Candidate | None:
        good = tuple(candidate for candidate in candidates if self.errors[candidate.node_id] < 5)
        return super().pick(good, routable) or super().pick(candidates, routable)


class _AskingOnce(Proxied):
    async def exchange(self) -> None:
        content = [chunk.data async for chunk in self.request.body()]
        try:
            await self.ask(content)
        except UpstreamFailed:
            if self.responder.started:
                raise
            await self.ask(content)

    async def ask(self, content: list[bytes]) -> None:
        """Do the exchange with the node, with content that is here already."""
        fields = self.router.node_fields(self.request, self.candidate, self.transaction.credit)
        async with open_upstream(self.node.url, self.router.step_s) as node:
            await node.send_head(b"POST", path_of(self.node.url), (*fields, *CHUNKED))
            for data in content:
                await node.send(data)
            await node.finish()
            await self.forward_response(node)


@fault(
    id="router.choice.repeats-after-reset",
    breaks=["RTR-072"],
    trips=["router.choice.one-node"],
)
class RepeatsAfterReset(ProxyingRouter):
    """Sends a request once more when the node hangs up before it answers."""

    proxied_class = _AskingOnce


@fault(
    id="router.choice.by-connection",
    breaks=["RTR-037"],
    trips=["router.choice.same-connection"],
)
class ByConnection(Router):
    """Sends requests of one connection to the node that got the first of them, where it can."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.connection = 0
        self.chosen: dict[int, str] = {}

    async def compute(self, request: IncomingRequest, responder: Responder) -> None:
        self.connection = request.connection_id
        await super().compute(request, responder)

    def pick(self, candidates: tuple[Candidate, ...], routable: Mapping[str, RoutingInfo]) -> Candidate | None:
        before = self.chosen.get(self.connection)
        same = tuple(candidate for candidate in candidates if candidate.node_id == before)
        picked = super().pick(same, routable) or super().pick(candidates, routable)
        if picked is not None:
            self.chosen[self.connection] = picked.node_id
        return picked
