"""A relay that moves bytes: it reads a head line by line and leaves framing to others."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

import anyio
from anyio.abc import SocketAttribute, SocketStream

from conformance.faults import fault
from openpcc_ref.http1 import Server
from openpcc_ref.services.forwarding import path_of
from openpcc_ref.services.relay import Relay

_PASSED = (b"content-type", b"content-length", b"transfer-encoding", b"incremental", b"accept")
_GONE = (anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream, OSError)


_CONSEQUENCES = [
    "relay.failures.garbage",
    "relay.failures.hang-up",
    "relay.failures.unreachable",
    "relay.privacy.chunk-extensions",
    "relay.privacy.client-software",
    "relay.privacy.connections",
    "relay.privacy.response-cookies",
    "relay.privacy.response-fields",
    "relay.privacy.response-identifiers",
    "relay.privacy.response-trailers",
    "relay.privacy.trailers",
    "relay.resource.connect",
]
"""What else a relay shows that neither reads responses nor counts content."""


class _Listening:
    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"


@fault(
    id="relay.leaves-framing-to-others",
    breaks=["OHT-053", "PRIV-005"],
    trips=[
        "relay.framing.hidden-lines",
        "relay.framing.length-and-chunks",
        "relay.framing.odd-codings",
        "relay.framing.two-lengths",
    ],
    also=_CONSEQUENCES,
)
class LeavesFramingToOthers(Relay):
    """Keeps the lines of a head that it knows, as they are, and passes everything behind the head on unread."""

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[Server | _Listening]:  # type: ignore[override]
        listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0)
        async with anyio.create_task_group() as group:
            group.start_soon(listener.serve, self._serve)
            yield _Listening(listener.extra(SocketAttribute.local_port))
            group.cancel_scope.cancel()

    def line(self, line: bytes) -> bytes:
        """Return a field line as the gateway gets to see it."""
        return line

    async def _serve(self, client: SocketStream) -> None:
        async with client:
            with suppress(*_GONE):
                await self._pass_on(client)

    async def _pass_on(self, client: SocketStream) -> None:
        head, rest = b"", b""
        while not rest and not head.endswith(b"\r\n\r\n"):
            head += await client.receive()
            head, end, rest = head.partition(b"\r\n\r\n")
            head += end
        parts = urlsplit(self.gateway_url)
        lines = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
        kept = [self.line(line) for line in lines[1:] if line.partition(b":")[0].strip().lower() in _PASSED]
        start = [b"POST " + path_of(self.gateway_url) + b" HTTP/1.1", b"host: " + parts.netloc.encode()]
        async with await anyio.connect_tcp(parts.hostname or "", parts.port or 80) as gateway:
            await gateway.send(b"\r\n".join([*start, *kept]) + b"\r\n\r\n" + rest)
            async with anyio.create_task_group() as group:
                group.start_soon(_copy, client, gateway)
                await _copy(gateway, client)
                group.cancel_scope.cancel()


@fault(
    id="relay.guesses-lengths",
    breaks=["OHT-053"],
    trips=["relay.framing.odd-lengths"],
    also=[
        *_CONSEQUENCES,
        "relay.framing.hidden-lines",
        "relay.framing.length-and-chunks",
        "relay.framing.odd-codings",
        "relay.framing.two-lengths",
    ],
)
class GuessesLengths(LeavesFramingToOthers):
    """Takes the first digits it finds in a length for the length."""

    def line(self, line: bytes) -> bytes:
        name, _, value = line.partition(b":")
        digits = re.search(rb"\d+", value)
        return name + b": " + digits[0] if name.lower() == b"content-length" and digits else line


async def _copy(source: SocketStream, sink: SocketStream) -> None:
    with suppress(*_GONE):
        async for data in source:
            await sink.send(data)
