"""The launch protocol: how a service runs as a program.

The program reads one line of JSON, its configuration, from standard input; prints one line ``{"url": …}`` when it
serves; and ends when standard input closes. A configuration it cannot use ends it with status 2.
"""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Self

import anyio

from openpcc_ref.http1 import IncomingRequest, Responder, Server, listen
from openpcc_ref.services.config import ConfigRejected


class Service:
    """What the launch protocol runs."""

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Return the service of a configuration. Raises :class:`ConfigRejected`."""
        raise NotImplementedError

    async def handle(self, request: IncomingRequest, responder: Responder) -> None:
        """Answer one request."""
        raise NotImplementedError

    def listening(self) -> AbstractAsyncContextManager[Server]:
        """Serve while the context is open."""
        return listen(self.handle)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep up what the service needs beside its server."""
        yield


def main(service_class: type[Service], argv: Sequence[str]) -> None:
    """Run a service until standard input closes."""
    if argv:
        sys.exit(f"unexpected argument {argv[0]!r}: the configuration is one line of JSON on standard input")
    try:
        config = json.loads(sys.stdin.readline())
        service = service_class.from_config(config)
    except (ValueError, RecursionError):
        sys.stderr.write("config: expected one line of JSON on standard input\n")
        sys.exit(2)
    except ConfigRejected as rejected:
        sys.stderr.write(f"{rejected}\n")
        sys.exit(2)
    anyio.run(_serve, service)


async def _serve(service: Service) -> None:
    async with service.running(), service.listening() as server:
        sys.stdout.write(json.dumps({"url": server.url}) + "\n")
        sys.stdout.flush()
        await anyio.to_thread.run_sync(sys.stdin.read)
