"""How tests have one subject judged."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from conformance import runs
from conformance.registry import Check, checks
from conformance.results import RunResult, Subject
from conformance.roles import Role
from conformance.runfile import TargetSettings
from conformance.targets import LaunchTarget, Target
from conformance.verdicts import Profile, Verdict


def quick_checks(role: Role) -> list[Check]:
    """Return the checks of a role, but for those that take seconds by their nature."""
    return [check for check in checks().values() if check.role is role and not check.costly]


def faulty(name: str) -> LaunchTarget:
    """Return the reference service with one fault."""
    return LaunchTarget([sys.executable, "-m", "conformance.faults", name])


async def judge(
    role: Role,
    target: Target,
    met: Sequence[Check],
    profile: Profile = Profile.STRICT,
    settings: TargetSettings | None = None,
) -> RunResult:
    """Judge one subject by some checks."""
    result = runs.new_result(profile, "test")
    plan = runs.Plan(
        subject=Subject(role=role, name="test", where=target.where),
        target=target,
        settings=settings or TargetSettings(mode="launch"),
        checks=met,
    )
    await runs.execute([plan], profile=profile, seed="test", listeners=(), report=None, into=result)
    return result


async def verdict_on(fault: str, check: str, profile: Profile = Profile.STRICT) -> tuple[Verdict, str | None]:
    """Return what one check says of one fault, and the divergence it names."""
    met = checks()[check]
    (case,) = (await judge(met.role, faulty(fault), [met], profile)).cases
    return case.verdict, case.divergence
