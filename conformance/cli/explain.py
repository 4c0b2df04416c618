"""``explain``: what a check, requirement, divergence or error code means."""

from __future__ import annotations

import click

from conformance.capabilities import CAPABILITIES
from conformance.cli.options import fail
from conformance.faults import faults
from conformance.registry import Check, checks
from conformance.requirements import Divergence, Requirement, divergences, requirements
from conformance.selection import suggestion


@click.command()
@click.argument("identifier", metavar="ID")
def explain(identifier: str) -> None:
    """Explain a check, requirement, divergence or fault by its id."""
    if identifier in checks():
        click.echo(_check(checks()[identifier]))
    elif identifier in requirements():
        click.echo(_requirement(requirements()[identifier]))
    elif identifier in divergences():
        click.echo(_divergence(divergences()[identifier]))
    elif identifier in faults():
        fault = faults()[identifier]
        click.echo(f"{fault.id}: {fault.story}\nbreaks {', '.join(fault.breaks)}\ntrips  {', '.join(fault.trips)}")
    else:
        known = [*checks(), *requirements(), *divergences(), *faults()]
        fail(f"unknown id {identifier!r}{suggestion(identifier, known)}")


def _check(check: Check) -> str:
    lines = [f"{check.id}: {check.title}", "", check.story, ""]
    lines += [_requirement(requirements()[name]) for name in check.requirements]
    lines += [f"needs {CAPABILITIES[need]}" for need in check.needs]
    tripped_by = [fault.id for fault in faults().values() if check.id in fault.trips]
    lines.append(f"faults that trip it: {', '.join(tripped_by)}")
    lines.append(f"run it: openpcc-conformance run --only {check.id}")
    return "\n".join(lines)


def _requirement(row: Requirement) -> str:
    verified = f"\n  verified by: {row.verified_by}" if row.verified_by else ""
    return (
        f"{row.id} {row.level} ({', '.join(row.roles)}): {row.text}\n"
        f"  source: {row.source}; spec/{row.chapter}:{row.line}{verified}"
    )


def _divergence(row: Divergence) -> str:
    return (
        f"{row.id} ({', '.join(row.requirements)}; spec/{row.chapter}:{row.line})\n"
        f"  texts: {row.texts}\n  deployed code: {row.deployed}\n  under interop-2025: {row.outcome}"
    )
