"""``run``: judge the embedded reference stack, or what run files name."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import anyio
import click
from rich.console import Console

from conformance import runs
from conformance.cli.explore import exploring, replaying
from conformance.cli.options import fail, selected, selection_options
from conformance.peers import JUDGED_ROLES
from conformance.report import json_file
from conformance.report.console import ConsoleReport, Listener
from conformance.results import Exit, RunResult, Subject
from conformance.runfile import Limits, RunFile, RunFileInvalid, load
from conformance.verdicts import CaseResult, Profile


@click.command()
@click.argument("run_files", nargs=-1, metavar="[RUN_FILE]...", type=click.Path(path_type=Path))
@selection_options
@click.option(
    "--profile",
    type=click.Choice([profile.value for profile in Profile]),
    help="What to measure against (default: strict).",
)
@click.option("--seed", help="Repeat a run: all randomness of the runner follows from it.")
@click.option("--case-s", type=click.FloatRange(min=0, min_open=True), help="Deadline of a case in seconds.")
@click.option("--step-s", type=click.FloatRange(min=0, min_open=True), help="Deadline of one wait in seconds.")
@click.option("--scale", type=click.FloatRange(min=0, min_open=True), help="Stretches all deadlines.")
@click.option(
    "--json",
    "json_path",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the results there, and the transcripts beside it.",
)
@click.option(
    "--explore",
    is_flag=True,
    help="Instead of the checks, drive banks and nonce locks with drawn sessions; save the shortest that goes wrong.",
)
@click.option(
    "--replay",
    "session_path",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Instead of the checks, do a session again that --explore has saved.",
)
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    help="How many subjects to judge at a time (default: one, and two of the embedded stack).",
)
@click.option("-v", "--verbose", is_flag=True, help="Show passing cases too.")
def run(
    run_files: Sequence[Path],
    roles: Sequence[str],
    include: Sequence[str],
    exclude: Sequence[str],
    requirements: Sequence[str],
    profile: str | None,
    seed: str | None,
    case_s: float | None,
    step_s: float | None,
    scale: float | None,
    json_path: Path | None,
    explore: bool,
    session_path: Path | None,
    jobs: int | None,
    verbose: bool,
) -> None:
    """Judge implementations; without a run file, the embedded reference stack."""
    overrides = {name: value for name, value in (("case_s", case_s), ("step_s", step_s), ("scale", scale)) if value}
    loaded = _load(run_files)
    chosen = Profile(profile or _agreed(loaded, "profile") or Profile.STRICT)
    seed = seed or _agreed(loaded, "seed") or os.urandom(4).hex()
    plans = []
    for run_file in loaded:
        wanted = [name for name in roles if name != run_file.role]
        if wanted:
            fail(f"the run file judges the role {run_file.role}, not {', '.join(wanted)}")
        found = selected([run_file.role], [*run_file.include, *include], [*run_file.exclude, *exclude], requirements)
        plans.append(runs.plan_of(run_file, found, replace(run_file.limits, **overrides)))
    if not loaded:
        found = selected(roles, include, exclude, requirements)
        for role in JUDGED_ROLES:
            if mine := [check for check in found if check.role is role]:
                plans.append(runs.embedded_plan(role, mine, Limits(**overrides)))
    told = [str(path) for path in run_files]
    if session_path is not None:
        plans = replaying(plans, session_path)
        told += ["--replay", str(session_path)]
    elif explore:
        plans = exploring(plans, seed, json_path)
        told += ["--explore"]
    # What run files name may share a machine, or each other; the embedded services are strangers.
    jobs = jobs or (1 if loaded else 2)
    raise SystemExit(int(_execute(plans, chosen, seed, json_path, jobs, verbose, told)))


def _execute(
    plans: Sequence[runs.Plan],
    profile: Profile,
    seed: str,
    json_path: Path | None,
    jobs: int,
    verbose: bool,
    told: Sequence[str],
) -> Exit:
    result = runs.new_result(profile, seed)
    repeat = shlex.join(["openpcc-conformance", "run", *told])
    if profile is not Profile.STRICT:
        repeat += f" --profile {profile}"
    console = ConsoleReport(Console(), seed=seed, repeat=repeat, verbose=verbose)
    listeners: list[Listener] = [console]
    if json_path is not None:
        listeners.append(_SavedAsItComes(result, json_path))
    interrupted = False
    try:
        anyio.run(_run, plans, profile, seed, listeners, json_path, jobs, result)
    except KeyboardInterrupt:
        interrupted = True
        click.echo("interrupted; the report is partial", err=True)
    console.finish(result)
    return Exit.INTERRUPTED if interrupted else result.exit()


async def _run(
    plans: Sequence[runs.Plan],
    profile: Profile,
    seed: str,
    listeners: Sequence[Listener],
    json_path: Path | None,
    jobs: int,
    result: RunResult,
) -> None:
    await runs.execute(plans, profile=profile, seed=seed, listeners=listeners, report=json_path, into=result, jobs=jobs)


class _SavedAsItComes:
    """Writes the JSON report after every case, so that a crash loses one case and not the run."""

    def __init__(self, result: RunResult, path: Path) -> None:
        self._result = result
        self._path = path
        try:
            json_file.write(result, path)
        except OSError as error:
            fail(f"cannot write {path}: {error.strerror}")

    def subject_started(self, subject: Subject, cases: int) -> None:
        pass

    def case_finished(self, case: CaseResult) -> None:
        json_file.write(self._result, self._path)

    def subject_finished(self, subject: Subject) -> None:
        pass


def _load(paths: Sequence[Path]) -> list[RunFile]:
    try:
        return [load(path) for path in paths]
    except RunFileInvalid as error:
        fail(str(error))


def _agreed(loaded: Sequence[RunFile], name: str) -> str | None:
    """Return the one value that the run files give for a key of the whole run, or None."""
    values = {getattr(run_file, name) for run_file in loaded} - {None}
    if len(values) > 1:
        fail(f"the run files disagree on {name}: {', '.join(sorted(map(str, values)))}; say which with --{name}")
    return str(values.pop()) if values else None
