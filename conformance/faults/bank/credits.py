"""Banks that misread credits or take bad signatures."""

from __future__ import annotations

from typing import TypeVar

import gmpy2
from google.protobuf.message import Message

from conformance.faults import fault
from conformance.faults.bank.base import CrashingBank, Fussy, LenientBank, RewritingBank
from openpcc_ref.banking.messages import Deposit
from openpcc_ref.credits import AnyCredit, CreditRejected, blind_rsa, pss
from openpcc_ref.http1 import IncomingRequest
from openpcc_ref.protobuf import bank_pb2
from openpcc_ref.protobuf.credit_pb2 import Currency
from openpcc_ref.services.bank import Bank

_Message = TypeVar("_Message", bound=Message)


@fault(
    id="bank.crashes-on-incomplete-credits",
    breaks=["PAY-032"],
    trips=["bank.credit.part-missing", "bank.credit.absent"],
    also=[
        "bank.http.empty",
    ],
)
class CrashesOnIncompleteCredits(CrashingBank):
    """Says 500 where a part of a credit is missing."""

    codes = ("credit.value.absent", "credit.nonce.absent", "credit.signature.absent")


@fault(
    id="bank.crashes-on-incomplete-nonces",
    breaks=["PAY-026"],
    trips=["bank.credit.nonce-incomplete"],
)
class CrashesOnIncompleteNonces(CrashingBank):
    """Says 500 where a nonce has no stamp, or not 16 bytes."""

    codes = ("nonce.timestamp.absent", "nonce.random.length")


@fault(
    id="bank.crashes-on-malformed-values",
    breaks=["PAY-002"],
    trips=["bank.credit.value-malformed", "bank.withdraw.value-malformed"],
)
class CrashesOnMalformedValues(CrashingBank):
    """Says 500 where a value is too short, or has unknown bits."""

    codes = ("currency.bytes.truncated", "currency.bytes.unknown-bits")


@fault(
    id="bank.minds-nanoseconds",
    breaks=["PAY-027"],
    trips=["bank.credit.nanos"],
)
class MindsNanoseconds(Bank):
    """Refuses stamps with a fraction of a second, late."""

    async def answer_deposit(self, request: IncomingRequest, content: bytes) -> bytes:
        answer = await super().answer_deposit(request, content)
        if bank_pb2.DepositRequest.FromString(content).credit.nonce.timestamp.nanos:
            raise Fussy
        return answer


@fault(
    id="bank.reads-special-values-as-amounts",
    breaks=["PAY-003"],
    trips=["bank.credit.special-as-amount", "bank.withdraw.special-as-amount"],
    also=[
        "bank.withdraw.no-amount",
    ],
)
class ReadsSpecialValuesAsAmounts(RewritingBank):
    """Takes a value for special only where its first byte is 1, as deployed banks do."""

    def rewritten(self, message: _Message) -> _Message:
        for value in _values(message):
            if value.currency[:1] == b"\x03":
                value.currency = b"\x02" + value.currency[1:]
        return message


@fault(
    id="bank.cuts-values",
    breaks=["PAY-004"],
    trips=["bank.credit.value-too-long"],
    also=[
        "bank.withdraw.value-too-long",
    ],
)
class CutsValues(RewritingBank):
    """Ignores what follows the two bytes of a value, as deployed banks do."""

    def rewritten(self, message: _Message) -> _Message:
        for value in _values(message):
            value.currency = value.currency[:2]
        return message


def _values(message: Message) -> list[Currency]:
    match message:
        case bank_pb2.DepositRequest() | bank_pb2.ExchangeRequest():
            found = [message.credit.value] if message.credit.HasField("value") else []
        case bank_pb2.BatchWithdrawRequest():
            found = [request.value for request in message.requests if request.HasField("value")]
        case _:
            found = []
    return [value for value in found if value.HasField("currency")]


@fault(
    id="bank.takes-what-is-no-amount",
    breaks=["PAY-075", "PAY-079", "PAY-086"],
    trips=[
        "bank.deposit.zero",
        "bank.deposit.special",
        "bank.exchange.no-amount",
        "bank.withdraw.no-amount",
    ],
    also=[
        "bank.http.error-message",
        "bank.withdraw.special-as-amount",
    ],
)
class TakesWhatIsNoAmount(LenientBank):
    """Books zero and special values as if they were amounts."""

    without = ("currency.amount.zero", "currency.amount.special")


