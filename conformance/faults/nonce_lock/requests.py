"""Nonce locks that misjudge nonces, or take requests for what they are not."""

from __future__ import annotations

from collections.abc import Mapping

from conformance.faults import fault
from conformance.faults.nonce_lock.locks import CrashingNonceLock, LenientNonceLock
from openpcc_ref.banking.errors import BankingRejected
from openpcc_ref.credits import Nonce
from openpcc_ref.credits.nonce import QUANTUM
from openpcc_ref.http1 import IncomingRequest, field_value
from openpcc_ref.protobuf import nonce_lock_pb2
from openpcc_ref.services.message_service import MEDIA_TYPE, Answer, Route
from openpcc_ref.services.nonce_lock import NonceLockService


@fault(
    id="nonce-lock.wants-this-hour",
    breaks=["PAY-028"],
    trips=["nonce-lock.nonce.present"],
    also=[
        "nonce-lock.lock.consumed",
        "nonce-lock.nonce.other-stamp",
    ],
)
class WantsThisHour(NonceLockService):
    """Refuses the stamp of the next hour."""

    def require_unexpired(self, nonce: Nonce, now: int) -> None:
        super().require_unexpired(nonce, now)
        if nonce.timestamp > now:
            raise BankingRejected("nonce.too-early", where="nonce", expected="a stamp that is not ahead")


@fault(
    id="nonce-lock.minds-no-age",
    breaks=["PAY-029"],
    trips=["nonce-lock.nonce.expired"],
)
class MindsNoAge(LenientNonceLock):
    """Locks nonces of any age."""

    without = ("nonce.expired",)


@fault(
    id="nonce-lock.minds-no-future",
    breaks=["PAY-029"],
    trips=["nonce-lock.nonce.too-early"],
)
class MindsNoFuture(LenientNonceLock):
    """Locks nonces that nobody can have yet."""

    without = ("nonce.too-early",)


@fault(
    id="nonce-lock.calls-expired-nonces-consumed",
    breaks=["PAY-105"],
    trips=["nonce-lock.nonce.expired", "nonce-lock.nonce.too-early"],
)
class CallsExpiredNoncesConsumed(NonceLockService):
    """Says 410 where a stamp is out of the window."""

    def require_unexpired(self, nonce: Nonce, now: int) -> None:
        if abs(nonce.timestamp - now) > 27 * QUANTUM:
            raise BankingRejected("nonce-lock.consumed", where="nonce", expected="a nonce of today")


@fault(
    id="nonce-lock.takes-nonces-of-any-length",
    breaks=["PAY-026"],
    trips=["nonce-lock.nonce.incomplete"],
)
class TakesNoncesOfAnyLength(LenientNonceLock):
    """Fills short nonces up with zeros and cuts long ones."""

    without = ("nonce.random.length",)


@fault(
    id="nonce-lock.crashes-without-nonce",
    breaks=["PAY-026"],
    trips=["nonce-lock.nonce.absent"],
    also=[
        "nonce-lock.http.random",
    ],
)
class CrashesWithoutNonce(CrashingNonceLock):
    """Says 500 where there is no nonce."""

    codes = ("message.nonce.absent",)


@fault(
    id="nonce-lock.minds-nanoseconds",
    breaks=["PAY-027"],
    trips=["nonce-lock.nonce.nanos"],
    also=[
        "nonce-lock.http.malformed",
        "nonce-lock.http.random",
    ],
)
class MindsNanoseconds(NonceLockService):
    """Takes a nonce with a fraction of a second for another one."""

    async def answer_lock(self, request: IncomingRequest, content: bytes) -> bytes:
        message = nonce_lock_pb2.LockRequest.FromString(content)
        if message.nonce.timestamp.nanos:
            message.nonce.nonce = message.nonce.nonce[::-1]
        return await super().answer_lock(request, message.SerializeToString())


@fault(
    id="nonce-lock.answers-under-another-media-type",
    breaks=["PAY-105"],
    trips=["nonce-lock.http.answers"],
)
class AnswersUnderAnotherMediaType(NonceLockService):
    """Calls its answers what they are, and not what they are to be called."""

    async def answer(self, request: IncomingRequest) -> Answer:
        answer = await super().answer(request)
        return Answer(answer.status, answer.content, b"application/x-protobuf") if answer.status == 200 else answer


@fault(
    id="nonce-lock.takes-any-media-type",
    breaks=["PAY-106"],
    trips=["nonce-lock.http.media-type"],
)
class TakesAnyMediaType(NonceLockService):
    """Does not look at the content type."""

    def require_media_type(self, request: IncomingRequest) -> None:
        return


@fault(
    id="nonce-lock.takes-parameters",
    breaks=["PAY-106"],
    trips=["nonce-lock.http.media-type"],
)
class TakesParameters(NonceLockService):
    """Takes the right content type with a parameter, too."""

    def require_media_type(self, request: IncomingRequest) -> None:
        if not (field_value(request.fields, b"content-type") or b"").startswith(MEDIA_TYPE + b";"):
            super().require_media_type(request)


@fault(
    id="nonce-lock.takes-any-method",
    breaks=["PAY-105"],
    trips=["nonce-lock.http.methods"],
)
class TakesAnyMethod(NonceLockService):
    """Does what a path says, whatever the method."""

    def method_of(self, request: IncomingRequest) -> bytes:
        return request.method


@fault(
    id="nonce-lock.forgives-paths",
    breaks=["PAY-105"],
    trips=["nonce-lock.http.paths"],
)
class ForgivesPaths(NonceLockService):
    """Takes paths in upper case, and with a slash at their end, for what was meant."""

    def routes(self) -> Mapping[bytes, Route]:
        known = super().routes()
        return {
            **known,
            **{path + b"/": route for path, route in known.items()},
            **{path.title(): route for path, route in known.items()},
        }


@fault(
    id="nonce-lock.crashes-on-malformed-content",
    breaks=["PAY-105"],
    trips=["nonce-lock.http.malformed", "nonce-lock.http.random"],
)
class CrashesOnMalformedContent(CrashingNonceLock):
    """Says 500 where content is no message."""

    codes = ("message.malformed",)


@fault(
    id="nonce-lock.reads-everything",
    breaks=["PAY-105"],
    trips=["nonce-lock.http.oversized"],
)
class ReadsEverything(NonceLockService):
    """Reads requests of any size."""

    max_content = 1 << 40


@fault(
    id="nonce-lock.explains-in-text",
    breaks=["PAY-105"],
    trips=["nonce-lock.http.error-message"],
)
class ExplainsInText(NonceLockService):
    """Explains refusals in plain text."""

    def error(self, status: int, text: str) -> Answer:
        return Answer(status, text.encode(), b"text/plain")
