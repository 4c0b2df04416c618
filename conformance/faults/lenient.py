"""A gateway that leaves out checks of the reference; what it is lenient about, its subclass names."""

from __future__ import annotations

from openpcc_ref.errors import without_check
from openpcc_ref.http1 import IncomingRequest, Responder
from openpcc_ref.services.gateway import Gateway


class LenientGateway(Gateway):
    """``without`` are codes of refusals (``openpcc_ref.errors.require``)."""

    without: tuple[str, ...] = ()

    async def handle(self, request: IncomingRequest, responder: Responder) -> None:
        with without_check(*self.without):
            await super().handle(request, responder)
