"""Every check has a fault, every fault trips its checks and no other, and what is no subject is not graded."""

from __future__ import annotations

import pytest

from conformance.calibration import CALIBRATIONS
from conformance.faults import faults
from conformance.peers import JUDGED_ROLES
from conformance.registry import checks
from conformance.roles import Role
from conformance.runfile import Limits
from conformance.selftest import STEP_S, Trial, trials, uncovered
from tests.conformance.judging import quick_checks


async def trial(name: str) -> Trial:
    wanted = trials(include=lambda known: known == name, jobs=1, limits=Limits(step_s=STEP_S), whole_role=False)
    (shown,) = [shown async for shown in wanted]
    return shown


def test_every_check_has_a_fault_and_every_fault_its_checks() -> None:
    assert uncovered(list(checks().values()), list(faults().values())) == []


@pytest.mark.slow
@pytest.mark.anyio
@pytest.mark.parametrize("name", list(faults()))
async def test_a_fault_trips_its_checks_and_no_other(name: str) -> None:
    assert (await trial(name)).problems == ()


@pytest.mark.anyio
@pytest.mark.parametrize("name", CALIBRATIONS)
@pytest.mark.parametrize("role", JUDGED_ROLES)
async def test_what_plays_no_role_is_not_graded(role: Role, name: str) -> None:
    shown = await trial(f"{role}.calibration.{name}")
    assert shown.problems == ()
    assert shown.cases == len(quick_checks(role))
