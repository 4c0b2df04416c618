"""The worker of a compute node: a process that serves one request and ends.

It reads a line of JSON, then the sealed request from standard input, and writes its output, framed, to standard
output. Nothing of a request outlives it. It ends with status 0, with 10 when the request cannot be opened, and with 1
when it fails otherwise; nothing that it read is ever part of what it says about a failure. Requirements: NODE-011 to
NODE-014, NODE-030 to NODE-063.
"""

from __future__ import annotations

import io
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import anyio

from openpcc_ref.binary_http import (
    Content,
    Event,
    RequestDecoder,
    RequestHead,
    ResponseHead,
    field_value,
    prepare_response,
)
from openpcc_ref.compute_messages import (
    RESPONSE_MEDIA_TYPES,
    Form,
    ReceiverContext,
    RequestOpener,
    ResponseSealer,
    content_pieces,
    inner_form,
    response_encoder,
)
from openpcc_ref.compute_node import (
    EngineRequest,
    Footer,
    Header,
    NodeRules,
    Parameters,
    Usage,
    UsageReader,
    encode_chunks,
    encode_footer,
    encode_header,
    refund,
    validate_body,
    validate_head,
    validation_answer,
)
from openpcc_ref.compute_node.errors import require_node
from openpcc_ref.credits.currency import rounding_factor
from openpcc_ref.errors import Rejected
from openpcc_ref.http1 import Http1Error, IncomingResponse, connect
from openpcc_ref.sources import RandomSource, system_random

EXIT_UNOPENED = 10
EXIT_FAILED = 1

SEALED_CHUNK = 532
"""Bytes of a sealed chunk with its length, at most. Requirements: NODE-061."""

_MAX_BESIDE_BODY = 2**20
"""Bytes of a sealed request beside its body: head, padding, framing."""

_PIECE = 65536
"""Bytes of plaintext that are decoded at a time, so that a long message is not held in one more copy."""

Output = Callable[[bytes], Awaitable[None]]


class Unopened(Exception):
    """The request could not be opened; why is nobody's business. Requirements: NODE-006."""


class EngineFailed(Exception):
    """The engine gave no answer, or none that can be passed on."""


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """What a worker is told: the key of the node, its rules, and where the engine is."""

    secret_key: bytes
    rules: NodeRules
    engine_url: str
    step_s: float = 300.0

    def to_json(self, parameters: Parameters) -> bytes:
        """Return the line that starts a worker on one request."""
        members = {
            "secret_key": self.secret_key.hex(),
            "models": sorted(self.rules.models),
            "badge_public_key": self.rules.badge_public_key.hex(),
            "max_body": self.rules.max_body,
            "engine_url": self.engine_url,
            "step_s": self.step_s,
            "form": parameters.form,
            "encapsulated_key": parameters.encapsulated_key.hex(),
            "credit_amount": parameters.credit_amount,
        }
        return json.dumps(members).encode() + b"\n"

    @staticmethod
    def from_json(members: Mapping[str, Any]) -> tuple[WorkerSettings, Parameters]:
        """Return what such a line says."""
        rules = NodeRules(members["models"], bytes.fromhex(members["badge_public_key"]), members["max_body"])
        secret_key = bytes.fromhex(members["secret_key"])
        settings = WorkerSettings(secret_key, rules, members["engine_url"], members["step_s"])
        key = bytes.fromhex(members["encapsulated_key"])
        return settings, Parameters(Form(members["form"]), key, members["credit_amount"])


