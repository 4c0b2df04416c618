"""The reference passes every check, faults and only they are noticed, and what the operator forgot is said."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import pytest

from conformance import runs
from conformance.faults import faults
from conformance.peers.node import open_node_world
from conformance.registry import Check, checks
from conformance.results import Subject
from conformance.roles import Role
from conformance.runfile import Limits, NodeSettings, TargetSettings
from conformance.selftest import STEP_S, trials, uncovered
from conformance.targets import LaunchTarget, TargetFailed, UrlTarget, embedded
from conformance.verdicts import CaseResult, Profile, Verdict

CHECKS = [check for check in checks().values() if check.role is Role.NODE]
FAULTS = [fault for fault in faults().values() if fault.role is Role.NODE]


async def judge(
    target: LaunchTarget | UrlTarget, met: Sequence[Check], profile: Profile = Profile.STRICT
) -> list[CaseResult]:
    result = runs.new_result(profile, "test")
    plan = runs.Plan(
        subject=Subject(role=Role.NODE, name="test", where=target.where),
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
    cases = await judge(embedded(Role.NODE), [check for check in CHECKS if not check.costly])
    assert len(cases) > 80
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
        ("node.opening.any-length", "node.opening.key-length", Verdict.FAIL),
        ("node.opening.short-dek", "node.opening.dek-length", Verdict.WARN),
        ("node.parameters.any-amount", "node.parameters.amount-positive", Verdict.FAIL),
        ("node.refunds.generous", "node.refunds.negative-usage", Verdict.FAIL),
        ("node.responses.small-chunks", "node.responses.filled", Verdict.WARN),
        ("node.streams.unlimited", "node.streams.credit-spent", Verdict.WARN),
    ],
)
async def test_a_fault_gets_the_verdict_of_its_row(fault: str, check: str, verdict: Verdict) -> None:
    (case,) = await judge(faulty(fault), [checks()[check]])
    assert case.verdict is verdict


DEPLOYED = [
    ("node.opening.short-dek", "node.opening.dek-length", "MSG-D17", Verdict.WARN),
    ("node.chunks.empty", "node.chunks.empty", "MSG-D04", Verdict.PASS),
    ("node.secrecy.refusals-logged", "node.secrecy.logs", "NODE-D14", Verdict.FAIL),
    ("node.streams.unlimited", "node.streams.credit-spent", "NODE-D08", Verdict.WARN),
]


@pytest.mark.anyio
@pytest.mark.parametrize(("fault", "check", "divergence", "verdict"), DEPLOYED)
async def test_deployed_behaviour_is_named_under_interop_2025(
    fault: str, check: str, divergence: str, verdict: Verdict
) -> None:
    (case,) = await judge(faulty(fault), [checks()[check]], Profile.INTEROP_2025)
    assert (case.verdict, case.divergence) == (verdict, divergence)


@pytest.mark.anyio
async def test_a_node_at_a_url_has_to_be_described() -> None:
    settings = TargetSettings(mode="url", url="http://127.0.0.1:1")
    with pytest.raises(TargetFailed, match=r"target\.node: expected"):
        async with open_node_world(UrlTarget("http://127.0.0.1:1"), settings, seed="seed", limits=Limits()):
            pass


@pytest.mark.anyio
async def test_a_public_key_that_is_no_point_is_refused() -> None:
    node = NodeSettings(public_key="04" + "00" * 64, badge_seed="00" * 32, models=("llama3.2:1b",))
    settings = TargetSettings(mode="url", url="http://127.0.0.1:1", node=node)
    with pytest.raises(TargetFailed, match=r"target\.node\.public_key"):
        async with open_node_world(UrlTarget("http://127.0.0.1:1"), settings, seed="seed", limits=Limits()):
            pass


@pytest.mark.anyio
async def test_a_node_without_the_runners_engine_is_judged_by_what_needs_none() -> None:
    """Its engine is out of the runner's reach, so that checks that need one do not apply."""
    needy = [check for check in CHECKS if "node.engine" in check.needs]
    assert needy
    assert len(needy) < len(CHECKS)
    node = NodeSettings(public_key=PUBLIC_KEY, badge_seed="00" * 32, models=("llama3.2:1b",))
    settings = TargetSettings(mode="url", url="http://127.0.0.1:1", node=node)
    target = UrlTarget("http://127.0.0.1:1")
    async with open_node_world(target, settings, seed="seed", limits=Limits()) as world:
        assert world.capabilities == frozenset()


PUBLIC_KEY = (
    "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"
    "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"
)
"""The base point of P-256."""
