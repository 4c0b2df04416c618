"""Verdicts: what a check says, and what it becomes under a profile."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum

from conformance.requirements import Level, divergences
from conformance.roles import Role


class Verdict(StrEnum):
    """The grade of one case."""

    PASS = "pass"
    FAIL = "fail"
    WARN = "warn"
    ERROR = "error"
    NOT_APPLICABLE = "na"
    SKIP = "skip"


NOT_GRADED = "not graded: "
"""How the observation of a case begins that was not tried."""


class Attribution(StrEnum):
    """Whose doing an error is."""

    SUBJECT = "subject"
    SUITE = "suite"


class Profile(StrEnum):
    """What an implementation is measured against (see ``spec/README.md``)."""

    STRICT = "strict"
    INTEROP_2025 = "interop-2025"


class Violation(Exception):
    """The subject breaks the rule of the check. Raised, it ends the case; :func:`expect` may let the case go on.

    ``deployed`` names the divergence whose deployed behaviour is exactly what was observed; only then may a
    profile be lenient. ``level`` stands in for the check's where what was observed is a matter of its own.
    """

    def __init__(
        self, expected: str, observed: str, *, deployed: str | None = None, level: Level | None = None
    ) -> None:
        super().__init__(f"expected {expected}; observed {observed}")
        self.expected = expected
        self.observed = observed
        self.deployed = deployed
        self.level = level


class NotApplicable(Exception):
    """The subject does not offer what the check needs; the text says what is missing."""


_excusing: ContextVar[tuple[Profile, list[Violation]] | None] = ContextVar("excusing", default=None)
"""The profile of the present case, and what it has excused so far."""


@contextmanager
def excusing(profile: Profile) -> Iterator[list[Violation]]:
    """Let :func:`expect` go on after what ``profile`` excuses, in this block; yields what was excused, in order."""
    excused: list[Violation] = []
    token = _excusing.set((profile, excused))
    try:
        yield excused
    finally:
        _excusing.reset(token)


def expect(holds: bool, *, expected: str, observed: str, deployed: str | None = None) -> bool:
    """Raise :class:`Violation` unless ``holds``; return False for a violation that the profile of the case excuses.

    The case goes on then, for a worse violation may follow. What makes sense only if the expectation holds stands
    behind ``if expect(...)``; where nothing after it does, the check raises :class:`Violation` itself.
    """
    if holds:
        return True
    violation = Violation(expected, observed, deployed=deployed)
    case = _excusing.get()
    if case is None or _excuse(violation, case[0]) is None:
        raise violation
    case[1].append(violation)
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseResult:
    """The outcome of one case, complete enough for every report."""

    id: str
    role: Role
    title: str
    requirements: tuple[str, ...]
    level: Level
    verdict: Verdict
    expected: str = ""
    observed: str = ""
    attribution: Attribution | None = None
    divergence: str | None = None
    duration_ms: int = 0
    transcript: str | None = None

    @property
    def not_graded(self) -> bool:
        """Whether the case was not even tried, because of something that happened before it."""
        return self.verdict is Verdict.ERROR and self.observed.startswith(NOT_GRADED)


def judge(violation: Violation, level: Level, profile: Profile) -> Verdict:
    """Return the verdict for a violation: the row's level decides, the profile may excuse a divergence."""
    return _excuse(violation, profile) or (Verdict.FAIL if level.binding else Verdict.WARN)


def _excuse(violation: Violation, profile: Profile) -> Verdict | None:
    """Return the verdict that the profile gives a divergence in place of the level's, or None."""
    if violation.deployed is None or profile is Profile.STRICT:
        return None
    match divergences()[violation.deployed].outcome:
        case "pass":
            return Verdict.PASS
        case "warn":
            return Verdict.WARN
        case "fail":
            return None
