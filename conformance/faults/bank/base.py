"""What faulty banks are made of."""

from __future__ import annotations

from typing import ClassVar, TypeVar

from google.protobuf.message import DecodeError, Message

from openpcc_ref.credits import BlindSignRequest, CurrencyValue, Nonce, UnblindedCredit, blind_rsa
from openpcc_ref.credits.nonce import QUANTUM
from openpcc_ref.errors import Rejected, without_check
from openpcc_ref.http1 import IncomingRequest
from openpcc_ref.protobuf import bank_pb2
from openpcc_ref.services.bank import Bank
from openpcc_ref.services.message_service import Answer

REQUESTS: dict[bytes, type[Message]] = {
    b"/deposit": bank_pb2.DepositRequest,
    b"/withdraw": bank_pb2.BatchWithdrawRequest,
    b"/withdraw-full": bank_pb2.WithdrawFullUnblindedRequest,
    b"/exchange": bank_pb2.ExchangeRequest,
    b"/balance": bank_pb2.BalanceRequest,
}

_Message = TypeVar("_Message", bound=Message)


class LenientBank(Bank):
    """``without`` are codes of refusals (``openpcc_ref.errors.require``)."""

    without: ClassVar[tuple[str, ...]] = ()

    async def answer(self, request: IncomingRequest) -> Answer:
        with without_check(*self.without):
            return await super().answer(request)


class CrashingBank(Bank):
    """Says 500 where it should refuse with ``codes``."""

    codes: ClassVar[tuple[str, ...]] = ()

    def status_of(self, rejected: Rejected) -> int:
        return 500 if rejected.code in self.codes else super().status_of(rejected)


class RewritingBank(Bank):
    """Reads each request as ``rewritten`` leaves it."""

    async def read(self, request: IncomingRequest) -> bytes | None:
        content = await super().read(request)
        if content is None:
            return None
        message = REQUESTS[request.target]()
        try:
            message.ParseFromString(content)
        except DecodeError:
            return content
        return self.rewritten(message).SerializeToString()

    def rewritten(self, message: _Message) -> _Message:
        """Return what is read in place of a request."""
        return message


class OwnIssuer(Bank):
    """Makes unblinded credits with ``nonce`` and ``salt``."""

    salt = blind_rsa.ZERO_SALT

    def nonce(self) -> Nonce:
        return Nonce(self.now() // QUANTUM * QUANTUM, self.random(16))

    def issue(self, value: CurrencyValue) -> tuple[UnblindedCredit, int]:
        nonce = self.nonce()
        state = blind_rsa.blind(
            self.issuer.key, nonce.blind_bytes, value.blind_bytes, blinding_factor=1, salt=self.salt
        )
        signature = blind_rsa.finalize(state, self.issuer.blind_sign(BlindSignRequest(value, state.blinded_message)))
        return UnblindedCredit(value, nonce, signature), 0


class Fussy(Rejected):
    """A faulty bank refuses what it should accept."""

    def __init__(self) -> None:
        super().__init__("fault", where="request", expected="what this faulty bank wants")
