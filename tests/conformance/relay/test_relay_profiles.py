"""What deployed relays do is excused by its profile, and nothing else is."""

from __future__ import annotations

import sys

import pytest

from conformance import runs
from conformance.faults.relay_fields import PASSED_ON
from conformance.registry import checks
from conformance.results import Exit, Subject
from conformance.roles import Role
from conformance.runfile import Limits, TargetSettings
from conformance.targets import LaunchTarget
from conformance.verdicts import CaseResult, Profile, Verdict

pytestmark = pytest.mark.anyio

EXCUSED_ENTIRELY = ("relay.privacy.date",)


async def judge(fault: str, profile: Profile) -> tuple[dict[str, CaseResult], Exit]:
    command = (sys.executable, "-m", "conformance.faults", fault)
    plan = runs.Plan(
        subject=Subject(role=Role.RELAY, name=fault, where=""),
        target=LaunchTarget(command),
        settings=TargetSettings(mode="launch", command=command),
        checks=[check for check in checks().values() if check.role is Role.RELAY and not check.costly],
        limits=Limits(),
    )
    result = runs.new_result(profile, "seed")
    await runs.execute([plan], profile=profile, seed="seed", listeners=(), report=None, into=result)
    return {case.id: case for case in result.cases}, result.exit()


async def test_a_deployed_relay_is_clean_under_interop_2025() -> None:
    cases, code = await judge("relay.passes-fields", Profile.INTEROP_2025)
    assert code is Exit.CLEAN
    for name, case in cases.items():
        if name in EXCUSED_ENTIRELY:
            assert (case.verdict, case.divergence) == (Verdict.PASS, "OHT-D07")
        elif name in PASSED_ON:
            assert (case.verdict, case.divergence) == (Verdict.WARN, "OHT-D09")
        else:
            assert (case.verdict, case.divergence) == (Verdict.PASS, None)


async def test_a_deployed_relay_fails_under_strict() -> None:
    cases, code = await judge("relay.passes-fields", Profile.STRICT)
    assert code is Exit.FAILED
    assert all((case.verdict is Verdict.PASS) == (name not in PASSED_ON) for name, case in cases.items())


async def test_a_cookie_in_disguise_is_excused_by_no_profile() -> None:
    cases, code = await judge("relay.passes-cookies-in-disguise", Profile.INTEROP_2025)
    assert code is Exit.FAILED
    leaked = cases["relay.privacy.credentials"]
    assert (leaked.verdict, leaked.divergence) == (Verdict.FAIL, None)
    assert "cookie in field accept as base64" in leaked.observed
