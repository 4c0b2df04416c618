"""Requests that arrive together.

Between connecting, sending and being read lies more time than most races take. So each request is sent but for its last
byte, and the last bytes follow when all requests are so far: a subject then has them all in hand at the same moment.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar
from typing import TypeVar

import anyio

from openpcc_ref.http1 import Fields, IncomingResponse, Tap, connect

_GATE_S = 1.0
"""How long requests are held back at the most: a subject that takes one connection at a time must not wait for ever."""

_Answer = TypeVar("_Answer")


class _Gate:
    """Opens when as many as are expected stand before it."""

    def __init__(self, expected: int) -> None:
        self._missing = expected
        self._open = anyio.Event()

    async def passed(self) -> None:
        self._missing -= 1
        if self._missing <= 0:
            self._open.set()
        with anyio.move_on_after(_GATE_S):
            await self._open.wait()


_gate: ContextVar[_Gate | None] = ContextVar("gate", default=None)
"""What the next exchange of the present task waits at."""


async def at_once(calls: Sequence[Callable[[], Awaitable[_Answer]]]) -> list[_Answer]:
    """Do calls so that the first :func:`exchange_beside_others` of each ends at the same moment; return their answers
    in the order of the calls."""
    answers: dict[int, _Answer] = {}
    gate = _Gate(len(calls))

    async def do(number: int, call: Callable[[], Awaitable[_Answer]]) -> None:
        _gate.set(gate)
        answers[number] = await call()

    async with anyio.create_task_group() as group:
        for number, call in enumerate(calls):
            group.start_soon(do, number, call)
    return [answers[number] for number in range(len(calls))]


async def exchange_beside_others(
    url: str, method: bytes, target: bytes, fields: Fields, content: bytes, *, tap: Tap, step_s: float
) -> tuple[IncomingResponse, bytes]:
    """Do an exchange as ``openpcc_ref.http1.exchange`` does; within :func:`at_once` hold its last byte back."""
    gate = _gate.get()
    _gate.set(None)
    length = (b"content-length", str(len(content)).encode())
    async with connect(url, tap=tap, step_s=step_s) as connection:
        await connection.send_head(method, target, (*fields, length))
        if gate is not None:
            await connection.send(content[:-1])
            await gate.passed()
            content = content[-1:]
        await connection.send(content)
        await connection.finish()
        response = await connection.response()
        return response, await response.read()
