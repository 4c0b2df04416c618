"""A node that does much as the reference does not, and nothing that it must not. Run as a program."""

from __future__ import annotations

import json
import secrets
import sys
from collections.abc import AsyncIterator
from typing import Any

import anyio

from conformance.faults.node.base import FaultyNode
from conformance.faults.node.json import RewritingWorker, unique_members
from openpcc_ref.binary_http import Fields
from openpcc_ref.compute_messages import ReceiverContext
from openpcc_ref.compute_node import EngineRequest, Parameters
from openpcc_ref.http1 import Chunk, IncomingRequest, IncomingResponse, Responder, field_value
from openpcc_ref.services.launch import main
from openpcc_ref.services.node import Deliver


class _ByLines:
    """An engine's response, line by line."""

    def __init__(self, response: IncomingResponse) -> None:
        self._response = response

    def __getattr__(self, name: str) -> Any:
        return getattr(self._response, name)

    async def body(self) -> AsyncIterator[Chunk]:
        held = b""
        async for chunk in self._response.body():
            *lines, held = (held + chunk.data).split(b"\n")
            for line in lines:
                yield Chunk(line + b"\n", True, True)
        if held:
            yield Chunk(held, True, True)


class _OtherWorker(RewritingWorker):
    """Writes bodies anew, in an order of its own and without null; passes streams on by lines."""

    passes_rewritten = True

    def rewritten(self, text: str) -> str:
        members = json.loads(text, object_pairs_hook=unique_members)
        return json.dumps(_without_nulls(members), sort_keys=True) if isinstance(members, dict) else text

    async def pass_back(self, engine: EngineRequest, response: IncomingResponse, context: ReceiverContext) -> None:
        await super().pass_back(engine, _ByLines(response), context)  # type: ignore[arg-type]

    async def answer(self, context: ReceiverContext, status: int, fields: Fields, content: bytes) -> None:
        own = ((b"content-type", b"application/json; charset=utf-8"), (b"x-own", b"1"))
        await super().answer(context, status, own, content)


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nulls(member) for name, member in value.items() if member is not None}
    return [_without_nulls(entry) for entry in value] if isinstance(value, list) else value


class _Naming:
    """A responder that gives every answer a name, cuts it into small pieces and keeps no connection."""

    def __init__(self, responder: Responder) -> None:
        self._responder = responder

    def __getattr__(self, name: str) -> Any:
        return getattr(self._responder, name)

    async def send_head(self, status: int, fields: Fields = ()) -> None:
        own = ((b"x-request-id", secrets.token_hex(8).encode()), (b"connection", b"close"))
        await self._responder.send_head(status, (*fields, *own))

    async def send(self, data: bytes) -> None:
        for start in range(0, len(data), 100):
            await self._responder.send(data[start : start + 100])


class OtherNode(FaultyNode):
    """Serves one request after the other, and none twice."""

    worker = _OtherWorker

    async def handle(self, request: IncomingRequest, responder: Responder) -> None:
        await super().handle(request, _Naming(responder))  # type: ignore[arg-type]

    async def compute(self, request: IncomingRequest, responder: Responder) -> None:
        key = field_value(request.fields, b"x-encapsulated-key") or b""
        if key and key in self.known:
            await self.refuse(responder, 409, "again")
        else:
            self.known.add(key)
            await super().compute(request, responder)

    async def work(self, parameters: Parameters, request: IncomingRequest, deliver: Deliver) -> None:
        async with self.lock:
            await super().work(parameters, request, deliver)

    @property
    def known(self) -> set[bytes]:
        """The encapsulated keys that were seen."""
        return self.__dict__.setdefault("_known", set())  # type: ignore[no-any-return]

    @property
    def lock(self) -> anyio.Lock:
        """What lets one request in."""
        return self.__dict__.setdefault("_lock", anyio.Lock())  # type: ignore[no-any-return]


if __name__ == "__main__":
    main(OtherNode, sys.argv[1:])
