"""The suite judging itself: every fault must trip its checks and no other, every calibration must be seen through."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import anyio
from anyio.abc import ObjectSendStream

from conformance import runs
from conformance.calibration import CALIBRATIONS
from conformance.faults import Fault, faults
from conformance.peers import JUDGED_ROLES
from conformance.registry import Check, checks
from conformance.results import Subject
from conformance.roles import Role
from conformance.runfile import Limits, TargetSettings
from conformance.selection import matches
from conformance.targets import LaunchTarget
from conformance.verdicts import CaseResult, Profile, Verdict

SEED = "selftest"
STEP_S = 2.0
"""Deadline of one wait: most of the time goes into waiting for what a fault never does."""

_PATIENCE = 5
"""How much longer the deadlines are when a trial with problems is repeated."""

NOTICED = (Verdict.FAIL, Verdict.WARN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One thing the suite was shown, and what is wrong with the suite's answer (nothing, if empty)."""

    id: str
    cases: int
    noticed: tuple[str, ...]
    problems: tuple[str, ...]


def uncovered(known_checks: Sequence[Check], known_faults: Sequence[Fault]) -> list[str]:
    """Return what is wrong before anything runs: checks without a fault, faults that name no check."""
    tripped = {name for fault in known_faults for name in fault.trips}
    named = {check.id for check in known_checks}
    problems = [f"check {check.id} has no fault that trips it" for check in known_checks if check.id not in tripped]
    for fault in known_faults:
        problems += [
            f"fault {fault.id} names the unknown check {name}"
            for name in (*fault.trips, *fault.also)
            if not any(matches(name, check) for check in named)
        ]
    return problems


async def trials(
    *, include: Callable[[str], bool] = lambda _: True, jobs: int = 2, limits: Limits, whole_role: bool = True
) -> AsyncIterator[Trial]:
    """Run the faults and calibrations that ``include`` admits, ``jobs`` at a time, and yield what each showed.

    A fault meets all checks of its role, or, without ``whole_role``, those of the sections it is to trip: far fewer.
    """
    send, receive = anyio.create_memory_object_stream[Trial](max_buffer_size=1000)
    limiter = anyio.CapacityLimiter(jobs)
    async with anyio.create_task_group() as group, receive:
        async with send:
            for fault in faults().values():
                if include(fault.id):
                    met = _checks_for(fault, whole_role=whole_role)
                    group.start_soon(_send, limiter, send.clone(), _fault_trial, (fault, met), limits)
            for role in JUDGED_ROLES:
                for name in CALIBRATIONS:
                    if include(f"{role}.calibration.{name}"):
                        group.start_soon(_send, limiter, send.clone(), _calibration_trial, (role, name), limits)
        async for trial in receive:
            yield trial


async def _send(
    limiter: anyio.CapacityLimiter,
    stream: ObjectSendStream[Trial],
    make: Callable[[Any, Limits], Awaitable[Trial]],
    what: object,
    limits: Limits,
) -> None:
    async with stream, limiter:
        trial = await make(what, limits)
        if trial.problems:  # on a busy machine a short deadline can pass by itself; what is wrong stays wrong
            trial = await make(what, replace(limits, scale=limits.scale * _PATIENCE))
        await stream.send(trial)


async def _fault_trial(what: tuple[Fault, Sequence[Check]], limits: Limits) -> Trial:
    fault, met = what
    cases = await _judge(fault.role, [sys.executable, "-m", "conformance.faults", fault.id], met, limits)
    noticed = tuple(case.id for case in cases if case.verdict in NOTICED)
    problems = [f"{name} did not notice" for name in fault.trips if name not in noticed]
    for case in cases:
        if case.verdict is Verdict.ERROR:
            problems.append(f"{case.id} could not be graded: {case.observed}")
        elif case.id in noticed and not any(matches(name, case.id) for name in (*fault.trips, *fault.also)):
            problems.append(f"{case.id} fired without being named: {case.observed}")
    return Trial(id=fault.id, cases=len(cases), noticed=noticed, problems=tuple(problems))


def _checks_for(fault: Fault, *, whole_role: bool) -> list[Check]:
    sections = {_section(name) for name in fault.trips}
    return [
        check
        for check in _checks_of(fault.role)
        if check.id in fault.trips or (not check.costly and (whole_role or _section(check.id) in sections))
    ]


def _section(check: str) -> str:
    return check.rpartition(".")[0]


async def _calibration_trial(what: tuple[Role, str], limits: Limits) -> Trial:
    role, name = what
    met = [check for check in _checks_of(role) if not check.costly]
    cases = await _judge(role, [sys.executable, "-m", "conformance.calibration", name], met, limits)
    tally = Counter(case.verdict for case in cases)
    expected = Counter({Verdict.ERROR: len(met)})
    problems = [] if tally == expected else [f"tally {dict(tally)}, expected {dict(expected)}"]
    return Trial(id=f"{role}.calibration.{name}", cases=len(cases), noticed=(), problems=tuple(problems))


def _checks_of(role: Role) -> list[Check]:
    return [check for check in checks().values() if check.role is role]


async def _judge(role: Role, command: Sequence[str], met: Sequence[Check], limits: Limits) -> list[CaseResult]:
    result = runs.new_result(Profile.STRICT, SEED)
    plan = runs.Plan(
        subject=Subject(role=role, name=command[-1], where=" ".join(command[1:])),
        target=LaunchTarget(command),
        settings=TargetSettings(mode="launch", command=tuple(command)),
        checks=met,
        limits=limits,
    )
    await runs.execute([plan], profile=result.profile, seed=result.seed, listeners=(), report=None, into=result)
    return result.cases
