"""Every check of the bank has a fault, every fault trips its checks and no other, and nothing else is graded."""

from __future__ import annotations

import pytest

from conformance.calibration import CALIBRATIONS
from conformance.faults import faults
from conformance.registry import checks
from conformance.roles import Role
from conformance.runfile import Limits
from conformance.selftest import STEP_S, trials, uncovered

FAULTS = [fault for fault in faults().values() if fault.role is Role.BANK]
LIMITS = Limits(step_s=STEP_S)


def test_every_check_has_a_fault_and_every_fault_its_checks() -> None:
    assert uncovered([check for check in checks().values() if check.role is Role.BANK], FAULTS) == []


@pytest.mark.slow
@pytest.mark.anyio
@pytest.mark.parametrize("name", [fault.id for fault in FAULTS])
async def test_a_fault_trips_its_checks_and_no_other(name: str) -> None:
    wanted = trials(include=lambda fault: fault == name, jobs=1, limits=LIMITS, whole_role=False)
    (trial,) = [trial async for trial in wanted]
    assert trial.problems == ()


@pytest.mark.anyio
@pytest.mark.parametrize("name", CALIBRATIONS)
async def test_what_is_no_bank_is_not_graded(name: str) -> None:
    wanted = f"bank.calibration.{name}"
    (trial,) = [trial async for trial in trials(include=lambda trial: trial == wanted, jobs=1, limits=LIMITS)]
    assert trial.problems == ()
    assert trial.cases >= 40
