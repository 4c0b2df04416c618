"""Banks that take requests for what they are not, or answer in another form."""

from __future__ import annotations

from collections.abc import Mapping

from google.protobuf.message import DecodeError

from conformance.faults import fault
from conformance.faults.bank.base import REQUESTS, CrashingBank, Fussy
from openpcc_ref.http1 import IncomingRequest, field_value
from openpcc_ref.services.bank import Bank
from openpcc_ref.services.message_service import MEDIA_TYPE, Answer, Route


@fault(
    id="bank.answers-under-another-media-type",
    breaks=["PAY-089"],
    trips=["bank.http.answers"],
)
class AnswersUnderAnotherMediaType(Bank):
    """Calls its answers what they are, and not what they are to be called."""

    async def answer(self, request: IncomingRequest) -> Answer:
        answer = await super().answer(request)
        return Answer(answer.status, answer.content, b"application/x-protobuf") if answer.status == 200 else answer


@fault(
    id="bank.minds-unknown-fields",
    breaks=["PAY-089"],
    trips=["bank.http.unknown-fields"],
)
class MindsUnknownFields(Bank):
    """Refuses messages with fields that it does not know."""

    async def read(self, request: IncomingRequest) -> bytes | None:
        content = await super().read(request)
        message = REQUESTS[request.target]()
        try:
            message.ParseFromString(content or b"")
        except DecodeError:
            return content
        before = message.ByteSize()
        message.DiscardUnknownFields()
        return content if message.ByteSize() == before else b""


@fault(
    id="bank.takes-any-method",
    breaks=["PAY-089"],
    trips=["bank.http.methods"],
)
class TakesAnyMethod(Bank):
    """Does what a path says, whatever the method."""

    def method_of(self, request: IncomingRequest) -> bytes:
        return request.method


@fault(
    id="bank.forgives-paths",
    breaks=["PAY-089"],
    trips=["bank.http.paths"],
)
class ForgivesPaths(Bank):
    """Takes paths in upper case, and with a slash at their end, for what was meant."""

    def routes(self) -> Mapping[bytes, Route]:
        known = super().routes()
        return {
            **known,
            **{path + b"/": route for path, route in known.items()},
            **{path.title(): route for path, route in known.items()},
        }


@fault(
    id="bank.crashes-on-malformed-content",
    breaks=["PAY-091"],
    trips=["bank.http.malformed", "bank.http.random"],
)
class CrashesOnMalformedContent(CrashingBank):
    """Says 500 where content is no message, as deployed banks do."""

    codes = ("message.malformed",)


@fault(
    id="bank.crashes-without-content",
    breaks=["PAY-091"],
    trips=["bank.http.empty"],
    also=[
        "bank.account.token-absent",
    ],
)
class CrashesWithoutContent(Bank):
    """Says 500 where there is nothing to read."""

    async def answer(self, request: IncomingRequest) -> Answer:
        if field_value(request.fields, b"content-length") == b"0":
            return self.error(500, "nothing to read")
        return await super().answer(request)


@fault(
    id="bank.reads-everything",
    breaks=["PAY-091"],
    trips=["bank.http.oversized"],
)
class ReadsEverything(Bank):
    """Reads requests of any size."""

    max_content = 1 << 40


@fault(
    id="bank.looks-at-the-media-type-late",
    breaks=["PAY-089"],
    trips=["bank.http.media-type-ignored-or-refused"],
)
class LooksAtTheMediaTypeLate(Bank):
    """Spends a credit, and then refuses the request for its content type."""

    async def answer_deposit(self, request: IncomingRequest, content: bytes) -> bytes:
        answer = await super().answer_deposit(request, content)
        if field_value(request.fields, b"content-type") != MEDIA_TYPE:
            raise Fussy
        return answer


@fault(
    id="bank.explains-in-text",
    breaks=["PAY-089"],
    trips=["bank.http.error-message"],
)
class ExplainsInText(Bank):
    """Explains refusals in plain text."""

    def error(self, status: int, text: str) -> Answer:
        return Answer(status, text.encode(), b"text/plain")
