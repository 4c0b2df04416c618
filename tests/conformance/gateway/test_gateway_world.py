"""The reference passes every check, faults and only they are noticed, and what the operator forgot is said."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from conformance import runs
from conformance.faults import faults
from conformance.peers.gateway import open_gateway_world
from conformance.peers.gateway_keys import mint_keys
from conformance.registry import Check, checks
from conformance.results import Subject
from conformance.roles import Role
from conformance.runfile import Limits, TargetSettings
from conformance.selftest import STEP_S, trials, uncovered
from conformance.targets import LaunchTarget, TargetFailed, UrlTarget, embedded
from conformance.verdicts import CaseResult, Profile, Verdict

CHECKS = [check for check in checks().values() if check.role is Role.GATEWAY]
FAULTS = [fault for fault in faults().values() if fault.role is Role.GATEWAY]


async def judge(
    target: LaunchTarget | UrlTarget,
    met: Sequence[Check],
    profile: Profile = Profile.STRICT,
    settings: TargetSettings | None = None,
) -> list[CaseResult]:
    result = runs.new_result(profile, "test")
    plan = runs.Plan(
        subject=Subject(role=Role.GATEWAY, name="test", where=target.where),
        target=target,
        settings=settings or TargetSettings(mode="launch"),
        checks=met,
    )
    await runs.execute([plan], profile=profile, seed="test", listeners=(), report=None, into=result)
    return result.cases


def faulty(name: str) -> LaunchTarget:
    return LaunchTarget([sys.executable, "-m", "conformance.faults", name])


@pytest.mark.anyio
async def test_the_reference_passes_every_quick_check() -> None:
    cases = await judge(embedded(Role.GATEWAY), [check for check in CHECKS if not check.costly])
    assert len(cases) > 100
    assert {case.id: case.observed for case in cases if case.verdict is not Verdict.PASS} == {}


def test_every_check_has_a_fault() -> None:
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
        ("gateway.keys.expired-accepted", "gateway.keys.expired", Verdict.FAIL),
        ("gateway.chunks.completed-anyway", "gateway.chunks.final-missing", Verdict.FAIL),
        ("gateway.responses.not-padded", "gateway.responses.padding", Verdict.WARN),
        ("gateway.fields.outer-server", "gateway.fields.outer-response", Verdict.FAIL),
    ],
)
async def test_a_fault_gets_the_verdict_of_its_row(fault: str, check: str, verdict: Verdict) -> None:
    (case,) = await judge(faulty(fault), [checks()[check]])
    assert case.verdict is verdict


DEPLOYED = [
    ("gateway.responses.form-of-upstream", "gateway.responses.chunked-form", "OHT-D02", Verdict.WARN),
    ("gateway.chunks.empty-accepted", "gateway.chunks.empty-non-final", "OHT-D03", Verdict.WARN),
    ("gateway.chunks.small", "gateway.chunks.largest", "OHT-D04", Verdict.WARN),
    ("gateway.sealing.bad-request-in-clear", "gateway.errors.host-encapsulated", "OHT-D05", Verdict.WARN),
    ("gateway.responses.not-incremental", "gateway.responses.incremental", "OHT-D06", Verdict.PASS),
    ("gateway.fields.expectation-forwarded", "gateway.fields.expect", "OHT-D12", Verdict.WARN),
    ("gateway.routes.url-reduced", "gateway.allow-list.url-as-path", "OHT-D16", Verdict.WARN),
    ("gateway.messages.low-byte", "gateway.messages.framing-value", "MSG-D08", Verdict.WARN),
    ("gateway.messages.lines-split", "gateway.messages.field-injection", "MSG-D09", Verdict.WARN),
    ("gateway.messages.blanks-removed", "gateway.messages.field-blanks", "MSG-D09", Verdict.WARN),
    ("gateway.messages.any-length", "gateway.messages.content-length-sign", "MSG-D13", Verdict.WARN),
    ("gateway.messages.other-length", "gateway.messages.content-length-differs", "MSG-D13", Verdict.WARN),
]


@pytest.mark.anyio
@pytest.mark.parametrize(("fault", "check", "divergence", "verdict"), DEPLOYED)
async def test_deployed_behaviour_is_excused_under_interop_2025(
    fault: str, check: str, divergence: str, verdict: Verdict
) -> None:
    (case,) = await judge(faulty(fault), [checks()[check]], Profile.INTEROP_2025)
    assert (case.verdict, case.divergence) == (verdict, divergence)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("settings", "named"),
    [
        (TargetSettings(mode="url", url="http://127.0.0.1:1"), r"target\.keys"),
        (
            TargetSettings(mode="url", url="http://127.0.0.1:1", keys=mint_keys("seed", datetime.now(UTC))),
            r"target\.listen\.bank",
        ),
    ],
)
async def test_a_gateway_at_a_url_has_to_be_described(settings: TargetSettings, named: str) -> None:
    with pytest.raises(TargetFailed, match=named):
        async with open_gateway_world(UrlTarget("http://127.0.0.1:1"), settings, seed="seed", limits=Limits()):
            pass


@pytest.mark.anyio
async def test_a_gateway_at_a_url_without_other_keys_leaves_checks_out() -> None:
    now = datetime.now(UTC)
    keys = tuple(key for key in mint_keys("url", now) if key.id == 1)
    listen = {"bank": "127.0.0.1:0", "router": "127.0.0.1:0"}
    settings = TargetSettings(mode="url", keys=keys, listen=listen)
    met = [checks()[name] for name in ("gateway.keys.expired", "gateway.keys.kyber", "gateway.keys.unknown-id")]
    target = _LaunchedByUrl(faulty("gateway.responses.not-padded"))
    cases = await judge(target, met, settings=settings)  # type: ignore[arg-type]
    assert [case.verdict for case in cases] == [Verdict.NOT_APPLICABLE, Verdict.NOT_APPLICABLE, Verdict.PASS]


class _LaunchedByUrl:
    """A launched gateway that stands for one somebody else has configured with the keys of the run file."""

    def __init__(self, target: LaunchTarget) -> None:
        self._target = target
        self.where = "a URL"
        self.start = target.start


@pytest.mark.anyio
async def test_the_clock_decides_which_keys_are_active() -> None:
    keys = mint_keys("seed", datetime.now(UTC))
    settings = TargetSettings(mode="launch", keys=keys)
    later = keys[0].active_until + timedelta(days=365)
    opening = open_gateway_world(embedded(Role.GATEWAY), settings, seed="seed", limits=Limits(), clock=lambda: later)
    with pytest.raises(TargetFailed, match="active now"):
        async with opening:
            pass
