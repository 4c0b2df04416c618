"""Exit codes: nothing ran is never clean, and the suite's own faults come first."""

from __future__ import annotations

from dataclasses import replace

import pytest

from conformance.requirements import Level
from conformance.results import Exit, exit_code
from conformance.roles import Role
from conformance.verdicts import Attribution, CaseResult, Verdict

CASE = CaseResult(
    id="relay.test.a",
    role=Role.RELAY,
    title="a",
    requirements=("OHT-053",),
    level=Level.MUST,
    verdict=Verdict.PASS,
)
PASS, WARN, FAIL = (replace(CASE, verdict=verdict) for verdict in (Verdict.PASS, Verdict.WARN, Verdict.FAIL))
NOT_APPLICABLE = replace(CASE, verdict=Verdict.NOT_APPLICABLE)
SKIP = replace(CASE, verdict=Verdict.SKIP)
SUBJECT = replace(CASE, verdict=Verdict.ERROR, attribution=Attribution.SUBJECT)
SUITE = replace(CASE, verdict=Verdict.ERROR, attribution=Attribution.SUITE)


@pytest.mark.parametrize(
    ("cases", "code"),
    [
        ([], Exit.NOT_GRADED),
        ([NOT_APPLICABLE], Exit.NOT_GRADED),
        ([SKIP, NOT_APPLICABLE], Exit.NOT_GRADED),
        ([PASS], Exit.CLEAN),
        ([WARN], Exit.CLEAN),
        ([PASS, NOT_APPLICABLE], Exit.CLEAN),
        ([PASS, FAIL], Exit.FAILED),
        ([PASS, SUBJECT], Exit.NOT_GRADED),
        ([FAIL, SUBJECT], Exit.FAILED),
        ([FAIL, SUBJECT, SUITE], Exit.SUITE_FAULT),
        ([PASS, SUITE], Exit.SUITE_FAULT),
    ],
)
def test_the_worst_decides(cases: list[CaseResult], code: Exit) -> None:
    assert exit_code(cases) is code


def test_the_numbers_are_those_of_the_manual() -> None:
    assert {name: int(code) for name, code in Exit.__members__.items()} == {
        "CLEAN": 0,
        "FAILED": 1,
        "USAGE": 2,
        "NOT_GRADED": 3,
        "SUITE_FAULT": 4,
        "INTERRUPTED": 130,
    }
