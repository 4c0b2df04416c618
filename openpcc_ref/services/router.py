"""The router: takes a credit, picks a node, passes the sealed request on, and hands out the refund.

Run it as ``python -m openpcc_ref.services.router`` with the configuration ``{"currency_key": {"p": hex, "q": hex},
"nonce_lock_url": …}`` and, if wanted, ``"allow_test_key": true`` and ``"check_every_ms"``. It follows the texts where
deployed routers differ. Requirements: RTR-001 to RTR-020, RTR-031 to RTR-049, RTR-060 to RTR-096.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Self

import anyio

from openpcc_ref.base64_text import to_text
from openpcc_ref.binary_http import without_connection_fields
from openpcc_ref.credits import ATTESTATION, Credit, Issuer, Processor, Transaction
from openpcc_ref.credits import credit as credit_format
from openpcc_ref.credits.currency import CurrencyValue
from openpcc_ref.credits.rsa_keys import PrivateKey
from openpcc_ref.errors import Rejected
from openpcc_ref.http1 import (
    Fields,
    IncomingRequest,
    IncomingResponse,
    Responder,
    field_value,
    field_values,
)
from openpcc_ref.routing import (
    Candidate,
    Manifest,
    NodeTable,
    RoutingInfo,
    RoutingRejected,
    decode_event,
    decode_manifest_request,
    decode_refund_amount,
    decode_request_info,
    encode_manifests,
    pick_candidate,
    select_manifests,
    uniform_index,
)
from openpcc_ref.services.config import Settings
from openpcc_ref.services.forwarding import Upstream, UpstreamFailed, both_ways, framing, open_upstream, path_of
from openpcc_ref.services.health_checker import HealthChecker
from openpcc_ref.services.launch import main
from openpcc_ref.services.message_service import MEDIA_TYPE, Answer, MessageService, Route
from openpcc_ref.services.nonce_lock_client import NonceLockClient, NonceLockUnavailable
from openpcc_ref.services.spending import read_currency_key
from openpcc_ref.sources import Clock, RandomSource, system_clock, system_random

CHECK_EVERY_S = 30.0
"""Pause between two rounds of health checks, in seconds."""

_TO_ROUTER_ONLY = frozenset({b"x-routing-info", b"x-credit", b"host", b"content-length"})
_FORWARDING = frozenset({b"forwarded", b"via", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto"})
_SET_BY_ROUTER = frozenset({b"x-encapsulated-key", b"x-credit-amount"})
_NOT_FOR_CLIENT = frozenset({b"x-node-id", b"x-refund", b"x-refund-amount", b"trailer", b"content-length"})


class Refused(Exception):
    """A request that is answered with an error before anything is forwarded."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


