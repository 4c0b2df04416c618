"""What a worker process writes to its front end, around the sealed response. Requirements: NODE-062.

``varint(length) header``, then chunks of ``varint(length) octets``, then ``00``, then ``varint(length) footer``. Header
and footer are for the front end; the chunks together are the sealed response.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

from openpcc_ref.compute_node.errors import ComputeNodeRejected, require_node
from openpcc_ref.credits import currency
from openpcc_ref.credits.currency import CurrencyValue
from openpcc_ref.protobuf import compute_node_pb2, parse
from openpcc_ref.varint import encode_varint, varint_length

MAX_LENGTH = 32768
"""Bytes of a header, a chunk or a footer, at most."""


@dataclass(frozen=True, slots=True)
class Header:
    """The media type of the sealed response, and the most octets of one of its chunks (0: it is not chunked)."""

    media_type: str
    max_chunk: int


@dataclass(frozen=True, slots=True)
class Footer:
    """The end of the output; without a refund nothing is refunded."""

    refund: CurrencyValue | None


def encode_header(header: Header) -> bytes:
    """Return the framed header."""
    message = compute_node_pb2.OutputHeader(media_type=header.media_type, max_chunk_len=header.max_chunk)
    return _framed(message.SerializeToString())


def encode_chunks(data: bytes) -> bytes:
    """Return ``data`` framed in as many chunks as it takes; nothing for nothing."""
    pieces = (data[start : start + MAX_LENGTH] for start in range(0, len(data), MAX_LENGTH))
    return b"".join(map(_framed, pieces))


def encode_footer(footer: Footer) -> bytes:
    """Return the end of the chunks and the framed footer."""
    message = compute_node_pb2.OutputFooter()
    if footer.refund is not None:
        message.Refund.CopyFrom(currency.to_message(footer.refund))
    return encode_varint(0) + _framed(message.SerializeToString())


class OutputDecoder:
    """Decodes the output as it arrives: a header, chunks, a footer.

    Raises :class:`ComputeNodeRejected` with ``compute-node.output.long``, ``….header``, ``….footer``, ``….trailing``
    and, when ``finish`` finds no footer, ``….truncated``.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._events: list[Header | bytes | Footer] = []
        self._steps = self._parse()
        self._done = False
        next(self._steps)

    def feed(self, data: bytes) -> list[Header | bytes | Footer]:
        """Take more bytes and return what they complete."""
        self._buffer += data
        if not self._done:
            try:
                next(self._steps)
            except StopIteration:
                self._done = True
        if self._done:
            require_node(not self._buffer, "output.trailing", "output", "nothing behind the footer")
        events, self._events = self._events, []
        return events

    def finish(self) -> None:
        """Say that the output ends here."""
        require_node(self._done, "output.truncated", "output", "a footer before the end")

    def _parse(self) -> Generator[None, None, None]:
        yield
        header = yield from self._framed("header")
        message = parse(compute_node_pb2.OutputHeader, header, ComputeNodeRejected, "compute-node.output.header")
        named = bool(message.media_type) and message.max_chunk_len >= 0
        require_node(named, "output.header", "header", "a media type and no negative length")
        self._events.append(Header(message.media_type, message.max_chunk_len))
        while chunk := (yield from self._framed("chunk")):
            self._events.append(chunk)
        footer = yield from self._framed("footer")
        end = parse(compute_node_pb2.OutputFooter, footer, ComputeNodeRejected, "compute-node.output.footer")
        refund = currency.from_message(end.Refund) if end.HasField("Refund") else None
        self._events.append(Footer(refund))

    def _framed(self, part: str) -> Generator[None, None, bytes]:
        while not self._buffer or len(self._buffer) < varint_length(self._buffer[0]):
            yield
        size = varint_length(self._buffer[0])
        length = int.from_bytes(self._buffer[:size], "big") & (1 << (8 * size - 2)) - 1
        require_node(length <= MAX_LENGTH, "output.long", part, f"at most {MAX_LENGTH} bytes")
        while len(self._buffer) < size + length:
            yield
        data = bytes(self._buffer[size : size + length])
        del self._buffer[: size + length]
        return data


def _framed(data: bytes) -> bytes:
    return encode_varint(len(data)) + data
