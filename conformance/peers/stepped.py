"""Exchanges that a check drives step by step, and several of them side by side."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Generic, TypeVar

import anyio

from conformance.verdicts import Violation, expect
from openpcc_ref.http1 import Connection, Failure, Http1Error, IncomingResponse

T = TypeVar("T")


class SteppedExchange(ABC, Generic[T]):
    """One exchange on a connection of its own; ``T`` is what the role makes of a response."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._response: IncomingResponse | None = None
        self._pieces: list[bytes] = []

    @abstractmethod
    def _answer_of(self, response: IncomingResponse, content: bytes) -> T:
        """Return the answer that a response is."""

    async def send(self, *pieces: bytes) -> None:
        """Send each piece as one HTTP chunk."""
        for piece in pieces:
            await self._connection.send(piece)

    async def finish(self) -> None:
        """End the request cleanly."""
        await self._connection.finish()

    async def abort(self) -> None:
        """Reset the connection."""
        await self._connection.abort()

    async def answer(self) -> T:
        """Return the answer as far as it comes."""
        response = await self._head()
        try:
            async for chunk in response.body():
                self._pieces.append(chunk.data)
        except Http1Error:
            pass  # an answer that breaks off is an observation like any other
        return self._answer_of(response, b"".join(self._pieces))

    async def answer_while_sending(self, piece: bytes, *, times: int) -> T | None:
        """Send ``piece`` again and again until an answer comes; None where the connection is closed without one.

        A violation, if all was sent and still nothing came.
        """
        answers: list[T] = []
        finished = closed = False

        async def receive(scope: anyio.CancelScope) -> None:
            nonlocal closed
            while not answers and not closed:
                last_wait = finished
                try:
                    answers.append(await self.answer())
                except Http1Error as error:
                    closed = error.failure is not Failure.TIMEOUT
                    if last_wait:
                        break
            scope.cancel()

        async with anyio.create_task_group() as group:
            group.start_soon(receive, group.cancel_scope)
            with suppress(Http1Error):  # the other direction says whether that is a refusal
                for _ in range(times):
                    await self.send(piece)
            finished = True
        took = f"{times * len(piece)} bytes taken without an answer"
        expect(bool(answers) or closed, expected="a refusal at some size", observed=took)
        return answers[0] if answers else None

    async def _head(self) -> IncomingResponse:
        if self._response is None:
            self._response = await self._connection.response()
        return self._response


async def side_by_side(jobs: Iterable[Callable[[], Awaitable[object]]]) -> None:
    """Do several things at once; what the first to fail says about the subject is raised when all are over."""
    failures: list[Exception] = []

    async def run(job: Callable[[], Awaitable[object]]) -> None:
        try:
            await job()
        except (Violation, Http1Error) as failure:
            failures.append(failure)

    async with anyio.create_task_group() as group:
        for job in jobs:
            group.start_soon(run, job)
    for failure in failures:
        raise failure
