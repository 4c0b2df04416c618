"""The engine: runs the checks of one role against one world and gives each a verdict with its proof.

After every case an honest exchange goes over a new connection. If it fails, the case is repeated once on a
restarted subject where that is possible: a subject that dies of the same input twice fails; any other silence is an
error of the subject, and what cannot be graded is said to be so.
"""

from __future__ import annotations

import traceback
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic
from typing import Any, Protocol

import anyio

from conformance.capabilities import CAPABILITIES
from conformance.registry import Check
from conformance.runfile import Limits
from conformance.targets import RunningTarget, TargetFailed
from conformance.transcript import Transcript
from conformance.verdicts import (
    NOT_GRADED,
    Attribution,
    CaseResult,
    NotApplicable,
    Profile,
    Verdict,
    Violation,
    excusing,
    judge,
)
from openpcc_ref.http1 import Http1Error


class World(Protocol):
    """All parties around a subject; the checks of a role know their role's class."""

    @property
    def capabilities(self) -> frozenset[str]:
        """What the target offers."""

    @property
    def subject(self) -> RunningTarget:
        """What is under test."""

    def case(self, transcript: Transcript) -> AbstractAsyncContextManager[Any]:
        """Open the world for one case: honest peers, empty logs, everything recorded."""

    async def honest_exchange(self) -> None:
        """Do what any conforming subject answers; raises if it does not."""


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What one attempt at a case showed."""

    verdict: Verdict
    expected: str = ""
    observed: str = ""
    divergence: str | None = None


@dataclass(slots=True, kw_only=True)
class Engine:
    """Grades checks one after the other."""

    world: World
    profile: Profile
    seed: str
    limits: Limits
    transcripts: Path | None = None
    """Folder for the transcripts, or None to keep none."""
    report_folder: Path | None = None
    """Transcript paths in results are relative to this folder."""
    _lost: str | None = None

    async def run(self, checks: Sequence[Check]) -> AsyncIterator[CaseResult]:
        """Yield the result of each check as it is known."""
        problem = await self._control()
        if problem is not None:
            self._lost = f"{NOT_GRADED}{problem}"
        for check in checks:
            started = monotonic()
            transcript = Transcript(check.id, self.seed)
            result = await self._grade(check, transcript, started)
            yield result

    async def _grade(self, check: Check, transcript: Transcript, started: float) -> CaseResult:
        attribution: Attribution | None = None
        if missing := [need for need in check.needs if need not in self.world.capabilities]:
            reason = f"the target does not offer {' and '.join(CAPABILITIES[need] for need in missing)}"
            outcome = _Outcome(Verdict.NOT_APPLICABLE, observed=reason)
        elif self._lost is not None:
            outcome = _Outcome(Verdict.ERROR, expected="a subject that answers", observed=self._lost)
            attribution = Attribution.SUBJECT
        else:
            outcome, attribution = await self._attempt_with_control(check, transcript)
        kept = None
        if self.transcripts is not None and outcome.verdict is not Verdict.NOT_APPLICABLE and self._lost is None:
            path = transcript.write(self.transcripts)
            kept = str(path.relative_to(self.report_folder) if self.report_folder else path)
        return CaseResult(
            id=check.id,
            role=check.role,
            title=check.title,
            requirements=check.requirements,
            level=check.level,
            verdict=outcome.verdict,
            expected=outcome.expected,
            observed=outcome.observed,
            attribution=attribution,
            divergence=outcome.divergence,
            duration_ms=round((monotonic() - started) * 1000),
            transcript=kept,
        )

    async def _attempt_with_control(self, check: Check, transcript: Transcript) -> tuple[_Outcome, Attribution | None]:
        outcome = await self._attempt(check, transcript)
        problem = await self._control()
        if problem is not None:
            outcome = await self._after_silence(check, transcript, problem)
        if outcome.verdict is not Verdict.ERROR:
            return outcome, None
        return outcome, Attribution.SUITE if problem is None else Attribution.SUBJECT

    async def _after_silence(self, check: Check, transcript: Transcript, problem: str) -> _Outcome:
        """Decide what it means that the subject no longer answers the honest exchange."""
        silence = f"{problem}{await self.world.subject.epitaph()}"
        expected = "an answer to an honest exchange after the case"
        try:
            restarted = await self.world.subject.restart()
        except TargetFailed as failure:
            self._lost = f"{NOT_GRADED}{failure}"
            return _Outcome(Verdict.ERROR, expected, f"{silence}; {failure}")
        if not restarted:
            self._lost = f"{NOT_GRADED}since {check.id}, {silence}"
            return _Outcome(Verdict.ERROR, expected, silence)
        again = await self._attempt(check, transcript)
        problem_again = await self._control()
        if problem_again is None:
            if again.verdict in (Verdict.FAIL, Verdict.WARN):  # seen twice, and this time on a subject that answers
                return replace(again, observed=f"{again.observed} (first {silence}; then the same on a restarted one)")
            observed = f"{silence}; restarted, and repeating the case the verdict was {again.verdict}"
            return _Outcome(Verdict.ERROR, expected, observed)
        observed = f"{silence}; and again after a restart: {problem_again}{await self.world.subject.epitaph()}"
        if not await self._revived():
            self._lost = f"{NOT_GRADED}since {check.id}, {problem_again}"
        return _Outcome(Verdict.FAIL, expected, observed)

    async def _revived(self) -> bool:
        try:
            return await self.world.subject.restart() and await self._control() is None
        except TargetFailed:
            return False

    async def _attempt(self, check: Check, transcript: Transcript) -> _Outcome:
        limit = self.limits.case_s * self.limits.scale
        outcome = _Outcome(Verdict.PASS)
        with excusing(self.profile) as excused:
            try:
                with anyio.fail_after(limit):
                    async with self.world.case(transcript) as world:
                        await check.function(world)
            except Exception as raised:
                outcome = self._outcome(_root(raised), check, limit)
        return _worst([self._judged(violation, check) for violation in excused], outcome)

    def _outcome(self, error: Exception, check: Check, limit: float) -> _Outcome:
        """Say what it means that a check raised this."""
        match error:
            case NotApplicable():
                return _Outcome(Verdict.NOT_APPLICABLE, observed=str(error))
            case Violation():
                violation = error
            case Http1Error():
                violation = Violation("an exchange that completes", str(error))
            case TimeoutError():
                violation = Violation(f"the case to end within {limit:g} s", "it did not")
            case _:  # a fault of the suite must never look like a verdict on the subject
                frames = traceback.extract_tb(error.__traceback__)
                where = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
                return _Outcome(Verdict.ERROR, "a check that runs", f"{type(error).__name__}: {error}{where}")
        return self._judged(violation, check)

    def _judged(self, violation: Violation, check: Check) -> _Outcome:
        verdict = judge(violation, violation.level or check.level, self.profile)
        return _Outcome(verdict, violation.expected, violation.observed, violation.deployed)

    async def _control(self) -> str | None:
        """Do the honest exchange; return what went wrong, or None."""
        try:
            with anyio.fail_after(2 * self.limits.step_s * self.limits.scale):
                await self.world.honest_exchange()
        except Violation as violation:
            return f"the honest exchange failed: {violation}"
        except Http1Error as error:
            return f"the honest exchange failed: {error}"
        except TimeoutError:
            return "the honest exchange did not end in time"
        return None


def _worst(excused: Sequence[_Outcome], end: _Outcome) -> _Outcome:
    """Return the worst of what was excused on the way and how the case ended; of equals the first."""
    gravity = (Verdict.PASS, Verdict.WARN, Verdict.FAIL).index
    if not excused:
        return end
    worst = max(excused, key=lambda outcome: gravity(outcome.verdict))
    if end.verdict in (Verdict.ERROR, Verdict.NOT_APPLICABLE):  # nobody meant the rest for such a subject
        return replace(worst, observed=f"{worst.observed}; then the case could not go on: {end.observed}")
    return end if gravity(end.verdict) > gravity(worst.verdict) else worst


def _root(error: Exception) -> Exception:
    """Return the exception that a task group wrapped; of several, the first that is no mere consequence."""
    while isinstance(error, ExceptionGroup):
        ranks = (Http1Error, Violation, NotApplicable)  # anything else is the suite's and comes before these
        error = min(error.exceptions, key=lambda part: isinstance(part, ranks) + isinstance(part, Http1Error))
    return error
