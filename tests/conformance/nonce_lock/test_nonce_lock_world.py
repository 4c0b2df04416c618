"""The reference passes every check, what is deployed is excused, and what spends twice is not."""

from __future__ import annotations

import sys

import pytest

from conformance import runs
from conformance.peers.nonce_lock import NonceLockWorld, open_nonce_lock_world
from conformance.registry import checks
from conformance.results import Exit, Subject
from conformance.roles import Role
from conformance.runfile import Limits, TargetSettings
from conformance.targets import LaunchTarget, Target, embedded
from conformance.transcript import Transcript
from conformance.verdicts import CaseResult, Profile, Verdict, Violation

CHECKS = [check for check in checks().values() if check.role is Role.NONCE_LOCK]

pytestmark = pytest.mark.anyio


async def judge(target: Target, profile: Profile = Profile.STRICT) -> tuple[dict[str, CaseResult], Exit]:
    plan = runs.Plan(
        subject=Subject(role=Role.NONCE_LOCK, name="test", where=target.where),
        target=target,
        settings=TargetSettings(mode="launch"),
        checks=CHECKS,
        limits=Limits(),
    )
    result = runs.new_result(profile, "test")
    await runs.execute([plan], profile=profile, seed="test", listeners=(), report=None, into=result)
    return {case.id: case for case in result.cases}, result.exit()


def faulty(name: str) -> LaunchTarget:
    return LaunchTarget([sys.executable, "-m", "conformance.faults", name])


async def test_the_reference_passes_every_check() -> None:
    cases, code = await judge(embedded(Role.NONCE_LOCK))
    assert len(cases) >= 15
    assert {name: case.observed for name, case in cases.items() if case.verdict is not Verdict.PASS} == {}
    assert code is Exit.CLEAN


@pytest.mark.parametrize(
    ("name", "divergence"),
    [
        ("nonce-lock.blames-itself-for-wrong-tickets", "PAY-D11"),
        ("nonce-lock.consumes-once", "PAY-D25"),
    ],
)
async def test_what_is_deployed_is_excused(name: str, divergence: str) -> None:
    cases, code = await judge(faulty(name), Profile.INTEROP_2025)
    assert code is Exit.CLEAN, {n: c.observed for n, c in cases.items() if c.verdict is Verdict.FAIL}
    assert divergence in {case.divergence for case in cases.values()}


@pytest.mark.parametrize("name", ["nonce-lock.grants-at-once", "nonce-lock.releases-consumed-nonces"])
async def test_what_spends_twice_is_excused_by_no_profile(name: str) -> None:
    _, code = await judge(faulty(name), Profile.INTEROP_2025)
    assert code is Exit.FAILED


async def test_consumed_nonces_are_asked_for_after_every_case() -> None:
    target, settings = faulty("nonce-lock.grants-consumed-nonces"), TargetSettings(mode="launch")
    async with open_nonce_lock_world(target, settings, seed="seed", limits=Limits()) as world:
        with pytest.raises(Violation, match="every consumed nonce to stay so"):
            await _consume_one(world)


async def _consume_one(world: NonceLockWorld) -> None:
    async with world.case(Transcript("case", "seed")) as case:
        nonce = case.nonce()
        await case.consume(nonce, await case.lock(nonce))
