"""Options and helpers that several verbs share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import click

from conformance.registry import Check, checks
from conformance.results import Exit
from conformance.roles import Role
from conformance.selection import SelectionInvalid, select

Decorated = Callable[..., Any]


def fail(message: str, code: Exit = Exit.USAGE) -> NoReturn:
    """End with one line on standard error and the exit code (default: usage)."""
    click.echo(f"error: {message}", err=True)
    raise SystemExit(int(code))


def selection_options(command: Decorated) -> Decorated:
    """Add the options that select checks."""
    options = (
        click.option(
            "--role",
            "roles",
            multiple=True,
            type=click.Choice([role.value for role in Role]),
            help="Only checks of this role.",
        ),
        click.option(
            "--only",
            "include",
            multiple=True,
            metavar="PATTERN",
            help="Only checks whose id matches; * is one segment, ** any number.",
        ),
        click.option("--exclude", multiple=True, metavar="PATTERN", help="Leave out checks whose id matches."),
        click.option("--requirement", "requirements", multiple=True, metavar="ID", help="Only checks that verify it."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def selected(
    roles: Sequence[str], include: Sequence[str], exclude: Sequence[str], requirements: Sequence[str]
) -> list[Check]:
    """Return the selected checks; ends with a usage error when there are none."""
    try:
        found = select(
            checks(),
            roles=[Role(role) for role in roles],
            include=include,
            exclude=exclude,
            requirements=requirements,
        )
    except SelectionInvalid as error:
        fail(str(error))
    if not found:
        fail("the selection is empty: no check fits all the given options")
    return found
