"""``list``: the checks, with role, level and requirements."""

from __future__ import annotations

import json
from collections.abc import Sequence

import click

from conformance.cli.options import selected, selection_options


@click.command("list")
@selection_options
@click.option("--json", "as_json", is_flag=True, help="One JSON array instead of lines.")
def list_checks(
    roles: Sequence[str],
    include: Sequence[str],
    exclude: Sequence[str],
    requirements: Sequence[str],
    as_json: bool,
) -> None:
    """List the checks."""
    found = selected(roles, include, exclude, requirements)
    if as_json:
        rows = [
            {
                "id": check.id,
                "role": str(check.role),
                "title": check.title,
                "level": str(check.level),
                "requirements": list(check.requirements),
                "needs": list(check.needs),
                "costly": check.costly,
            }
            for check in found
        ]
        click.echo(json.dumps(rows, indent=2))
        return
    width = max(len(check.id) for check in found)
    for check in found:
        click.echo(f"{check.id:<{width}}  {check.level:<10}  {','.join(check.requirements):<24}  {check.title}")
    click.echo(f"{len(found)} checks")
