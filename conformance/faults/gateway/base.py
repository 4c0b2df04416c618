"""What faulty gateways are made of: one that leaves out checks of the reference, one with a reader of its own."""

from __future__ import annotations

from openpcc_ref.binary_http import Limits, RequestDecoder
from openpcc_ref.errors import Rejected, without_check
from openpcc_ref.http1 import IncomingRequest, Responder
from openpcc_ref.oblivious_http import Form
from openpcc_ref.services.gateway import Gateway
from openpcc_ref.services.sealed_request import SealedRequest


class LenientGateway(Gateway):
    """``without`` are codes of refusals (``openpcc_ref.errors.require``)."""

    without: tuple[str, ...] = ()

    async def handle(self, request: IncomingRequest, responder: Responder) -> None:
        with without_check(*self.without):
            await super().handle(request, responder)


class ReadingGateway(Gateway):
    """Reads requests with ``reader`` and decodes them within ``limits``."""

    reader: type[SealedRequest] = SealedRequest
    limits = Limits()

    def sealed_request(self, request: IncomingRequest, form: Form) -> SealedRequest:
        return self.reader(request, form, self.opener(form), RequestDecoder(self.limits))


class Fussy(Rejected):
    """A faulty gateway refuses what it should accept."""

    def __init__(self) -> None:
        super().__init__("fault", where="request", expected="what this faulty gateway wants")
