"""What bank, AuthBank and nonce lock have in common: POST requests whose content is one protobuf message.

A service says in ``routes`` which method answers which path, and in ``status_of`` which refusal has which status.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from openpcc_ref.errors import Rejected
from openpcc_ref.http1 import Fields, IncomingRequest, Responder
from openpcc_ref.protobuf.error_pb2 import Error
from openpcc_ref.services.launch import Service

MEDIA_TYPE = b"application/octet-stream"
"""Of every message, in both directions. Requirements: PAY-089, PAY-106, AUTH-003."""

MAX_CONTENT = 1024 * 1024
"""Bytes of a request; more is refused unread. The largest sensible one is a batch of about 8 KiB."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer."""

    status: int
    content: bytes
    media_type: bytes = MEDIA_TYPE
    fields: Fields = ()


Route: TypeAlias = Callable[[IncomingRequest, bytes], Awaitable[bytes]]
"""Takes a request with its content; returns the content of the answer, or raises :class:`Rejected`."""


class MessageService(Service):
    """Answers messages with messages."""

    max_content = MAX_CONTENT

    def routes(self) -> Mapping[bytes, Route]:
        """Return what answers each path."""
        raise NotImplementedError

    async def handle(self, request: IncomingRequest, responder: Responder) -> None:
        await self.send(responder, await self.answer(request))

    async def answer(self, request: IncomingRequest) -> Answer:
        """Return the answer to a request."""
        route = self.routes().get(request.target.partition(b"?")[0])
        if route is None:
            return _text(404, b"Not Found\n")
        if request.method != self.method_of(request):
            return _text(405, b"Method Not Allowed\n", ((b"allow", self.method_of(request)),))
        content = await self.read(request)
        if content is None:
            return self.error(413, f"content too large: at most {self.max_content} bytes")
        try:
            return Answer(200, await route(request, content))
        except Rejected as rejected:
            return self.refused(rejected)

    def method_of(self, request: IncomingRequest) -> bytes:
        """Return the one method that a path has."""
        return b"POST"

    async def read(self, request: IncomingRequest) -> bytes | None:
        """Return the content, or None if it is too long."""
        content = bytearray()
        async for chunk in request.body():
            content += chunk.data
            if len(content) > self.max_content:
                return None
        return bytes(content)

    def refused(self, rejected: Rejected) -> Answer:
        """Return the answer to a request that breaks a rule."""
        return self.error(self.status_of(rejected), str(rejected))

    def status_of(self, rejected: Rejected) -> int:
        """Return the status of a refusal."""
        return 400

    def error(self, status: int, text: str) -> Answer:
        """Return an answer with an ``Error`` message."""
        return Answer(status, Error(Message=text).SerializeToString())

    async def send(self, responder: Responder, answer: Answer) -> None:
        """Send an answer."""
        length = str(len(answer.content)).encode()
        fields = ((b"content-type", answer.media_type), (b"content-length", length), *answer.fields)
        await responder.send_head(answer.status, fields)
        await responder.send(answer.content)
        await responder.finish()


def _text(status: int, text: bytes, fields: Fields = ()) -> Answer:
    return Answer(status, text, b"text/plain; charset=utf-8", fields)
