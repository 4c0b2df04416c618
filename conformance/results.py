"""The result of a run: one model from which every report and the exit code are made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum

from conformance.roles import Role
from conformance.verdicts import Attribution, CaseResult, Profile, Verdict


class Exit(IntEnum):
    """What the process says at its end. Nothing ran is never 0."""

    CLEAN = 0
    FAILED = 1
    USAGE = 2
    NOT_GRADED = 3
    SUITE_FAULT = 4
    INTERRUPTED = 130


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What was under test."""

    role: Role
    name: str
    where: str


@dataclass(slots=True, kw_only=True)
class RunResult:
    """Everything a run found, in the order in which it happened."""

    suite_version: str
    profile: Profile
    seed: str
    started: datetime
    subjects: list[Subject] = field(default_factory=list)
    cases: list[CaseResult] = field(default_factory=list)

    def tally(self) -> Counter[Verdict]:
        """Return how many cases have each verdict."""
        return Counter(case.verdict for case in self.cases)

    def exit(self) -> Exit:
        """Return the exit code: a fault of the suite outweighs a failure, a failure outweighs an error."""
        return exit_code(self.cases)


def exit_code(cases: Sequence[CaseResult]) -> Exit:
    """Return the exit code for these cases."""
    if any(case.verdict is Verdict.ERROR and case.attribution is Attribution.SUITE for case in cases):
        return Exit.SUITE_FAULT
    verdicts = {case.verdict for case in cases}
    if Verdict.FAIL in verdicts:
        return Exit.FAILED
    if Verdict.ERROR in verdicts or not verdicts & {Verdict.PASS, Verdict.WARN}:
        return Exit.NOT_GRADED
    return Exit.CLEAN
