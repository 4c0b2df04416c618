"""``selftest``: does every fault trip its checks, and nothing else?"""

from __future__ import annotations

import anyio
import click

from conformance.cli.options import fail
from conformance.faults import faults
from conformance.operations import operations
from conformance.registry import checks
from conformance.results import Exit
from conformance.runfile import Limits
from conformance.selection import matches
from conformance.selftest import STEP_S, trials, uncovered
from conformance.vectors import files
from conformance.vectors.proof import ProofFailed, prove


@click.command()
@click.option("--only", "patterns", multiple=True, metavar="PATTERN", help="Only faults whose id matches.")
@click.option("--jobs", default=2, show_default=True, type=click.IntRange(1, 16), help="Faults judged at a time.")
@click.option("--scale", default=1.0, show_default=True, type=click.FloatRange(min=0, min_open=True))
@click.option("-v", "--verbose", is_flag=True, help="Name the checks that noticed each fault.")
def selftest(patterns: tuple[str, ...], jobs: int, scale: float, verbose: bool) -> None:
    """Run every fault, mutant and calibration against the suite."""
    problems = [] if patterns else uncovered(list(checks().values()), list(faults().values()))
    for problem in problems:
        click.echo(f"BAD  {problem}")
    if not patterns:
        try:
            mutants = sum(prove(files.load(concept), operations()) for concept in files.CONCEPTS)
        except ProofFailed as error:
            fail(str(error), Exit.SUITE_FAULT)
        click.echo(f"{mutants} mutants accept exactly the negative vectors they were made for")
    bad = anyio.run(_report, patterns, jobs, scale, verbose) + len(problems)
    if bad:
        fail(f"the suite answered {bad} times wrongly", Exit.SUITE_FAULT)


async def _report(patterns: tuple[str, ...], jobs: int, scale: float, verbose: bool) -> int:
    ran = bad = 0
    include = lambda name: not patterns or any(matches(pattern, name) for pattern in patterns)  # noqa: E731
    async for trial in trials(include=include, jobs=jobs, limits=Limits(step_s=STEP_S, scale=scale)):
        ran += 1
        bad += bool(trial.problems)
        noticed = f": {', '.join(trial.noticed)}" if verbose and trial.noticed else ""
        click.echo(f"{'BAD ' if trial.problems else 'ok  '} {trial.id} ({trial.cases} cases){noticed}")
        for problem in trial.problems:
            click.echo(f"       {problem}")
    if not ran:
        fail("no fault or calibration matches")
    click.echo(f"{ran - bad} of {ran} faults and calibrations were seen for what they are")
    return bad
