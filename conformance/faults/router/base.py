"""What faulty routers are made of: one without checks of the reference, one that knows its parts, one that collects."""

from __future__ import annotations

from typing import Any, ClassVar

from openpcc_ref.credits import Credit, Issuer, PrivateKey
from openpcc_ref.credits.currency import CurrencyValue
from openpcc_ref.errors import without_check
from openpcc_ref.http1 import Fields, IncomingRequest, IncomingResponse, Responder
from openpcc_ref.routing import NodeTable
from openpcc_ref.services.forwarding import Upstream, UpstreamFailed
from openpcc_ref.services.nonce_lock_client import NonceLockClient
from openpcc_ref.services.router import Proxied, Router


def without_lines(fields: Fields, *names: bytes) -> Fields:
    """Return the fields but for those of some names."""
    return tuple(line for line in fields if line[0] not in names)


class LenientRouter(Router):
    """``without`` are codes of refusals (``openpcc_ref.errors.require``)."""

    without: tuple[str, ...] = ()

    async def handle(self, request: IncomingRequest, responder: Responder) -> None:
        with without_check(*self.without):
            await super().handle(request, responder)


class PartsRouter(Router):
    """Keeps issuer and nonce lock at hand, and what nodes reported by the nonce that paid for it."""

    table_class: ClassVar[type[NodeTable]] = NodeTable

    def __init__(self, key: PrivateKey, nonce_lock: NonceLockClient, **settings: Any) -> None:
        super().__init__(key, nonce_lock, table=self.table_class(), **settings)
        allow_test_key = settings.get("allow_test_key", False)
        self.issuer = Issuer(key, random=self.random, clock=self.clock, allow_test_key=allow_test_key)
        self.key = key
        self.nonce_lock = nonce_lock
        self.responses: dict[bytes, IncomingResponse] = {}

    def unspent(self, response: IncomingResponse, credit: Credit) -> CurrencyValue | None:
        self.responses[credit.nonce.random] = response
        return super().unspent(response, credit)


class ProxyingRouter(PartsRouter):
    """Does its exchanges with nodes as ``proxied_class`` does."""

    proxied_class: type[Proxied] = Proxied

    def proxied(self, *arguments: Any) -> Proxied:
        return self.proxied_class(self, *arguments)


class CollectingProxied(Proxied):
    """Collects the response and answers with it as one."""

    async def forward_response(self, node: Upstream) -> None:
        response = await node.response()
        content = bytearray()
        complete = True
        try:
            async for chunk in node.content(response):
                content += chunk.data
        except UpstreamFailed:
            complete = False
        trailers: Fields = ()
        if complete:
            unspent = self.router.unspent(response, self.transaction.credit)
            self.settled = True
            trailers = await self.router.refund(self.transaction, unspent)
        await self.reply(response, bytes(content), trailers, complete=complete)

    async def reply(self, response: IncomingResponse, content: bytes, trailers: Fields, *, complete: bool) -> None:
        """Answer the client; ``complete`` says whether the node's response ended as it should."""
        fields = (*self.router.client_fields(response, self.candidate), (b"transfer-encoding", b"chunked"))
        await self.responder.send_head(response.status, fields)
        await self.responder.send(content)
        if complete:
            await self.responder.finish(trailers)
        else:
            await self.responder.abort()