class Worker:
    """Serves one request. ``output`` takes the framed output as it comes."""

    def __init__(
        self,
        settings: WorkerSettings,
        parameters: Parameters,
        output: Output,
        *,
        random: RandomSource = system_random,
    ) -> None:
        self.settings = settings
        self.parameters = parameters
        self.output = output
        self.random = random

    async def run(self, message: AsyncIterator[bytes]) -> None:
        """Open, validate, ask the engine, answer. Raises :class:`Unopened` and :class:`EngineFailed`."""
        head, body, context, broken = await self.open(message)
        try:
            engine = self.validate(head, body, broken)
        except Rejected as refusal:
            status, text = self.refusal(refusal)
            await self.answer(context, status, ((b"content-type", b"application/json"),), text)
            await self.end(status, None)
            return
        await self.ask_engine(engine, context)

    async def open(self, message: AsyncIterator[bytes]) -> tuple[RequestHead, bytes, ReceiverContext, Rejected | None]:
        """Return head and body of the request, and what broke its body after the head had been opened."""
        inner = InnerRequest(self.settings.rules.max_body)
        broken = None
        try:
            opener = self.opener()
            async for piece in message:
                for plaintext in opener.feed(piece):
                    inner.feed(plaintext)
            for plaintext in opener.finish():
                inner.feed(plaintext)
            inner.finish()
        except Rejected as rejected:
            broken = rejected
        if inner.head is None:
            raise Unopened
        return inner.head, inner.take_body(), opener.context, broken

    def opener(self) -> RequestOpener:
        """Return what opens the request. Requirements: NODE-006, NODE-007."""
        key, form = self.parameters.encapsulated_key, self.parameters.form
        max_whole = self.settings.rules.max_body + _MAX_BESIDE_BODY
        return RequestOpener(key, self.settings.secret_key, form, max_whole=max_whole)

    def validate(self, head: RequestHead, body: bytes, broken: Rejected | None) -> EngineRequest:
        """Return what the engine gets, or refuse. Requirements: NODE-020 to NODE-043."""
        badge = validate_head(head, self.settings.rules)
        undeclared = broken is not None and broken.code == "binary-http.content-length.differs"
        require_node(not undeclared, "body.length", "content-length", "the length of the body")
        require_node(broken is None, "body.broken", "body", "a body that is whole")
        return validate_body(head, body, badge, self.settings.rules)

    def refusal(self, refusal: Rejected) -> tuple[int, bytes]:
        """Return status and body of the sealed answer to a refused request. Requirements: NODE-031, NODE-044."""
        return validation_answer(refusal)

    # -- the engine --------------------------------------------------------------------------------------------------

    async def ask_engine(self, engine: EngineRequest, context: ReceiverContext) -> None:
        """Pass the request to the engine and its answer back, sealed, as it comes. Requirements: NODE-014, NODE-060."""
        try:
            async with connect(self.settings.engine_url, step_s=self.settings.step_s) as connection:
                await connection.send_head(b"POST", engine.path.encode(), self.engine_fields(engine))
                await connection.send(engine.body)
                await connection.finish()
                response = await connection.response()
                await self.pass_back(engine, response, context)
        except Http1Error as error:
            raise EngineFailed from error

    def engine_fields(self, engine: EngineRequest) -> tuple[tuple[bytes, bytes], ...]:
        """Return the fields that the engine gets: none of the client's. Requirements: NODE-014."""
        length = str(len(engine.body)).encode()
        accept = b"application/json, application/x-ndjson, text/event-stream"
        return ((b"content-type", b"application/json"), (b"accept", accept), (b"content-length", length))

    async def pass_back(self, engine: EngineRequest, response: IncomingResponse, context: ReceiverContext) -> None:
        """Seal the engine's answer and write the footer once it is whole. Requirements: NODE-050 to NODE-056."""
        if not 200 <= response.status <= 599 or 300 <= response.status <= 399:
            raise EngineFailed
        length = _content_length(response)
        sealed = self.sealed_answer(context, response.status, response.fields, length)
        usage = UsageReader(engine.path)
        await sealed.start()
        async for chunk in response.body():
            usage.feed(chunk.data)
            await sealed.content(chunk.data)
            if length is None and self.spent(usage):
                await sealed.finish()
                await self.end(response.status, None)
                return
        await sealed.finish()
        await self.end(response.status, usage.finish())

    def spent(self, usage: UsageReader) -> bool:
        """Say whether a stream costs more than its credit already, so that it ends here. Requirements: NODE-056."""
        return Usage(0, usage.tokens).cost > self.parameters.credit_amount

    # -- the output --------------------------------------------------------------------------------------------------

    async def answer(
        self, context: ReceiverContext, status: int, fields: tuple[tuple[bytes, bytes], ...], content: bytes
    ) -> None:
        """Send an answer of the node's own, sealed like any other."""
        sealed = self.sealed_answer(context, status, fields, len(content))
        await sealed.start()
        await sealed.content(content)
        await sealed.finish()

    def sealed_answer(
        self, context: ReceiverContext, status: int, fields: tuple[tuple[bytes, bytes], ...], length: int | None
    ) -> SealedAnswer:
        """Return what writes an answer of this length, or a stream."""
        return SealedAnswer(self, context, status, fields, length)

    def response_sealer(self, context: ReceiverContext, form: Form) -> ResponseSealer:
        """Return what seals the response. Requirements: MSG-052, MSG-060."""
        return ResponseSealer(context, form, random=self.random)

    async def end(self, status: int, usage: Usage | None) -> None:
        """Write the footer, with the refund. Requirements: NODE-010, NODE-050 to NODE-055."""
        await self.output(encode_footer(Footer(self.refund(status, usage))))

    def refund(self, status: int, usage: Usage | None) -> Any:
        """Return what the credit leaves; nothing where its amount is none that a credit can have."""
        try:
            return refund(self.parameters.credit_amount, status, usage, rounding_factor(self.random))
        except Rejected:
            return None


