"""Calibration subjects: programs that are no implementation at all. None of their cases may be graded pass or fail.

``python -m conformance.calibration NAME`` serves one by the launch protocol, for whichever role is asked.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any, Self

import anyio

from openpcc_ref.http1 import IncomingRequest, Responder, field_value
from openpcc_ref.services.launch import Service, main


class Refuses(Service):
    """Answers everything with 404."""

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        return cls()

    async def handle(self, request: IncomingRequest, responder: Responder) -> None:
        await responder.send_head(404, ((b"content-length", b"0"),))
        await responder.finish()


class Agrees(Refuses):
    """Answers everything with an empty 200."""

    async def handle(self, request: IncomingRequest, responder: Responder) -> None:
        await responder.send_head(200, ((b"content-length", b"0"),))
        await responder.finish()


class Echoes(Refuses):
    """Answers with the request's own content under its own media type."""

    async def handle(self, request: IncomingRequest, responder: Responder) -> None:
        content = b"".join([chunk.data async for chunk in request.body()])
        media_type = field_value(request.fields, b"content-type") or b"text/plain"
        fields = ((b"content-type", media_type), (b"content-length", str(len(content)).encode()))
        await responder.send_head(200, fields)
        await responder.send(content)
        await responder.finish()


class Garbles(Refuses):
    """Answers with bytes that are not HTTP."""

    async def handle(self, request: IncomingRequest, responder: Responder) -> None:
        await responder.send_raw(bytes(range(256)))


class HangsUp(Refuses):
    """Resets every connection."""

    async def handle(self, request: IncomingRequest, responder: Responder) -> None:
        await responder.abort()


class KeepsSilent(Refuses):
    """Takes every request and never answers."""

    async def handle(self, request: IncomingRequest, responder: Responder) -> None:
        await anyio.sleep_forever()


class Dies(Refuses):
    """Ends at the first request."""

    async def handle(self, request: IncomingRequest, responder: Responder) -> None:
        os._exit(3)


CALIBRATIONS: dict[str, type[Refuses]] = {
    "refuses": Refuses,
    "agrees": Agrees,
    "echoes": Echoes,
    "garbles": Garbles,
    "hangs-up": HangsUp,
    "keeps-silent": KeepsSilent,
    "dies": Dies,
}
"""Name to the program's service."""

if __name__ == "__main__":
    main(CALIBRATIONS[sys.argv[1]], sys.argv[2:])
