"""A whole run: which subjects, with which checks, under which profile; and its execution."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import anyio
from anyio.abc import ObjectSendStream

from conformance.engine import Engine
from conformance.peers import open_world
from conformance.registry import Check
from conformance.report.console import Listener
from conformance.results import RunResult, Subject
from conformance.roles import Role
from conformance.runfile import Limits, RunFile, TargetSettings
from conformance.targets import LaunchTarget, Target, TargetFailed, UrlTarget, embedded
from conformance.verdicts import NOT_GRADED, Attribution, CaseResult, Profile, Verdict
from conformance.version import VERSION


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One subject and the checks it meets."""

    subject: Subject
    target: Target
    settings: TargetSettings
    checks: Sequence[Check]
    limits: Limits = field(default_factory=Limits)


def embedded_plan(role: Role, checks: Sequence[Check], limits: Limits) -> Plan:
    """Return the plan that judges the reference service of a role."""
    target = embedded(role)
    subject = Subject(role=role, name="openpcc_ref", where=target.where)
    return Plan(
        subject=subject,
        target=target,
        settings=TargetSettings(mode="launch", command=tuple(target.command)),
        checks=checks,
        limits=limits,
    )


def plan_of(run_file: RunFile, checks: Sequence[Check], limits: Limits) -> Plan:
    """Return the plan a run file describes."""
    settings = run_file.target
    target = UrlTarget(settings.url) if settings.url and settings.mode == "url" else LaunchTarget(settings.command)
    subject = Subject(role=run_file.role, name=run_file.name, where=target.where)
    return Plan(subject=subject, target=target, settings=settings, checks=checks, limits=limits)


async def execute(
    plans: Sequence[Plan],
    *,
    profile: Profile,
    seed: str,
    listeners: Sequence[Listener],
    report: Path | None,
    into: RunResult,
    jobs: int = 1,
) -> None:
    """Judge every plan's subject, ``jobs`` at a time, adding each result to ``into`` as it is known.

    Results are told in the order of the plans, whichever is ready first.
    """
    limiter = anyio.CapacityLimiter(jobs)
    async with anyio.create_task_group() as group:
        streams = []
        for plan in plans:
            send, receive = anyio.create_memory_object_stream[CaseResult](math.inf)
            group.start_soon(_judge, plan, profile, seed, report, send, limiter)
            streams.append(receive)
        for plan, stream in zip(plans, streams, strict=True):
            into.subjects.append(plan.subject)
            for listener in listeners:
                listener.subject_started(plan.subject, len(plan.checks))
            async with stream:
                async for case in stream:
                    _tell(case, into, listeners)
            for listener in listeners:
                listener.subject_finished(plan.subject)


async def _judge(
    plan: Plan,
    profile: Profile,
    seed: str,
    report: Path | None,
    results: ObjectSendStream[CaseResult],
    limiter: anyio.CapacityLimiter,
) -> None:
    """Judge one plan's subject as soon as it is its turn, and send each result."""
    async with results, limiter:
        try:
            async with open_world(
                plan.subject.role, plan.target, plan.settings, seed=seed, limits=plan.limits
            ) as world:
                engine = Engine(
                    world=world,
                    profile=profile,
                    seed=seed,
                    limits=plan.limits,
                    transcripts=report.with_name(f"{report.stem}.transcripts") if report else None,
                    report_folder=report.parent if report else None,
                )
                async for case in engine.run(plan.checks):
                    await results.send(case)
        except TargetFailed as failure:
            for check in plan.checks:
                await results.send(_not_graded(check, str(failure)))


def new_result(profile: Profile, seed: str) -> RunResult:
    """Return an empty result that starts now."""
    return RunResult(suite_version=VERSION, profile=profile, seed=seed, started=datetime.now(UTC))


def _tell(case: CaseResult, into: RunResult, listeners: Sequence[Listener]) -> None:
    into.cases.append(case)
    for listener in listeners:
        listener.case_finished(case)


def _not_graded(check: Check, reason: str) -> CaseResult:
    return CaseResult(
        id=check.id,
        role=check.role,
        title=check.title,
        requirements=check.requirements,
        level=check.level,
        verdict=Verdict.ERROR,
        expected="a subject that serves",
        observed=f"{NOT_GRADED}{reason}",
        attribution=Attribution.SUBJECT,
    )