class InnerRequest:
    """The request inside, as far as it has been opened. Of a body above ``max_body`` only the beginning is kept."""

    def __init__(self, max_body: int) -> None:
        self._max_body = max_body
        self.head: RequestHead | None = None
        self.body = bytearray()
        self._decoder = RequestDecoder()

    def feed(self, plaintext: bytes) -> None:
        """Take more of it. Up to the head one octet at a time, so that a fault behind the head does not hide it."""
        start = 0
        while self.head is None and start < len(plaintext):
            self._take(self._decoder.feed(plaintext[start : start + 1]))
            start += 1
        for cut in range(start, len(plaintext), _PIECE):
            self._take(self._decoder.feed(plaintext[cut : cut + _PIECE]))

    def finish(self) -> None:
        """Say that this was all of it."""
        self._take(self._decoder.finish())

    def take_body(self) -> bytes:
        """Return the body and hold it no longer."""
        body, self.body = bytes(self.body), bytearray()
        return body

    def _take(self, events: Iterable[Event]) -> None:
        for event in events:
            if isinstance(event, RequestHead):
                self.head = event
            elif isinstance(event, Content) and len(self.body) <= self._max_body:
                self.body += event.data


class SealedAnswer:
    """Writes one sealed response as framed output: chunked when its length is not known."""

    def __init__(
        self,
        worker: Worker,
        context: ReceiverContext,
        status: int,
        fields: tuple[tuple[bytes, bytes], ...],
        length: int | None,
    ) -> None:
        self._worker = worker
        self._form = inner_form(length)
        self._sealer = worker.response_sealer(context, self._form)
        kept = tuple(line for line in fields if line[0] in (b"content-type", b"cache-control"))
        try:
            head = prepare_response(ResponseHead(status, kept), content_length=length)
            self._encoder = response_encoder(head, content_length=length)
        except ValueError as error:
            raise EngineFailed from error

    async def start(self) -> None:
        """Write the header, then the beginning of the response."""
        chunked = self._form is Form.CHUNKED
        media_type = RESPONSE_MEDIA_TYPES[self._form].decode()
        await self._worker.output(encode_header(Header(media_type, SEALED_CHUNK if chunked else 0)))
        await self._write(self._sealer.header() + self._sealer.seal(self._encoder.start()))

    async def content(self, data: bytes) -> None:
        """Write a piece of content, all of it at once where the response is chunked."""
        for piece in content_pieces(data):
            await self._write(self._sealer.seal(self._encoder.content(piece)))
        await self._write(self._sealer.flush())

    async def finish(self) -> None:
        """Write the end."""
        await self._write(self._sealer.seal(self._encoder.finish()) + self._sealer.finish())

    async def _write(self, data: bytes) -> None:
        if data:
            await self._worker.output(encode_chunks(data))


def _content_length(response: IncomingResponse) -> int | None:
    """Return the declared length of the engine's answer, unless it is sent in chunks."""
    declared = field_value(response.fields, b"content-length")
    chunked = field_value(response.fields, b"transfer-encoding") is not None
    return int(declared) if declared is not None and not chunked else None


async def serve_standard_streams(worker_class: type[Worker] = Worker) -> int:
    """Serve the one request on the standard streams and return the exit status."""
    source, target = cast(io.BufferedReader, sys.stdin.buffer), sys.stdout.buffer
    line = await anyio.to_thread.run_sync(source.readline)
    if not line:
        return 0
    settings, parameters = WorkerSettings.from_json(json.loads(line))

    async def message() -> AsyncIterator[bytes]:
        while piece := await anyio.to_thread.run_sync(source.read1, 65536):
            yield piece

    async def write(data: bytes) -> None:
        target.write(data)
        target.flush()

    try:
        await worker_class(settings, parameters, write).run(message())
    except Unopened:
        return EXIT_UNOPENED
    except (EngineFailed, OSError):
        return EXIT_FAILED
    return 0


if __name__ == "__main__":
    sys.exit(anyio.run(serve_standard_streams))
