"""The nonce lock over HTTP: tickets, consumption, release, time, and everything that is no request."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import anyio
import pytest
from money import MESSAGE, SetClock, post

from openpcc_ref.banking import messages
from openpcc_ref.banking.nonce_state import LOCK_S
from openpcc_ref.credits import Expiry, Nonce
from openpcc_ref.http1 import exchange, field_value
from openpcc_ref.protobuf.error_pb2 import Error
from openpcc_ref.services.nonce_lock import NonceLockService
from openpcc_ref.sources import system_random

pytestmark = pytest.mark.anyio


@dataclass
class Desk:
    """A nonce lock and a client of it."""

    service: NonceLockService
    clock: SetClock
    url: str

    def nonce(self, hours: int = 0) -> Nonce:
        hour = int(self.clock.now.timestamp()) // 3600 * 3600
        return Nonce(hour + hours * 3600, system_random(16))

    async def lock(self, nonce: Nonce) -> tuple[int, str]:
        status, content = await post(self.url, "/lock", messages.encode_lock_request(nonce))
        return status, messages.decode_lock_response(content) if status == 200 else ""

    async def consume(self, nonce: Nonce, ticket: str) -> int:
        return (await post(self.url, "/consume", messages.encode_unlock_request(nonce, ticket)))[0]

    async def release(self, nonce: Nonce, ticket: str) -> int:
        return (await post(self.url, "/release", messages.encode_unlock_request(nonce, ticket)))[0]


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    clock = SetClock()
    service = NonceLockService(clock=clock)
    async with service.listening() as server:
        yield Desk(service, clock, server.url)


async def test_a_nonce_is_locked_then_consumed_for_ever(desk: Desk) -> None:
    nonce = desk.nonce()
    status, ticket = await desk.lock(nonce)
    assert status == 200
    assert await desk.lock(nonce) == (409, "")
    assert await desk.consume(nonce, ticket) == 200
    assert await desk.consume(nonce, ticket) == 200
    assert await desk.release(nonce, ticket) == 410
    assert await desk.lock(nonce) == (410, "")


async def test_a_released_nonce_can_be_locked_again_and_again(desk: Desk) -> None:
    nonce, tickets = desk.nonce(), set()
    for _ in range(5):
        status, ticket = await desk.lock(nonce)
        assert (status, await desk.release(nonce, ticket)) == (200, 200)
        assert await desk.release(nonce, ticket) == 404
        tickets.add(ticket)
    assert len(tickets) == 5


async def test_only_the_ticket_of_the_present_lock_counts(desk: Desk) -> None:
    nonce = desk.nonce()
    assert [await desk.consume(nonce, ticket) for ticket in ("", "00" * 8)] == [404, 404]
    _, old = await desk.lock(nonce)
    await desk.release(nonce, old)
    _, present = await desk.lock(nonce)
    for wrong in ("", old, present.upper() + "0"):
        assert (await desk.consume(nonce, wrong), await desk.release(nonce, wrong)) == (404, 404)
    assert await desk.consume(nonce, present) == 200
    assert (await desk.consume(nonce, old), await desk.release(nonce, old)) == (404, 404)


async def test_another_timestamp_makes_no_other_nonce(desk: Desk) -> None:
    nonce = desk.nonce()
    _, ticket = await desk.lock(nonce)
    await desk.consume(nonce, ticket)
    assert (await desk.lock(replace(nonce, timestamp=nonce.timestamp + 3600)))[0] == 410


async def test_of_many_locks_at_once_one_is_granted(desk: Desk) -> None:
    nonce, statuses = desk.nonce(), []

    async def lock() -> None:
        statuses.append((await desk.lock(nonce))[0])

    async with anyio.create_task_group() as group:
        for _ in range(50):
            group.start_soon(lock)
    assert sorted(statuses) == [200] + [409] * 49


async def test_a_lock_ends_by_itself(desk: Desk) -> None:
    nonce = desk.nonce()
    _, ticket = await desk.lock(nonce)
    desk.clock.advance(seconds=LOCK_S - 1)
    assert (await desk.lock(nonce))[0] == 409
    desk.clock.advance(seconds=1)
    assert await desk.consume(nonce, ticket) == 404
    status, next_ticket = await desk.lock(nonce)
    assert (status, await desk.consume(nonce, ticket), await desk.consume(nonce, next_ticket)) == (200, 404, 200)


@pytest.mark.parametrize(("hours", "status"), [(-28, 400), (-26, 200), (0, 200), (1, 200), (2, 400), (28, 400)])
async def test_stamps_of_another_time_are_refused(desk: Desk, hours: int, status: int) -> None:
    assert (await desk.lock(desk.nonce(hours)))[0] == status


async def test_a_consumed_nonce_is_remembered_as_long_as_its_stamp_is_accepted(desk: Desk) -> None:
    nonce = desk.nonce(1)
    _, ticket = await desk.lock(nonce)
    await desk.consume(nonce, ticket)
    statuses = []
    for _ in range(60):
        statuses.append((await desk.lock(nonce))[0])
        desk.clock.advance(hours=1)
        await desk.lock(desk.nonce())  # an occasion to forget something
    assert statuses == [410] * 28 + [400] * 32


async def test_the_deployed_window_is_one_setting(desk: Desk) -> None:
    desk.service.expiry = Expiry.DEPLOYED
    assert [(await desk.lock(desk.nonce(hours)))[0] for hours in (-1, 0, 26, 27)] == [400, 200, 200, 400]


@pytest.mark.parametrize(
    "fields",
    [
        (),
        ((b"content-type", b"application/x-protobuf"),),
        ((b"content-type", b"application/octet-stream; charset=utf-8"),),
        (*MESSAGE, *MESSAGE),
    ],
)
async def test_another_media_type_is_refused(desk: Desk, fields: tuple[tuple[bytes, bytes], ...]) -> None:
    for path in ("/lock", "/consume", "/release"):
        assert (await post(desk.url, path, messages.encode_lock_request(desk.nonce()), fields))[0] == 400


@pytest.mark.parametrize(
    "content", [b"", b"\xff", b"\x0a\x00", bytes.fromhex("0a0b0a0608808bd2bb06120100"), b"\0" * 99]
)
async def test_what_is_no_message_is_refused_with_a_reason(desk: Desk, content: bytes) -> None:
    for path in ("/lock", "/consume", "/release"):
        status, answer = await post(desk.url, path, content)
        assert status == 400
        assert Error.FromString(answer).Message.startswith(("message.", "nonce."))


async def test_too_much_content_other_methods_and_other_paths(desk: Desk) -> None:
    assert (await post(desk.url, "/lock", bytes(desk.service.max_content + 1)))[0] == 413
    response, _ = await exchange(desk.url, b"GET", b"/lock")
    assert (response.status, field_value(response.fields, b"allow")) == (405, b"POST")
    assert (await post(desk.url, "/unlock", b""))[0] == 404


async def test_answers_are_messages_with_a_length(desk: Desk) -> None:
    nonce = desk.nonce()
    _, ticket = await desk.lock(nonce)
    content = messages.encode_unlock_request(nonce, ticket)
    response, answer = await exchange(desk.url, b"POST", b"/consume", MESSAGE, content)
    assert (response.status, answer, field_value(response.fields, b"content-length")) == (200, b"", b"0")
    assert field_value(response.fields, b"content-type") == b"application/octet-stream"


async def test_the_record_outlives_the_service(tmp_path: Path) -> None:
    clock, path = SetClock(), str(tmp_path / "nonces.db")
    first = NonceLockService(path, clock=clock)
    spent, held = Nonce(int(clock.now.timestamp()), bytes(16)), Nonce(int(clock.now.timestamp()), bytes(15) + b"\1")
    first.consume(spent, first.lock(spent))
    ticket = first.lock(held)
    second = NonceLockService(path, clock=clock)
    assert second.find(spent) == first.find(spent)
    second.release(held, ticket)
    assert first.find(held) is None
