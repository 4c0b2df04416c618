"""What deployed relays do is excused by its profile, and nothing else is."""

from __future__ import annotations

import pytest

from conformance.faults.relay.fields import PASSED_ON
from conformance.results import Exit
from conformance.roles import Role
from conformance.verdicts import CaseResult, Profile, Verdict
from tests.conformance.judging import faulty, judge, quick_checks

pytestmark = pytest.mark.anyio

EXCUSED_ENTIRELY = ("relay.privacy.date",)


async def judged(fault: str, profile: Profile) -> tuple[dict[str, CaseResult], Exit]:
    result = await judge(Role.RELAY, faulty(fault), quick_checks(Role.RELAY), profile)
    return {case.id: case for case in result.cases}, result.exit()


async def test_a_deployed_relay_is_clean_under_interop_2025() -> None:
    cases, code = await judged("relay.passes-fields", Profile.INTEROP_2025)
    assert code is Exit.CLEAN
    for name, case in cases.items():
        if name in EXCUSED_ENTIRELY:
            assert (case.verdict, case.divergence) == (Verdict.PASS, "OHT-D07")
        elif name in PASSED_ON:
            assert (case.verdict, case.divergence) == (Verdict.WARN, "OHT-D09")
        else:
            assert (case.verdict, case.divergence) == (Verdict.PASS, None)


async def test_a_deployed_relay_fails_under_strict() -> None:
    cases, code = await judged("relay.passes-fields", Profile.STRICT)
    assert code is Exit.FAILED
    assert all((case.verdict is Verdict.PASS) == (name not in PASSED_ON) for name, case in cases.items())


async def test_a_cookie_in_disguise_is_excused_by_no_profile() -> None:
    cases, code = await judged("relay.passes-cookies-in-disguise", Profile.INTEROP_2025)
    assert code is Exit.FAILED
    leaked = cases["relay.privacy.credentials"]
    assert (leaked.verdict, leaked.divergence) == (Verdict.FAIL, None)
    assert "cookie in field accept as base64" in leaked.observed
