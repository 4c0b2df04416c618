"""What the engine makes of what checks raise, and of subjects that fall silent."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import pytest

from conformance.engine import Engine
from conformance.registry import Check, CheckFunction
from conformance.results import Exit, exit_code
from conformance.runfile import Limits
from conformance.targets import TargetFailed
from conformance.transcript import Transcript, read
from conformance.verdicts import Attribution, CaseResult, NotApplicable, Profile, Verdict, Violation, expect
from openpcc_ref.http1 import Failure, Http1Error

pytestmark = pytest.mark.anyio

MUST, SHOULD = "OHT-053", "OHT-085"
BROKEN = Http1Error(Failure.RESET, where="response head", expected="an HTTP/1.1 response")


@dataclass
class FakeSubject:
    """A subject that lives, dies and comes back as told."""

    url: str = ""
    alive: bool = True
    restartable: bool = True
    restarts: int = 0
    start_fails: bool = False

    async def restart(self) -> bool:
        if self.start_fails:
            raise TargetFailed("cannot start it: no such file")
        if self.restartable:
            self.restarts += 1
            self.alive = True
        return self.restartable

    async def epitaph(self) -> str:
        return "" if self.alive else " (killed by signal 9)"


@dataclass
class FakeWorld:
    """A world whose honest exchange works while its subject lives."""

    subject: FakeSubject = field(default_factory=FakeSubject)
    capabilities: frozenset[str] = frozenset()
    refusal: Exception | None = None

    @asynccontextmanager
    async def case(self, transcript: Transcript) -> AsyncIterator[FakeWorld]:
        transcript.record("client", 1, "out", 5.0, b"bytes of the case")
        yield self

    async def honest_exchange(self) -> None:
        if not self.subject.alive:
            raise BROKEN
        if self.refusal is not None:
            raise self.refusal


def make(function: CheckFunction, *, name: str = "a", requirement: str = MUST, needs: tuple[str, ...] = ()) -> Check:
    return Check(
        id=f"relay.test.{name}",
        title=name,
        requirements=(requirement,),
        needs=needs,
        costly=False,
        function=function,
    )


def raises(error: Exception) -> CheckFunction:
    async def check(_: Any) -> None:
        raise error

    return check


async def holds(_: Any) -> None:
    """A rule that holds."""


async def kills(world: FakeWorld) -> None:
    """A case that the subject does not survive."""
    world.subject.alive = False


async def grade(
    *checks: Check, world: FakeWorld | None = None, profile: Profile = Profile.STRICT, folder: Path | None = None
) -> list[CaseResult]:
    engine = Engine(
        world=world or FakeWorld(),
        profile=profile,
        seed="seed",
        limits=Limits(case_s=0.05, step_s=0.05),
        transcripts=folder / "t" if folder else None,
        report_folder=folder,
    )
    return [result async for result in engine.run(checks)]


@pytest.mark.parametrize(
    ("function", "requirement", "verdict"),
    [
        (holds, MUST, Verdict.PASS),
        (raises(Violation("this", "that")), MUST, Verdict.FAIL),
        (raises(Violation("this", "that")), SHOULD, Verdict.WARN),
        (raises(BROKEN), MUST, Verdict.FAIL),
        (raises(TimeoutError()), MUST, Verdict.FAIL),
        (raises(NotApplicable("no second key")), MUST, Verdict.NOT_APPLICABLE),
        (raises(ExceptionGroup("two tasks", [BROKEN, Violation("this", "that")])), MUST, Verdict.FAIL),
        (raises(KeyError("oops")), MUST, Verdict.ERROR),
        (raises(ExceptionGroup("two tasks", [Violation("this", "that"), KeyError("oops")])), MUST, Verdict.ERROR),
    ],
)
async def test_what_a_check_raises_decides(function: CheckFunction, requirement: str, verdict: Verdict) -> None:
    (result,) = await grade(make(function, requirement=requirement))
    assert result.verdict is verdict
    assert (result.attribution is Attribution.SUITE) == (verdict is Verdict.ERROR)


async def test_a_violation_in_a_task_keeps_its_words() -> None:
    group = ExceptionGroup("tasks", [BROKEN, ExceptionGroup("inner", [Violation("this", "that")])])
    (result,) = await grade(make(raises(group)))
    assert (result.expected, result.observed) == ("this", "that")


async def test_a_case_without_end_fails() -> None:
    async def waits(_: Any) -> None:
        await anyio.sleep_forever()

    (result,) = await grade(make(waits))
    assert result.verdict is Verdict.FAIL
    assert "0.05 s" in result.expected


async def test_an_unmet_need_is_not_applicable_and_says_what_is_missing() -> None:
    (result,) = await grade(make(raises(KeyError("never run")), needs=("key.expired",)))
    assert result.verdict is Verdict.NOT_APPLICABLE
    assert "active_until has passed" in result.observed


async def test_a_met_need_runs_the_check() -> None:
    world = FakeWorld(capabilities=frozenset({"key.expired"}))
    (result,) = await grade(make(holds, needs=("key.expired",)), world=world)
    assert result.verdict is Verdict.PASS


@pytest.mark.parametrize(
    ("profile", "deployed", "verdict"),
    [
        (Profile.STRICT, "OHT-D09", Verdict.FAIL),
        (Profile.INTEROP_2025, "OHT-D09", Verdict.WARN),
        (Profile.INTEROP_2025, "OHT-D07", Verdict.PASS),
        (Profile.INTEROP_2025, None, Verdict.FAIL),
    ],
)
async def test_only_a_named_divergence_is_excused(profile: Profile, deployed: str | None, verdict: Verdict) -> None:
    (result,) = await grade(make(raises(Violation("this", "that", deployed=deployed))), profile=profile)
    assert (result.verdict, result.divergence) == (verdict, deployed)


PASSED_OVER, WARNED_OF, NOT_EXCUSED = "OHT-D07", "OHT-D09", "RTR-D22"
"""Divergences with the outcomes pass, warn and fail."""


def departs(*divergences: str, end: Exception | None = None) -> CheckFunction:
    """Return a check that observes one divergence after the other, each in a task, and ends as told."""

    async def look(divergence: str) -> None:
        expect(False, expected="the text", observed=divergence, deployed=divergence)

    async def check(_: Any) -> None:
        for divergence in divergences:
            async with anyio.create_task_group() as group:
                group.start_soon(look, divergence)
        if end is not None:
            raise end

    return check


@pytest.mark.parametrize(
    ("function", "verdict", "observed"),
    [
        (departs(PASSED_OVER), Verdict.PASS, PASSED_OVER),
        (departs(WARNED_OF), Verdict.WARN, WARNED_OF),
        (departs(PASSED_OVER, WARNED_OF), Verdict.WARN, WARNED_OF),
        (departs(WARNED_OF, PASSED_OVER), Verdict.WARN, WARNED_OF),
        (departs(WARNED_OF, NOT_EXCUSED, PASSED_OVER), Verdict.FAIL, NOT_EXCUSED),
        (departs(PASSED_OVER, WARNED_OF, end=Violation("this", "that")), Verdict.FAIL, "that"),
        (departs(WARNED_OF, end=BROKEN), Verdict.FAIL, str(BROKEN)),
        (departs(PASSED_OVER, end=Violation("this", "that", deployed=WARNED_OF)), Verdict.WARN, "that"),
        (departs(WARNED_OF, end=Violation("this", "that", deployed=PASSED_OVER)), Verdict.WARN, WARNED_OF),
    ],
)
async def test_a_case_goes_on_after_what_is_excused_and_the_worst_counts(
    function: CheckFunction, verdict: Verdict, observed: str
) -> None:
    (result,) = await grade(make(function), profile=Profile.INTEROP_2025)
    assert (result.verdict, result.observed) == (verdict, observed)


@pytest.mark.parametrize("end", [KeyError("oops"), NotApplicable("no such thing")])
async def test_what_is_excused_stays_when_the_rest_of_the_case_cannot_be_done(end: Exception) -> None:
    (result,) = await grade(make(departs(WARNED_OF, end=end)), profile=Profile.INTEROP_2025)
    assert (result.verdict, result.divergence, result.attribution) == (Verdict.WARN, WARNED_OF, None)
    assert "could not go on" in result.observed


async def test_a_strict_case_ends_with_its_first_violation() -> None:
    (result,) = await grade(make(departs(PASSED_OVER, end=KeyError("never raised"))))
    assert (result.verdict, result.observed) == (Verdict.FAIL, PASSED_OVER)


async def test_what_one_case_excuses_is_no_matter_of_the_next() -> None:
    first, second = await grade(make(departs(WARNED_OF)), make(holds, name="b"), profile=Profile.INTEROP_2025)
    assert (first.verdict, second.verdict) == (Verdict.WARN, Verdict.PASS)
    with pytest.raises(Violation):
        expect(False, expected="this", observed="that", deployed=WARNED_OF)


@pytest.mark.parametrize("refusal", [BROKEN, Violation("status 200", "status 404")])
async def test_without_an_honest_exchange_nothing_is_graded(refusal: Exception) -> None:
    results = await grade(make(holds), make(raises(BROKEN), name="b"), world=FakeWorld(refusal=refusal))
    assert [(result.verdict, result.attribution) for result in results] == [(Verdict.ERROR, Attribution.SUBJECT)] * 2
    assert all(result.not_graded for result in results)
    assert exit_code(results) is Exit.NOT_GRADED


async def test_a_subject_that_is_gone_for_good_is_an_error_from_there_on() -> None:
    world = FakeWorld(subject=FakeSubject(restartable=False))
    first, second, third = await grade(make(holds), make(kills, name="b"), make(holds, name="c"), world=world)
    assert first.verdict is Verdict.PASS
    assert (second.verdict, second.attribution) == (Verdict.ERROR, Attribution.SUBJECT)
    assert "killed by signal 9" in second.observed
    assert third.not_graded
    assert "relay.test.b" in third.observed
    assert exit_code([first, second, third]) is Exit.NOT_GRADED


async def test_a_subject_that_dies_of_the_same_input_twice_fails() -> None:
    world = FakeWorld()
    first, second = await grade(make(kills), make(holds, name="b"), world=world)
    assert first.verdict is Verdict.FAIL
    assert "again after a restart" in first.observed
    assert second.verdict is Verdict.PASS
    assert world.subject.restarts == 2


async def test_a_subject_that_dies_once_is_an_error() -> None:
    turns: list[Callable[[FakeWorld], Any]] = [kills, holds]

    async def kills_once(world: FakeWorld) -> None:
        await turns.pop(0)(world)

    first, second = await grade(make(kills_once), make(holds, name="b"))
    assert (first.verdict, first.attribution) == (Verdict.ERROR, Attribution.SUBJECT)
    assert "the verdict was pass" in first.observed
    assert second.verdict is Verdict.PASS


async def test_a_violation_of_a_subject_that_then_dies_is_no_failure_yet() -> None:
    """The broken exchange may be all that the check saw of a death that has another cause."""
    deaths = [True, False]

    async def check(world: FakeWorld) -> None:
        if deaths.pop(0):
            world.subject.alive = False
            raise BROKEN

    (result,) = await grade(make(check))
    assert result.verdict is Verdict.ERROR


async def test_a_violation_that_shows_again_on_a_restarted_subject_is_graded() -> None:
    deaths = [True, False]

    async def check(world: FakeWorld) -> None:
        world.subject.alive = not deaths.pop(0)
        raise Violation("one answer", "two")

    (result,) = await grade(make(check))
    assert (result.verdict, result.attribution) == (Verdict.FAIL, None)
    assert result.observed.startswith("two (first ")
    assert "then the same on a restarted one" in result.observed


async def test_a_subject_that_cannot_be_restarted_stops_the_grading() -> None:
    world = FakeWorld(subject=FakeSubject(start_fails=True))
    first, second = await grade(make(kills), make(holds, name="b"), world=world)
    assert first.verdict is Verdict.ERROR
    assert second.observed == "not graded: cannot start it: no such file"


async def test_transcripts_are_kept_beside_the_report(tmp_path: Path) -> None:
    (result,) = await grade(make(holds), folder=tmp_path)
    assert result.transcript == "t/relay.test.a.cborseq"
    head, event = read((tmp_path / result.transcript).read_bytes())
    assert (head["format"], head["case"], head["seed"]) == ("openpcc-transcript", "relay.test.a", "seed")
    assert event == {"t": 0, "party": "client", "connection": 1, "direction": "out", "data": b"bytes of the case"}


async def test_no_transcript_for_what_was_not_tried(tmp_path: Path) -> None:
    results = await grade(make(holds, needs=("key.second",)), folder=tmp_path)
    results += await grade(make(holds), world=FakeWorld(refusal=BROKEN), folder=tmp_path)
    assert [result.transcript for result in results] == [None, None]
    assert not os.listdir(tmp_path)
