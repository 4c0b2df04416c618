"""The reference passes every check, faults and only they are noticed, and what the operator forgot is said."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import pytest

from conformance import runs
from conformance.faults import faults
from conformance.peers.router import open_router_world
from conformance.registry import Check, checks
from conformance.results import Subject
from conformance.roles import Role
from conformance.runfile import Limits, TargetSettings
from conformance.selftest import STEP_S, trials, uncovered
from conformance.targets import LaunchTarget, TargetFailed, UrlTarget, embedded
from conformance.transcript import Transcript
from conformance.verdicts import CaseResult, Profile, Verdict

CHECKS = [check for check in checks().values() if check.role is Role.ROUTER]
FAULTS = [fault for fault in faults().values() if fault.role is Role.ROUTER]


async def judge(
    target: LaunchTarget | UrlTarget, met: Sequence[Check], profile: Profile = Profile.STRICT
) -> list[CaseResult]:
    result = runs.new_result(profile, "test")
    plan = runs.Plan(
        subject=Subject(role=Role.ROUTER, name="test", where=target.where),
        target=target,
        settings=TargetSettings(mode="launch"),
        checks=met,
    )
    await runs.execute([plan], profile=profile, seed="test", listeners=(), report=None, into=result)
    return result.cases


def faulty(name: str) -> LaunchTarget:
    return LaunchTarget([sys.executable, "-m", "conformance.faults", name])


@pytest.mark.anyio
async def test_the_reference_passes_every_quick_check() -> None:
    cases = await judge(embedded(Role.ROUTER), [check for check in CHECKS if not check.costly])
    assert len(cases) > 100
    assert {case.id: case.observed for case in cases if case.verdict is not Verdict.PASS} == {}


def test_every_check_has_a_fault_and_every_fault_its_checks() -> None:
    assert uncovered(CHECKS, FAULTS) == []


@pytest.mark.slow
@pytest.mark.anyio
@pytest.mark.parametrize("name", [fault.id for fault in FAULTS])
async def test_a_fault_trips_its_checks_and_no_other(name: str) -> None:
    limits = Limits(step_s=STEP_S)
    wanted = trials(include=lambda fault: fault == name, jobs=1, limits=limits, whole_role=False)
    (trial,) = [trial async for trial in wanted]
    assert trial.problems == ()


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("fault", "check", "verdict"),
    [
        ("router.tokens.any-value", "router.tokens.value", Verdict.FAIL),
        ("router.requests.few-candidates", "router.requests.ten-candidates", Verdict.WARN),
        ("router.refunds.any-amount", "router.refunds.above-payment", Verdict.FAIL),
        ("router.refunds.nothing", "router.refunds.zero", Verdict.WARN),
        ("router.settlement.breaks-leave-locks", "router.settlement.cut-response", Verdict.WARN),
        ("router.events.forgetful", "router.events.revival", Verdict.WARN),
    ],
)
async def test_a_fault_gets_the_verdict_of_its_row(fault: str, check: str, verdict: Verdict) -> None:
    (case,) = await judge(faulty(fault), [checks()[check]])
    assert case.verdict is verdict


DEPLOYED = [
    ("router.refunds.any-amount", "router.refunds.above-payment", "RTR-D09", Verdict.FAIL),
    ("router.settlement.breaks-leave-locks", "router.settlement.cut-response", "RTR-D10", Verdict.WARN),
    ("router.manifests.zeroed-types", "router.manifests.unknown-evidence", "RTR-D19", Verdict.WARN),
    ("router.events.forgetful", "router.events.revival", "RTR-D21", Verdict.WARN),
    ("router.refunds.nodes-trailer", "router.refunds.forged-trailer", "RTR-D22", Verdict.FAIL),
]


@pytest.mark.anyio
@pytest.mark.parametrize(("fault", "check", "divergence", "verdict"), DEPLOYED)
async def test_deployed_behaviour_is_named_under_interop_2025(
    fault: str, check: str, divergence: str, verdict: Verdict
) -> None:
    (case,) = await judge(faulty(fault), [checks()[check]], Profile.INTEROP_2025)
    assert (case.verdict, case.divergence) == (verdict, divergence)


@pytest.mark.anyio
async def test_a_router_at_a_url_has_to_be_told_where_the_nonce_lock_is() -> None:
    settings = TargetSettings(mode="url", url="http://127.0.0.1:1")
    with pytest.raises(TargetFailed, match=r"target\.listen\.nonce-lock"):
        async with open_router_world(UrlTarget("http://127.0.0.1:1"), settings, seed="seed", limits=Limits()):
            pass


@pytest.mark.anyio
async def test_a_router_that_is_slow_to_let_nodes_in_is_not_asked_about_them() -> None:
    settings = TargetSettings(mode="launch")
    async with open_router_world(embedded(Role.ROUTER), settings, seed="seed", limits=Limits()) as world:
        assert world.registering_s < 12
        world.registering_s = 60.0
        check = checks()["router.events.shutdown"]
        with pytest.raises(Exception, match="60 s to let a node in"):
            async with world.case(Transcript(check.id, "seed")) as case:
                await check.function(case)


@pytest.mark.anyio
async def test_a_restarted_router_is_told_of_its_nodes() -> None:
    settings = TargetSettings(mode="launch")
    async with open_router_world(embedded(Role.ROUTER), settings, seed="seed", limits=Limits()) as world:
        assert await world.subject.restart()
        await world.honest_exchange()
