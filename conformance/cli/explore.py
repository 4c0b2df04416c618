"""``run --explore`` and ``run --replay``: what takes the place of the checks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from conformance import runs
from conformance.cli.options import fail
from conformance.exploration.drive import EXPLORED_ROLES, SessionInvalid, decode_session, exploration, repetition


def exploring(plans: Sequence[runs.Plan], seed: str, report: Path | None) -> list[runs.Plan]:
    """Return plans that explore; sessions are saved beside the report or, without one, in the current folder."""
    try:
        import hypothesis  # noqa: F401
    except ImportError:
        fail("--explore draws sessions with Hypothesis: pip install 'openpcc-conformance[test]'")
    folder = report.parent if report else Path()
    return [
        replace(
            plan, checks=[exploration(role, seed=seed, time_s=_time_s(plan), save_to=folder / f"{role}.session.json")]
        )
        for plan in plans
        if (role := plan.subject.role) in EXPLORED_ROLES
    ] or fail(f"--explore drives {' and '.join(EXPLORED_ROLES)} only")


def replaying(plans: Sequence[runs.Plan], path: Path) -> list[runs.Plan]:
    """Return plans that do a saved session again."""
    try:
        role, session = decode_session(path.read_text(encoding="utf-8"))
    except (SessionInvalid, OSError, UnicodeDecodeError) as error:
        fail(f"{path}: {error}")
    return [replace(plan, checks=[repetition(role, session)]) for plan in plans if plan.subject.role is role] or fail(
        f"{path} is a session of the role {role}, which is not judged here"
    )


def _time_s(plan: runs.Plan) -> float:
    return plan.limits.case_s * plan.limits.scale