@fault(
    id="bank.verifies-nothing",
    breaks=["PAY-034"],
    trips=[
        "bank.signature.other-key",
        "bank.signature.other-value",
        "bank.signature.exponent-and-message",
        "bank.signature.nonce",
        "bank.signature.changed",
    ],
    also=[
        "bank.signature.before-lock",
        "bank.signature.length",
        "bank.signature.not-below-modulus",
        "bank.signature.salt",
    ],
)
class VerifiesNothing(Bank):
    """Takes every signature for a good one."""

    def verify(self, credit: AnyCredit) -> None:
        return


@fault(
    id="bank.takes-the-exponent-of-the-key",
    breaks=["PAY-043"],
    trips=["bank.signature.exponent-and-message"],
)
class TakesTheExponentOfTheKey(Bank):
    """Takes signatures under 65537 too, which are good for every value."""

    def verify(self, credit: AnyCredit) -> None:
        key = self.issuer.key
        framed = blind_rsa.frame(credit.nonce.blind_bytes, credit.value.blind_bytes)
        recovered = int(gmpy2.powmod(int.from_bytes(credit.signature, "big"), 65537, key.modulus))
        if not pss.verify(framed, recovered.to_bytes(key.length, "big"), key.bits - 1):
            super().verify(credit)


@fault(
    id="bank.takes-signatures-of-any-length",
    breaks=["PAY-053"],
    trips=["bank.signature.length"],
)
class TakesSignaturesOfAnyLength(LenientBank):
    """Reads a signature as a number, however long."""

    without = ("blind-rsa.signature.length",)


@fault(
    id="bank.takes-signatures-above-the-modulus",
    breaks=["PAY-054"],
    trips=["bank.signature.not-below-modulus"],
)
class TakesSignaturesAboveTheModulus(LenientBank):
    """Takes a signature to which the modulus was added, as deployed banks do."""

    without = ("blind-rsa.signature.range",)


@fault(
    id="bank.wants-the-zero-salt",
    breaks=["PAY-047"],
    trips=["bank.signature.salt"],
)
class WantsTheZeroSalt(Bank):
    """Refuses signatures with another salt than clients should use."""

    def verify(self, credit: AnyCredit) -> None:
        encoded = self.issuer.verify(credit).encoded_message
        framed = blind_rsa.frame(credit.nonce.blind_bytes, credit.value.blind_bytes)
        if encoded != pss.encode(framed, self.issuer.key.bits - 1, blind_rsa.ZERO_SALT):
            raise Fussy


@fault(
    id="bank.takes-no-salt",
    breaks=["PAY-047"],
    trips=["bank.signature.salt"],
)
class TakesNoSalt(Bank):
    """Takes signatures without salt too."""

    def verify(self, credit: AnyCredit) -> None:
        try:
            super().verify(credit)
        except CreditRejected:
            key = self.issuer.key
            framed = blind_rsa.frame(credit.nonce.blind_bytes, credit.value.blind_bytes)
            exponent = blind_rsa.derive_exponent(key, credit.value.blind_bytes)
            recovered = int(gmpy2.powmod(int.from_bytes(credit.signature, "big"), exponent, key.modulus))
            if not pss.verify(framed, recovered.to_bytes(key.length, "big"), key.bits - 1, salt_length=0):
                raise


@fault(
    id="bank.locks-before-it-verifies",
    breaks=["PAY-109"],
    trips=["bank.signature.before-lock"],
    also=[
        "bank.nonce-lock.calls",
        "bank.repetition.after-lost-answers",
        "bank.repetition.deposit",
    ],
)
class LocksBeforeItVerifies(Bank):
    """Asks for a lock, and gives it back where the signature turns out to be bad."""

    async def deposit(self, deposit: Deposit) -> int:
        nonce = deposit.credit.nonce
        await self.nonce_lock.release(nonce, await self.nonce_lock.lock(nonce))
        return await super().deposit(deposit)
