"""Chunked messages pass a relay piece by piece, while they are being made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate

import anyio

from conformance.peers.relay import CHUNKED_RESPONSE, INCREMENTAL, RelayCase
from conformance.peers.scripted import Received
from conformance.registry import check
from conformance.verdicts import Violation
from openpcc_ref.http1 import Connection, Http1Error, Responder

_MANY = 2000
"""Chunks, a mebibyte in all: more than a relay may gather before it passes anything on."""


@check(
    id="relay.streaming.request",
    requirements=["OHT-057"],
    title="The start of a long request arrives before its end is sent",
)
async def request(case: RelayCase) -> None:
    """The client sends a mebibyte of a chunked request and waits. Some of it must reach the gateway although the
    request has no end yet."""
    *pieces, last = case.request_pieces(_MANY)
    async with case.chunked_post() as connection:
        for piece in pieces:
            await connection.send(piece)
        await (await case.gateway.arrival()).content(1)
        await _finish(connection, [last])


@check(
    id="relay.streaming.request-pieces",
    requirements=["OHT-085", "OHT-057"],
    title="Each piece of a request arrives before the next is sent",
)
async def request_pieces(case: RelayCase) -> None:
    """The client sends each piece of a chunked request only when the gateway has the one before, down to a single
    octet."""
    pieces = [*case.request_pieces(6), b"!", b"?"]
    async with case.chunked_post() as connection:
        sent = 0
        for piece in pieces:
            await connection.send(piece)
            sent += len(piece)
            await (await case.gateway.arrival()).content(sent)
        await _finish(connection, ())


@check(
    id="relay.streaming.response",
    requirements=["OHT-057"],
    title="The start of a long response arrives before its end is sent",
)
async def response(case: RelayCase) -> None:
    """The gateway sends a mebibyte of a chunked response and waits. The client must get some of it although the
    response has no end yet."""
    pieces = case.response_pieces(_MANY)
    await _paced_response(case, pieces, {len(pieces) - 1: 1})


@check(
    id="relay.streaming.response-pieces",
    requirements=["OHT-085", "OHT-057"],
    title="Each piece of a response arrives before the next is sent",
)
async def response_pieces(case: RelayCase) -> None:
    """The gateway sends each piece of a chunked response only when the client has the one before, down to a single
    octet: a prompt's answer is read while it is being made."""
    pieces = [*case.response_pieces(6), b"!", b"?"]
    await _paced_response(case, pieces, dict(enumerate(accumulate(map(len, pieces)), 1)))


@check(
    id="relay.streaming.beside-others",
    requirements=["OHT-085"],
    title="An unfinished exchange does not hold back others",
)
async def beside_others(case: RelayCase) -> None:
    """Eight clients have begun chunked requests and pause. The whole chunked exchange of a ninth should go through
    meanwhile."""
    async with anyio.create_task_group() as group:
        begun = [anyio.Event() for _ in range(8)]
        done = anyio.Event()
        for event in begun:
            group.start_soon(_begin, case, event, done)
        for event in begun:
            await event.wait()
        try:
            async with case.chunked_post() as ninth:
                await _finish(ninth, case.request_pieces())
        except Http1Error as error:
            raise Violation("the ninth client's exchange while eight others pause", str(error)) from error
        finally:
            done.set()


async def _begin(case: RelayCase, begun: anyio.Event, done: anyio.Event) -> None:
    pieces = case.request_pieces()
    try:
        async with case.chunked_post() as connection:
            await connection.send(pieces[0])
            begun.set()
            await done.wait()
            await _finish(connection, pieces[1:])
    finally:
        begun.set()


async def _finish(connection: Connection, pieces: Sequence[bytes]) -> None:
    for piece in pieces:
        await connection.send(piece)
    await connection.finish()
    await (await connection.response()).read()


async def _paced_response(case: RelayCase, pieces: Sequence[bytes], due: Mapping[int, int]) -> None:
    """Let the gateway pause after some pieces: ``due`` maps how many were sent to the bytes the client must get
    before more are."""
    gates = {number: anyio.Event() for number in due}

    async def answer(request: Received, responder: Responder) -> None:
        await request.end()
        await responder.send_head(200, ((b"content-type", CHUNKED_RESPONSE), *INCREMENTAL))
        for number, piece in enumerate(pieces, 1):
            await responder.send(piece)
            if number in gates:
                await gates[number].wait()
        await responder.finish()

    case.gateway.answer = answer
    received = 0
    try:
        async with case.chunked_post() as connection:
            for piece in case.request_pieces():
                await connection.send(piece)
            await connection.finish()
            async for chunk in (await connection.response()).body():
                received += len(chunk.data)
                for number, length in due.items():
                    if received >= length:
                        gates[number].set()
    except Http1Error as error:
        held = [number for number in due if not gates[number].is_set()]
        if not held:
            raise
        sent = sum(map(len, pieces[: held[0]]))
        raise Violation(
            f"{due[held[0]]} bytes at the client when the gateway has sent {sent} and waits",
            f"{received} bytes; {error}",
        ) from error
    finally:
        for gate in gates.values():
            gate.set()
