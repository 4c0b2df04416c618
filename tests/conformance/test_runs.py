"""Whole runs against real programs: subjects that are killed, subjects by URL, reports as they come."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from conformance import resources, runs
from conformance.registry import checks
from conformance.report import json_file
from conformance.results import Exit, RunResult, Subject
from conformance.roles import Role
from conformance.runfile import Limits, TargetSettings
from conformance.targets import LaunchTarget, UrlTarget
from conformance.transcript import read
from conformance.verdicts import Attribution, CaseResult, Profile, Verdict

SCHEMA = Draft202012Validator(json.loads((resources.SCHEMA / "results.schema.json").read_text()))
CHECKS = [checks()[f"relay.content.{name}"] for name in ("request", "response", "chunked-request", "chunked-response")]
REFERENCE = (sys.executable, "-m", "openpcc_ref.services.relay")
NOTES_PID = (
    sys.executable,
    "-c",
    "import os, pathlib, runpy, sys; pathlib.Path(sys.argv.pop(1)).write_text(str(os.getpid())); "
    "runpy.run_module('openpcc_ref.services.relay', run_name='__main__')",
)
"""The reference relay, which writes its process id to the file that is appended."""


class Observer:
    """A listener that acts after a case."""

    def __init__(self, act: Callable[[CaseResult], None]) -> None:
        self._act = act

    def subject_started(self, subject: Subject, cases: int) -> None:
        pass

    def case_finished(self, case: CaseResult) -> None:
        self._act(case)

    def subject_finished(self, subject: Subject) -> None:
        pass


def plan(target: Any, settings: TargetSettings, **limits: float) -> runs.Plan:
    subject = Subject(role=Role.RELAY, name="relay", where=target.where)
    return runs.Plan(subject=subject, target=target, settings=settings, checks=CHECKS, limits=Limits(**limits))


async def execute(planned: runs.Plan, *, observer: Observer | None = None, report: Path | None = None) -> RunResult:
    result = runs.new_result(Profile.STRICT, "seed")
    listeners = [observer] if observer else []
    await runs.execute(
        [planned], profile=result.profile, seed=result.seed, listeners=listeners, report=report, into=result
    )
    return result


def launched() -> runs.Plan:
    return plan(LaunchTarget(REFERENCE), TargetSettings(mode="launch", command=REFERENCE))


@pytest.mark.anyio
async def test_the_reference_is_clean_and_its_report_valid(tmp_path: Path) -> None:
    report = tmp_path / "results.json"
    result = await execute(launched(), report=report)
    json_file.write(result, report)
    document = json.loads(report.read_text())
    SCHEMA.validate(document)
    assert (document["exit"], document["summary"]["pass"]) == (0, 4)
    for case in document["cases"]:
        head, *events = read((tmp_path / case["transcript"]).read_bytes())
        assert head["case"] == case["id"]
        assert {event["party"] for event in events} == {"client", "gateway"}
        assert {event["direction"] for event in events} == {"in", "out"}


@pytest.mark.anyio
async def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    sent = []
    for name in ("one", "two"):
        await execute(launched(), report=tmp_path / f"{name}.json")
        path = tmp_path / f"{name}.transcripts" / "relay.content.request.cborseq"
        _, *events = read(path.read_bytes())
        out = b"".join(e["data"] for e in events if e["party"] == "client" and e["direction"] == "out")
        sent.append(out.partition(b"\r\n\r\n")[2])
    assert sent[0] == sent[1]
    assert len(sent[0]) > 1000


def kill_after_first(pid_file: Path) -> Observer:
    """Return an observer that kills the relay after the first case."""
    pids: list[int] = []

    def act(case: CaseResult) -> None:
        if not pids:
            pids.append(int(pid_file.read_text()))
            os.kill(pids[0], signal.SIGKILL)

    return Observer(act)


@pytest.mark.anyio
async def test_a_launched_subject_that_is_killed_is_an_error_and_comes_back(tmp_path: Path) -> None:
    command = (*NOTES_PID, str(tmp_path / "pid"))
    planned = plan(LaunchTarget(command), TargetSettings(mode="launch", command=command))
    result = await execute(planned, observer=kill_after_first(tmp_path / "pid"))
    assert [case.verdict for case in result.cases] == [Verdict.PASS, Verdict.ERROR, Verdict.PASS, Verdict.PASS]
    assert result.cases[1].attribution is Attribution.SUBJECT
    assert "killed by signal 9" in result.cases[1].observed
    assert result.exit() is Exit.NOT_GRADED
    SCHEMA.validate(json_file.to_json(result))


@asynccontextmanager
async def relay_elsewhere(pid_file: Path) -> AsyncIterator[runs.Plan]:
    """Run a relay that somebody else has started and configured."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    async with LaunchTarget((*NOTES_PID, str(pid_file))).start({"gateway_url": f"http://{address}/gw"}) as relay:
        settings = TargetSettings(mode="url", url=relay.url, listen={"gateway": address})
        yield plan(UrlTarget(relay.url), settings)


