"""Nodes that take chunked requests otherwise than they must."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from conformance.faults import fault
from conformance.faults.node.base import FaultyNode
from openpcc_ref.compute_messages import ComputeMessageRejected, Form, RequestOpener
from openpcc_ref.compute_node import Parameters
from openpcc_ref.errors import Rejected, require
from openpcc_ref.http1 import IncomingRequest
from openpcc_ref.services.node_worker import Unopened, Worker
from openpcc_ref.varint import decode_varint

_NONCE = 12


class _Opener:
    """Opens as the reference does; ``chunked`` says that the request is."""

    def __init__(self, opener: RequestOpener, *, chunked: bool) -> None:
        self.opener = opener
        self.chunked = chunked

    def __getattr__(self, name: str) -> Any:
        return getattr(self.opener, name)

    def feed(self, data: bytes) -> list[bytes]:
        return self.opener.feed(data)

    def finish(self) -> list[bytes]:
        return self.opener.finish()


class _OpeningWorker(Worker):
    opener_class: type[_Opener] = _Opener

    def opener(self) -> Any:
        return self.opener_class(super().opener(), chunked=self.parameters.form is Form.CHUNKED)


class _FullOnly(_Opener):
    short = False

    def feed(self, data: bytes) -> list[bytes]:
        opened = super().feed(data)
        for plaintext in opened:
            if self.short:
                raise Unopened
            self.short = self.chunked and len(plaintext) < 100
        return opened


class _FullOnlyWorker(_OpeningWorker):
    opener_class = _FullOnly


@fault(
    id="node.chunks.full-only",
    breaks=["MSG-077"],
    trips=["node.chunks.sizes"],
)
class FullOnly(FaultyNode):
    """Takes short chunks only at the end."""

    worker = _FullOnlyWorker


class _EmptyFinal(_Opener):
    def finish(self) -> list[bytes]:
        opened = super().finish()
        if self.chunked and any(opened):
            raise Unopened
        return opened


class _EmptyFinalWorker(_OpeningWorker):
    opener_class = _EmptyFinal


@fault(id="node.chunks.empty-final", breaks=["MSG-048"], trips=["node.chunks.final-with-data"])
class EmptyFinal(FaultyNode):
    """Takes no data in a final chunk."""

    worker = _EmptyFinalWorker


class _AnyEnd(_Opener):
    def finish(self) -> list[bytes]:
        try:
            return super().finish()
        except Rejected:
            if not self.chunked:
                raise
            return []


class _AnyEndWorker(_OpeningWorker):
    opener_class = _AnyEnd


@fault(
    id="node.chunks.any-end",
    breaks=["MSG-047", "MSG-045"],
    trips=["node.chunks.final-missing", "node.chunks.after-final"],
)
class AnyEnd(FaultyNode):
    """Does not verify the final chunk, as long as the request is whole."""

    worker = _AnyEndWorker


class _AnyOrder(_Opener):
    def __init__(self, opener: RequestOpener, *, chunked: bool) -> None:
        super().__init__(opener, chunked=chunked)
        self.message = bytearray()
        self.fresh: Callable[[], RequestOpener] = lambda: opener

    def feed(self, data: bytes) -> list[bytes]:
        if not self.chunked:
            return super().feed(data)
        self.message += data
        return []

    def finish(self) -> list[bytes]:
        if not self.chunked:
            return super().finish()
        for message in (bytes(self.message), *_in_other_orders(bytes(self.message))):
            self.opener = self.fresh()
            with suppress(Rejected):
                return [*self.opener.feed(message), *self.opener.finish()]
        raise Unopened


def _in_other_orders(message: bytes) -> Iterator[bytes]:
    """Yield the message without repeated chunks, and with two neighbours swapped."""
    nonce, rest = message[:_NONCE], message[_NONCE:]
    pieces: list[bytes] = []
    while len(rest) > 2 and rest[0]:
        length, start = decode_varint(rest)
        pieces.append(rest[: start + length])
        rest = rest[start + length :]
    yield b"".join((nonce, *dict.fromkeys(pieces), rest))
    for place in range(len(pieces) - 1):
        swapped = [*pieces[:place], pieces[place + 1], pieces[place], *pieces[place + 2 :]]
        yield b"".join((nonce, *swapped, rest))


class _AnyOrderWorker(Worker):
    def opener(self) -> Any:
        opener = _AnyOrder(super().opener(), chunked=self.parameters.form is Form.CHUNKED)
        opener.fresh = super().opener
        return opener


@fault(id="node.chunks.any-order", breaks=["MSG-046"], trips=["node.chunks.order"], also=["node.chunks.long"])
class AnyOrder(FaultyNode):
    """Puts chunks into their order, and leaves out those that come twice."""

    worker = _AnyOrderWorker


@fault(id="node.chunks.any-size", breaks=["MSG-050"], trips=["node.chunks.long"])
class AnySize(FaultyNode):
    """Takes chunks of any size."""

    without = ("chunked-stream.chunk.long",)


@fault(id="node.chunks.empty", breaks=["MSG-049"], trips=["node.chunks.empty"])
class Empty(FaultyNode):
    """Takes data chunks without plaintext."""

    without = ("chunked-stream.chunk.empty",)


@fault(
    id="node.chunks.whole-only",
    breaks=["MSG-044", "NODE-001"],
    trips=["node.opening.chunked"],
    also=[
        "node.badges.required",
        "node.chunks.*",
        "node.opening.body-truncated",
        "node.opening.not-binary-http",
        "node.opening.one-message",
        "node.opening.other-media-type",
        "node.requests.body-length",
        "node.requests.fields-hidden",
        "node.requests.forwarded",
        "node.requests.refusal-form",
        "node.responses.form",
        "node.responses.fresh-nonce",
        "node.responses.known-length",
        "node.streams.client-leaves",
        "node.requests.body-limit",
    ],
)
class WholeOnly(FaultyNode):
    """Knows unchunked requests only."""

    def parameters_of(self, request: IncomingRequest) -> Parameters:
        parameters = super().parameters_of(request)
        known = parameters.form is Form.UNCHUNKED
        code = "compute-message.request.media-type"
        require(known, ComputeMessageRejected, code, where="Content-Type", expected="the unchunked media type")
        return parameters
