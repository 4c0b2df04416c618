"""The world around a relay: what its parties note, and whose fault it is when one of them breaks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from conformance.engine import Engine
from conformance.peers import open_world
from conformance.peers.relay import RESPONSE, RelayCase, answers, expect_same, sized
from conformance.peers.relay_view import traces
from conformance.peers.scripted import Received
from conformance.registry import Check
from conformance.roles import Role
from conformance.runfile import Limits, TargetSettings
from conformance.targets import embedded
from conformance.transcript import Transcript
from conformance.verdicts import Attribution, CaseResult, Profile, Verdict, Violation
from openpcc_ref.http1 import Responder

pytestmark = pytest.mark.anyio

LIMITS = Limits(step_s=0.5)


async def grade(function: Callable[[RelayCase], Awaitable[None]]) -> CaseResult:
    check = Check(id="relay.test.a", title="a", requirements=("OHT-053",), needs=(), costly=False, function=function)
    async with open_world(
        Role.RELAY, embedded(Role.RELAY), TargetSettings(mode="launch"), seed="seed", limits=LIMITS
    ) as world:
        engine = Engine(world=world, profile=Profile.STRICT, seed="seed", limits=LIMITS)
        (result,) = [result async for result in engine.run([check])]
    return result


@pytest.fixture
async def case() -> AsyncIterator[RelayCase]:
    async with (
        open_world(
            Role.RELAY, embedded(Role.RELAY), TargetSettings(mode="launch"), seed="seed", limits=LIMITS
        ) as world,
        world.case(Transcript("relay.test.a", "seed")) as opened,
    ):
        yield opened


async def test_a_gateway_that_breaks_is_the_fault_of_the_suite() -> None:
    async def broken(received: Received, responder: Responder) -> None:
        raise KeyError("a slip in the gateway's script")

    async def check(case: RelayCase) -> None:
        case.gateway.answer = broken
        await case.post(case.request())

    result = await grade(check)
    assert (result.verdict, result.attribution) == (Verdict.ERROR, Attribution.SUITE)
    assert "a slip in the gateway's script" in result.observed


async def test_a_broken_gateway_outweighs_the_violation_that_follows_from_it() -> None:
    async def broken(received: Received, responder: Responder) -> None:
        raise KeyError("a slip in the gateway's script")

    async def check(case: RelayCase) -> None:
        case.gateway.answer = broken
        response, _ = await case.post(case.request())
        raise Violation("status 200", f"status {response.status}")

    result = await grade(check)
    assert (result.verdict, result.attribution) == (Verdict.ERROR, Attribution.SUITE)


async def test_a_gateway_that_waits_in_vain_is_no_fault_of_the_suite() -> None:
    async def waits(received: Received, responder: Responder) -> None:
        await received.content(10**6)

    async def check(case: RelayCase) -> None:
        case.gateway.answer = waits
        response, _ = await case.post(case.request())
        raise Violation("status 200", f"status {response.status}")

    result = await grade(check)
    assert (result.verdict, result.observed) == (Verdict.FAIL, "status 502")


async def test_what_arrives_is_kept_by_connection(case: RelayCase) -> None:
    content = case.request()
    await case.post(content)
    (arrived,) = case.arrived()
    assert arrived.startswith(b"POST / HTTP/1.1\r\n")
    assert arrived.endswith(b"\r\n\r\n" + content)
    assert case.arrived("elsewhere") == []


async def test_a_mark_that_arrives_is_found_in_the_field_it_is_in(case: RelayCase) -> None:
    mark = case.canary()
    await case.post(case.request(), fields=((b"incremental", mark),))
    (leak,) = traces(case, {"the mark": mark, "another": case.canary()})
    assert str(leak) == "the mark in field incremental"


async def test_a_mark_outside_all_parts_is_found_on_the_wire(case: RelayCase) -> None:
    content = b"x" + case.canary()
    await case.post(content)
    (leak,) = traces(case, {"the content": content})
    assert str(leak) == "the content in the bytes on the wire"


async def test_each_piece_is_different_and_repeatable(case: RelayCase) -> None:
    pieces = [case.request(), case.response(), case.canary(), *case.request_pieces(), *case.response_pieces()]
    assert len(set(pieces)) == len(pieces)
    assert case.request()[:7] == bytes.fromhex("01003000010001")


async def test_raw_answers_are_told_apart(case: RelayCase) -> None:
    case.gateway.answer = answers(200, sized(RESPONSE, b"12"), b"12")
    async with case.raw_client() as client:
        await client.send(case.raw_request(b"one") + case.raw_request(b"two"))
        first, second = await client.answer(), await client.answer()
        assert first is not None
        assert second is not None
        assert (first.status, first.content, second.content) == (200, b"12", b"12")
        await client.send(b"no request\r\n\r\n")
        refused = await client.answer()
        assert refused is not None
        assert refused.status == 400
        assert await client.answer() is None
    assert [received.body for received in case.gateway.requests] == [b"one", b"two"]


@pytest.mark.parametrize(
    ("received", "told"),
    [
        (b"abcdeX", "6 bytes; the first difference is at byte 5"),
        (b"abc", "3 bytes; one is the start of the other"),
        (b"abcdefg", "7 bytes; one is the start of the other"),
        (b"", "0 bytes; one is the start of the other"),
    ],
)
async def test_a_difference_is_told_with_its_place(received: bytes, told: str) -> None:
    expect_same(b"abcdef", b"abcdef", "content")
    with pytest.raises(Violation) as violation:
        expect_same(b"abcdef", received, "content")
    assert violation.value.observed == told