@pytest.mark.anyio
async def test_a_subject_by_url_is_judged_where_it_is(tmp_path: Path) -> None:
    async with relay_elsewhere(tmp_path / "pid") as planned:
        result = await execute(planned)
    assert [case.verdict for case in result.cases] == [Verdict.PASS] * 4


@pytest.mark.anyio
async def test_a_subject_by_url_that_is_killed_is_an_error_from_there_on(tmp_path: Path) -> None:
    async with relay_elsewhere(tmp_path / "pid") as planned:
        result = await execute(planned, observer=kill_after_first(tmp_path / "pid"))
    first, second, *rest = result.cases
    assert first.verdict is Verdict.PASS
    assert (second.verdict, second.attribution) == (Verdict.ERROR, Attribution.SUBJECT)
    assert all(case.not_graded and second.id in case.observed for case in rest)
    assert result.exit() is Exit.NOT_GRADED
    SCHEMA.validate(json_file.to_json(result))


@pytest.mark.anyio
async def test_a_subject_that_does_not_start_leaves_every_case_ungraded() -> None:
    command = (sys.executable, "-c", "import sys; sys.exit('no such option')")
    result = await execute(plan(LaunchTarget(command), TargetSettings(mode="launch", command=command)))
    assert len(result.cases) == len(CHECKS)
    assert all(case.not_graded and "no such option" in case.observed for case in result.cases)
    assert result.exit() is Exit.NOT_GRADED
    SCHEMA.validate(json_file.to_json(result))


@pytest.mark.anyio
async def test_a_subject_by_url_needs_to_know_where_the_gateway_is() -> None:
    planned = plan(UrlTarget("http://127.0.0.1:9"), TargetSettings(mode="url", url="http://127.0.0.1:9"))
    result = await execute(planned)
    assert "target.listen.gateway: expected host:port" in result.cases[0].observed
    assert result.exit() is Exit.NOT_GRADED


@pytest.mark.anyio
async def test_an_address_in_use_is_told_of() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        settings = TargetSettings(mode="launch", command=REFERENCE, listen={"gateway": address})
        result = await execute(plan(LaunchTarget(REFERENCE), settings))
    assert f"cannot listen on {address}" in result.cases[0].observed


def test_a_report_that_lies_about_itself_is_not_valid() -> None:
    """The schema is closed: it refuses unknown keys and verdicts without what they need."""
    result = runs.new_result(Profile.STRICT, "seed")
    document = json_file.to_json(result)
    SCHEMA.validate(document)
    assert document["exit"] == int(Exit.NOT_GRADED)
    for edit in (
        {"extra": 1},
        {"schema": 2},
        {"profile": "lenient"},
        {"exit": 7},
        {"seed": ""},
        {"cases": [{}]},
        {"summary": {"pass": 1}},
    ):
        assert not SCHEMA.is_valid({**document, **edit}), edit


@pytest.mark.anyio
async def test_subjects_judged_side_by_side_are_told_of_one_after_the_other() -> None:
    told: list[str] = []

    class Told(Observer):
        def subject_started(self, subject: Subject, cases: int) -> None:
            told.append(f"{subject.name} starts")

        def subject_finished(self, subject: Subject) -> None:
            told.append(f"{subject.name} ends")

    plans = [replace(launched(), subject=Subject(role=Role.RELAY, name=name, where="here")) for name in "ab"]
    result = runs.new_result(Profile.STRICT, "seed")
    listener = Told(lambda case: told.append(case.id))
    await runs.execute(
        plans, profile=result.profile, seed=result.seed, listeners=[listener], report=None, into=result, jobs=2
    )
    ids = [check.id for check in CHECKS]
    assert told == ["a starts", *ids, "a ends", "b starts", *ids, "b ends"]
    assert {case.verdict for case in result.cases} == {Verdict.PASS}
