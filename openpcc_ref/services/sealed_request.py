"""An encapsulated request on its way in: opened, decoded, and known to be whole only at its end."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from openpcc_ref.binary_http import Content, Event, Fields, RequestDecoder, RequestHead, Trailers
from openpcc_ref.http1 import IncomingRequest
from openpcc_ref.oblivious_http import Form, RequestOpener
from openpcc_ref.services.forwarding import CHUNKED


@dataclass(frozen=True, slots=True)
class InnerRequest:
    """A request whose head is known. ``events`` yields the rest; ``length`` is that of the content, where known."""

    head: RequestHead
    events: AsyncIterator[Event]
    length: int | None
    has_trailers: bool = False

    def framing(self) -> Fields:
        """Return the field that frames the content in HTTP/1.1, whatever the request said of its length."""
        if self.length is None or self.has_trailers:
            return CHUNKED
        if self.length or self.head.method == b"POST":
            return ((b"content-length", str(self.length).encode()),)
        return ()


class SealedRequest:
    """Opens one request. What its methods raise is a :class:`~openpcc_ref.errors.Rejected` or an ``Http1Error``."""

    def __init__(self, outer: IncomingRequest, form: Form, opener: RequestOpener, decoder: RequestDecoder) -> None:
        self.outer = outer
        self.form = form
        self.opener = opener
        self._decoder = decoder

    async def inner(self) -> InnerRequest:
        """Open as much as the head needs: in chunked form its first chunks, else the whole request."""
        if self.form is Form.UNCHUNKED:
            return _whole([event async for event in self._events()])
        events = self._events()
        head = await anext(events)
        assert isinstance(head, RequestHead)
        return InnerRequest(head, events, None)

    async def _events(self) -> AsyncIterator[Event]:
        async for plaintext in self.plaintexts():
            for event in self._decoder.feed(plaintext):
                yield event
        for event in self._decoder.finish():
            yield event

    async def plaintexts(self) -> AsyncIterator[bytes]:
        """Yield what each opened chunk holds; ends without error only after the final one. Requirements: OHT-035."""
        async for chunk in self.outer.body():
            for plaintext in self.opener.feed(chunk.data):
                yield plaintext
        for plaintext in self.opener.finish():
            yield plaintext


def _whole(events: list[Event]) -> InnerRequest:
    head, *rest = events
    assert isinstance(head, RequestHead)
    length = sum(len(event.data) for event in rest if isinstance(event, Content))
    trailers = any(isinstance(event, Trailers) and event.fields for event in rest)
    return InnerRequest(head, _replay(rest), length, trailers)


async def _replay(events: list[Event]) -> AsyncIterator[Event]:
    for event in events:
        yield event