class Router(MessageService):
    """A router for one currency. ``step_s`` bounds each wait for a node, in seconds."""

    def __init__(
        self,
        key: PrivateKey,
        nonce_lock: NonceLockClient,
        *,
        table: NodeTable | None = None,
        clock: Clock = system_clock,
        random: RandomSource = system_random,
        allow_test_key: bool = False,
        check_every_s: float = CHECK_EVERY_S,
        step_s: float = 60.0,
    ) -> None:
        self.processor = Processor(Issuer(key, random=random, clock=clock, allow_test_key=allow_test_key), nonce_lock)
        self.table = table or NodeTable()
        self.clock = clock
        self.random = random
        self.check_every_s = check_every_s
        self.step_s = step_s

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        settings = Settings(config)
        key, allow_test_key = read_currency_key(settings)
        nonce_lock = NonceLockClient(settings.url("nonce_lock_url"))
        every_ms = settings.integer("check_every_ms", 10, 3_600_000) if settings.has("check_every_ms") else None
        settings.end()
        check_every_s = CHECK_EVERY_S if every_ms is None else every_ms / 1000
        return cls(key, nonce_lock, allow_test_key=allow_test_key, check_every_s=check_every_s)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Check the health of nodes while the router serves."""
        checker = HealthChecker(self.table, self.now, interval_s=self.check_every_s)
        async with anyio.create_task_group() as group:
            group.start_soon(checker.run)
            yield
            group.cancel_scope.cancel()

    def now(self) -> float:
        """Return the present moment in Unix seconds."""
        return self.clock().timestamp()

    # -- messages ----------------------------------------------------------------------------------------------------

    def routes(self) -> Mapping[bytes, Route]:
        return {
            b"/ping": self.answer_ping,
            b"/_health": self.answer_health,
            b"/node-events": self.answer_event,
            b"/compute-manifests": self.answer_manifests,
        }

    def method_of(self, request: IncomingRequest) -> bytes:
        path = request.target.partition(b"?")[0]
        return b"GET" if path in (b"/ping", b"/_health") else b"POST"

    async def handle(self, request: IncomingRequest, responder: Responder) -> None:
        path = request.target.partition(b"?")[0]
        try:
            if path == b"/" and request.method == b"POST":
                await self.compute(request, responder)
            elif path == b"/compute-manifests" and request.method == b"POST":
                await self.sell_manifests(request, responder)
            else:
                await self.send(responder, await self.answer(request))
        except Refused as refusal:
            await self.send(responder, self.error(refusal.status, refusal.text))

    async def answer(self, request: IncomingRequest) -> Answer:
        answered = await super().answer(request)
        media_types = {b"/ping": b"text/plain; charset=utf-8", b"/_health": b"application/json"}
        media_type = media_types.get(request.target.partition(b"?")[0])
        if media_type is None or answered.status != 200:
            return answered
        return Answer(200, answered.content, media_type)

    async def answer_ping(self, request: IncomingRequest, content: bytes) -> bytes:
        """Answer ``/ping``. Requirements: RTR-001."""
        return b"pong"

    async def answer_health(self, request: IncomingRequest, content: bytes) -> bytes:
        """Answer ``/_health``."""
        return b'{"status":"OK"}'

    async def answer_event(self, request: IncomingRequest, content: bytes) -> bytes:
        """Take an event of a node. Requirements: RTR-006, RTR-081."""
        self.require_media_type(request)
        self.table.add_event(decode_event(content))
        return b""

    async def answer_manifests(self, request: IncomingRequest, content: bytes) -> bytes:
        """Answer a query for nodes. Requirements: RTR-006, RTR-014 to RTR-020."""
        self.require_media_type(request)
        query = decode_manifest_request(content)
        routable = self.shuffled(list(self.routable().items()))
        nodes = [Manifest(node_id, info.tags, info.evidence) for node_id, info in routable]
        return encode_manifests(select_manifests(query, nodes))

    def require_media_type(self, request: IncomingRequest) -> None:
        """Refuse every content type but the exact one. Requirements: RTR-006."""
        if field_values(request.fields, b"content-type") != (MEDIA_TYPE,):
            raise RoutingRejected("routing.content-type", where="content-type", expected=MEDIA_TYPE.decode())

    def shuffled(self, nodes: list[tuple[str, RoutingInfo]]) -> list[tuple[str, RoutingInfo]]:
        """Return the nodes in random order, so that nobody is listed first for a reason."""
        return [nodes.pop(uniform_index(len(nodes), self.random)) for _ in range(len(nodes))]

    def routable(self) -> dict[str, RoutingInfo]:
        """Return the nodes that requests may go to now."""
        return self.table.routable(self.now())

    # -- payment -----------------------------------------------------------------------------------------------------

    async def sell_manifests(self, request: IncomingRequest, responder: Responder) -> None:
        """Answer a query for an attestation token, which it costs in any case. Requirements: RTR-010 to RTR-013."""
        token = self.credit_of(request)
        if token.value != ATTESTATION:
            raise Refused(400, "invalid credit value")
        transaction = await self.begin(token)
        try:
            await self.send(responder, await self.answer(request))
        finally:
            with anyio.CancelScope(shield=True):
                await self.settle(transaction, delivered=True)

    def credit_of(self, request: IncomingRequest) -> Credit:
        """Return the credit in ``X-Credit``. Requirements: RTR-010, RTR-039."""
        text = field_value(request.fields, b"x-credit") or b""
        try:
            return credit_format.decode_text(Credit, text.decode("latin-1"))
        except Rejected as rejected:
            raise Refused(400, "invalid credit in X-Credit header") from rejected

    async def begin(self, credit: Credit) -> Transaction:
        """Verify a credit, then lock its nonce. Requirements: RTR-038 to RTR-040."""
        try:
            return await self.processor.begin(credit)
        except (Rejected, NonceLockUnavailable) as failure:
            raise Refused(400, "unprocessable credit") from failure

    async def settle(self, transaction: Transaction, *, delivered: bool) -> None:
        """Consume the nonce of a transaction, or release it when nothing was delivered. Requirements: RTR-073, RTR-096.

        A nonce lock that does not answer leaves the lock to expire.
        """
        try:
            await (transaction.commit() if delivered else transaction.rollback())
        except (Rejected, NonceLockUnavailable):
            return

    def unspent(self, response: IncomingResponse, credit: Credit) -> CurrencyValue | None:
        """Return what a node reports as unspent. Requirements: RTR-061 to RTR-064. Raises :class:`Rejected`."""
        reported = field_value(response.trailers, b"x-refund-amount")
        return decode_refund_amount(None if reported is None else reported.decode("latin-1"), credit.value.amount)

    async def refund(self, transaction: Transaction, unspent: CurrencyValue | None) -> Fields:
        """Consume the nonce and return the trailers for the client. Requirements: RTR-060 to RTR-062."""
        if unspent is None:
            await transaction.commit()
            return ()
        credit, usable_from = await transaction.commit_with_unspent(unspent)
        await anyio.sleep(max(0.0, usable_from - self.now()))
        return ((b"X-Refund", credit_format.encode_text(credit).encode()),)

    # -- compute requests --------------------------------------------------------------------------------------------

    async def compute(self, request: IncomingRequest, responder: Responder) -> None:
        """Serve one compute request, in the order that keeps the credit safe. Requirements: RTR-031 to RTR-040."""
        candidates = self.candidates_of(request)
        credit = self.payment_of(request)
        routable = self.routable()
        candidate = self.pick(candidates, routable)
        if candidate is None:
            raise Refused(404, "all candidate nodes unavailable")
        transaction = await self.begin(credit)
        await self.proxied(request, responder, candidate, routable[candidate.node_id], transaction).run()

    def candidates_of(self, request: IncomingRequest) -> tuple[Candidate, ...]:
        """Return the candidates in ``X-Routing-Info``. Requirements: RTR-031, RTR-032."""
        text = field_value(request.fields, b"x-routing-info") or b""
        try:
            return decode_request_info(text.decode("latin-1"))
        except Rejected as rejected:
            raise Refused(400, "invalid routing info in X-Routing-Info header") from rejected

    def payment_of(self, request: IncomingRequest) -> Credit:
        """Return the credit that pays for a compute request, which no special value can do. Requirements: RTR-035."""
        credit = self.credit_of(request)
        if credit.value.special:
            raise Refused(400, "invalid credit value")
        return credit

    def proxied(
        self,
        request: IncomingRequest,
        responder: Responder,
        candidate: Candidate,
        node: RoutingInfo,
        transaction: Transaction,
    ) -> Proxied:
        """Return the exchange with the node that was picked."""
        return Proxied(self, request, responder, candidate, node, transaction)

    def pick(self, candidates: tuple[Candidate, ...], routable: Mapping[str, RoutingInfo]) -> Candidate | None:
        """Return the candidate that gets the request. Requirements: RTR-036, RTR-037."""
        return pick_candidate(candidates, routable, random=self.random)

    def node_fields(self, request: IncomingRequest, candidate: Candidate, credit: Credit) -> Fields:
        """Return the fields that the node gets, without host and framing. Requirements: RTR-041 to RTR-045."""
        dropped = _TO_ROUTER_ONLY | _FORWARDING | _SET_BY_ROUTER
        return (
            *(line for line in without_connection_fields(request.fields) if line[0] not in dropped),
            (b"x-encapsulated-key", to_text(candidate.encapsulated_key).encode()),
            (b"x-credit-amount", str(credit.value.amount).encode()),
        )

    def client_fields(self, response: IncomingResponse, candidate: Candidate) -> Fields:
        """Return the fields that the client gets, without framing. Requirements: RTR-047, RTR-048, RTR-065."""
        return (
            *(line for line in without_connection_fields(response.fields) if line[0] not in _NOT_FOR_CLIENT),
            (b"x-node-id", candidate.node_id.encode()),
            (b"trailer", b"X-Refund"),
        )


class Proxied:
    """One compute request between client and node, with the credit that pays for it."""

    def __init__(
        self,
        router: Router,
        request: IncomingRequest,
        responder: Responder,
        candidate: Candidate,
        node: RoutingInfo,
        transaction: Transaction,
    ) -> None:
        self.router = router
        self.request = request
        self.responder = responder
        self.candidate = candidate
        self.node = node
        self.transaction = transaction
        self.settled = False

    async def run(self) -> None:
        """Forward to the one node; whatever happens, the lock is settled. Requirements: RTR-070 to RTR-074, RTR-096."""
        try:
            await self.exchange()
        except UpstreamFailed:
            if self.responder.started:
                await self.responder.abort()
            else:
                await self.settle()
                await self.answer_unreachable()
        except (Rejected, NonceLockUnavailable):
            # The refund or the nonce lock failed after the last byte: the end must not look like one.
            await self.responder.abort()
        finally:
            await self.settle()

    async def settle(self) -> None:
        """Consume the credit if the client has seen anything of an answer, and release it if not."""
        if not self.settled:
            self.settled = True
            with anyio.CancelScope(shield=True):
                await self.router.settle(self.transaction, delivered=self.responder.started)

    async def answer_unreachable(self) -> None:
        """Say that the node gave no answer. Requirements: RTR-070."""
        content = b"Proxy error\n"
        length = (b"content-length", str(len(content)).encode())
        await self.responder.send_head(502, ((b"content-type", b"text/plain; charset=utf-8"), length))
        await self.responder.send(content)
        await self.responder.finish()

    async def exchange(self) -> None:
        """Do the exchange with the node, both ways at once. Requirements: RTR-044, RTR-046, RTR-072."""
        fields = self.router.node_fields(self.request, self.candidate, self.transaction.credit)
        async with open_upstream(self.node.url, self.router.step_s) as node:
            await node.send_head(b"POST", path_of(self.node.url), (*fields, *framing(self.request)))
            await both_ways(partial(self.forward_request, node), partial(self.forward_response, node))

    async def forward_request(self, node: Upstream) -> None:
        """Pass the sealed request on as it arrives; one that breaks off is never completed."""
        try:
            async for chunk in self.request.body():
                await node.send(chunk.data)
        except Exception:
            await node.abort()
            raise
        await node.finish()

    async def forward_response(self, node: Upstream) -> None:
        """Pass the response back as it arrives, then settle. Requirements: RTR-047 to RTR-049, RTR-060 to RTR-067."""
        response = await node.response()
        fields = (*self.router.client_fields(response, self.candidate), *framing(response))
        await self.responder.send_head(response.status, fields)
        async for chunk in node.content(response):
            await self.responder.send(chunk.data)
        unspent = self.router.unspent(response, self.transaction.credit)
        self.settled = True
        with anyio.CancelScope(shield=True):
            trailers = await self.router.refund(self.transaction, unspent)
        await self.responder.finish(trailers)


if __name__ == "__main__":
    main(Router, sys.argv[1:])
