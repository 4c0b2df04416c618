"""Requests through the relay: sealed to the gateway, answered as they arrive. Chapter: ``spec/oblivious_http.md``.

Requirements: OHT-019 to OHT-022, OHT-038, OHT-044.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from openpcc_ref.binary_http import (
    Content,
    Event,
    Fields,
    Request,
    RequestHead,
    ResponseDecoder,
    ResponseHead,
    Trailers,
    encode_request,
    field_value,
)
from openpcc_ref.client.errors import NoAnswer
from openpcc_ref.errors import Rejected
from openpcc_ref.http1 import Http1Error, IncomingResponse, connect
from openpcc_ref.oblivious_http import Form, KeyConfig, RequestSealer, ResponseContext, ResponseOpener
from openpcc_ref.sources import RandomSource, system_random

CHUNK = 532
"""Plaintext bytes of a chunk, and the multiple that requests are padded to. Requirements: OHT-038."""


class ObliviousAnswer:
    """The inner answer. ``trailers`` is set once ``content`` has been read to its end; only then is it whole."""

    def __init__(self, head: ResponseHead, events: AsyncIterator[Event]) -> None:
        self.status = head.status
        self.fields = head.fields
        self.trailers: Fields = ()
        self.complete = False
        self._events = events

    async def content(self) -> AsyncIterator[bytes]:
        """Yield the content as it arrives. Raises :class:`NoAnswer` for an answer that breaks off."""
        async for event in self._events:
            if isinstance(event, Content):
                yield event.data
            elif isinstance(event, Trailers):
                self.trailers = event.fields
        self.complete = True

    async def read(self) -> bytes:
        """Return the rest of the content."""
        return b"".join([piece async for piece in self.content()])


class ObliviousClient:
    """Sends requests to whoever is behind the gateway, each on a connection of its own.

    ``step_s`` bounds each wait, in seconds; ``local_host`` is the address to connect from.
    """

    def __init__(
        self,
        relay_url: str,
        gateway_key: KeyConfig,
        *,
        random: RandomSource = system_random,
        step_s: float = 60.0,
        local_host: str | None = None,
    ) -> None:
        self._relay_url = relay_url
        self._gateway_key = gateway_key
        self._random = random
        self._step_s = step_s
        self._local_host = local_host

    @asynccontextmanager
    async def exchange(
        self, authority: bytes, path: bytes, fields: Fields, content: bytes
    ) -> AsyncIterator[ObliviousAnswer]:
        """POST to ``authority`` and open the answer as it comes. Raises :class:`NoAnswer`."""
        head = RequestHead(b"POST", b"http", authority, path, fields)
        plaintext = encode_request(Request(head, content), indeterminate=True, pad_to=CHUNK)
        sealer = RequestSealer(self._gateway_key, Form.CHUNKED, random=self._random)
        pieces = [plaintext[start : start + CHUNK] for start in range(0, len(plaintext), CHUNK)]
        message = b"".join([sealer.header(), *map(sealer.seal, pieces), sealer.finish()])
        outer_fields = (
            (b"content-type", Form.CHUNKED.request_media_type),
            (b"content-length", str(len(message)).encode()),
        )
        try:
            async with connect(self._relay_url, step_s=self._step_s, local_host=self._local_host) as connection:
                await connection.send_head(b"POST", b"/", outer_fields)
                await connection.send(message)
                await connection.finish()
                events = _events(await connection.response(), sealer.context)
                yield ObliviousAnswer(await _final_head(events), events)
        except Http1Error as error:
            raise NoAnswer(str(error)) from error

    async def post(
        self, authority: bytes, path: bytes, fields: Fields, content: bytes
    ) -> tuple[ObliviousAnswer, bytes]:
        """Do one exchange and return the answer with its whole content. Raises :class:`NoAnswer`."""
        async with self.exchange(authority, path, fields, content) as answer:
            return answer, await answer.read()


async def _final_head(events: AsyncIterator[Event]) -> ResponseHead:
    async for event in events:
        if isinstance(event, ResponseHead) and event.status >= 200:
            return event
    raise NoAnswer("the answer has no head")


async def _events(outer: IncomingResponse, context: ResponseContext) -> AsyncIterator[Event]:
    """Yield the parts of the inner answer. Raises :class:`NoAnswer` for one that cannot be opened."""
    media_type = field_value(outer.fields, b"content-type")
    form = next((form for form in Form if form.response_media_type == media_type), None)
    if outer.status != 200 or form is None:
        raise NoAnswer(f"relay or gateway answered with status {outer.status}")
    opener, decoder = ResponseOpener(context, form), ResponseDecoder()
    try:
        async for chunk in outer.body():
            for piece in opener.feed(chunk.data):
                for event in decoder.feed(piece):
                    yield event
        for piece in opener.finish():
            for event in decoder.feed(piece):
                yield event
        for event in decoder.finish():
            yield event
    except (Http1Error, Rejected) as error:
        raise NoAnswer(str(error)) from error
