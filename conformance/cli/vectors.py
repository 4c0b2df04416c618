"""``vectors``: generate, check and list the known answers."""

from __future__ import annotations

import click

from conformance.cli.options import fail
from conformance.operations import operations
from conformance.results import Exit
from conformance.vectors import files, generate
from conformance.vectors.play import VectorFailed, play
from conformance.vectors.proof import ProofFailed, prove


@click.group()
def vectors() -> None:
    """Generate, check and list test vectors."""


@vectors.command("generate")
@click.option("--check", "check_only", is_flag=True, help="Write nothing; fail if a file differs from a rebuild.")
def generate_vectors(check_only: bool) -> None:
    """Rebuild the vector files from the reference, byte for byte."""
    differing = 0
    for concept in files.CONCEPTS:
        if not check_only:
            click.echo(f"{concept}: {'written' if generate.write(concept) else 'unchanged'}")
        elif (difference := generate.first_difference(concept)) is not None:
            differing += 1
            click.echo(f"{concept}: differs at {difference}", err=True)
        else:
            click.echo(f"{concept}: reproduced byte for byte")
    if differing:
        fail(f"{differing} of {len(files.CONCEPTS)} vector files differ from a rebuild", Exit.FAILED)


@vectors.command("check")
def check_vectors() -> None:
    """Validate every file, play every case on the reference, and prove every negative's single fault."""
    known = operations()
    try:
        for concept in files.CONCEPTS:
            cases = files.load(concept)
            for case in cases:
                play(case, known)
            negatives = prove(cases, known)
            published = sum(case.source is not None for case in cases)
            click.echo(
                f"{concept}: {len(cases)} cases hold, {published} of them published elsewhere; "
                f"{negatives} negatives proven to have a single fault"
            )
    except (files.VectorFileInvalid, VectorFailed, ProofFailed) as error:
        fail(str(error), Exit.FAILED)


@vectors.command("list")
@click.argument("concept", required=False, type=click.Choice(files.CONCEPTS))
def list_vectors(concept: str | None) -> None:
    """List the cases of one file, or of all."""
    for name in [concept] if concept else files.CONCEPTS:
        for case in files.load(name):
            click.echo(f"{case.id:<72}  {case.result:<7}  {case.comment}")
