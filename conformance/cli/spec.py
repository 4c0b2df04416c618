"""``spec``: keep the chapters' "Verified by" columns equal to what really ran."""

from __future__ import annotations

import anyio
import click

from conformance import coverage, runs
from conformance.cli.options import fail
from conformance.operations import operations
from conformance.peers import JUDGED_ROLES
from conformance.registry import checks
from conformance.requirements import chapters
from conformance.results import Exit, RunResult
from conformance.runfile import Limits
from conformance.vectors import files
from conformance.vectors.case import Case
from conformance.vectors.play import play
from conformance.verdicts import Profile, Verdict

_SEED = "verified-by"

_LIMITS = Limits(scale=5.0)
"""Patience: on a busy machine thousands of requests take longer, and how long is not asked here."""


@click.group()
def spec() -> None:
    """Check the chapters against what really ran."""


@spec.command("check")
def check_chapters() -> None:
    """Run every check and vector on the reference; fail where a table says something else."""
    cells = computed()
    stale = [path.name for path in chapters() if coverage.rewritten(path, cells) != path.read_text(encoding="utf-8")]
    if stale:
        fail(f"stale in {', '.join(stale)}; `openpcc-conformance spec update` rewrites the columns", Exit.FAILED)
    click.echo(f"{len(cells)} requirements agree with what ran")


@spec.command("update")
def update_chapters() -> None:
    """Run every check and vector on the reference and rewrite the "Verified by" columns."""
    cells = computed()
    for path in chapters():
        text = coverage.rewritten(path, cells)
        changed = text != path.read_text(encoding="utf-8")
        if changed:
            path.write_text(text, encoding="utf-8")
        click.echo(f"{path.name}: {'rewritten' if changed else 'unchanged'}")


def computed() -> dict[str, str]:
    """Return the cells after running all checks and vectors on the embedded reference."""
    result = runs.new_result(Profile.STRICT, _SEED)
    anyio.run(_run, result)
    if result.exit() is not Exit.CLEAN:
        bad = [case for case in result.cases if case.verdict in (Verdict.FAIL, Verdict.ERROR)]
        told = "; ".join(f"{case.id}: {case.observed}" for case in bad)
        fail(f"the reference stack does not pass its own suite: {told}", Exit.SUITE_FAULT)
    try:
        return coverage.verified_by(result.cases, played(), JUDGED_ROLES)
    except coverage.CoverageIncomplete as error:
        fail(str(error), Exit.FAILED)


async def _run(result: RunResult) -> None:
    plans = [
        runs.embedded_plan(role, [check for check in checks().values() if check.role is role], _LIMITS)
        for role in JUDGED_ROLES
    ]
    await runs.execute(plans, profile=result.profile, seed=result.seed, listeners=(), report=None, into=result, jobs=2)


def played() -> dict[str, list[Case]]:
    """Play all vectors on the reference and return them by concept."""
    known = operations()
    cases = {concept: files.load(concept) for concept in files.CONCEPTS}
    for case in (case for group in cases.values() for case in group):
        play(case, known)
    return cases
