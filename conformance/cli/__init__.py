"""The command line: one module per verb."""

from __future__ import annotations

import click

from conformance.cli.demo import demo
from conformance.cli.explain import explain
from conformance.cli.list import list_checks
from conformance.cli.needs import needs
from conformance.cli.run import run
from conformance.cli.selftest import selftest
from conformance.cli.serve import serve
from conformance.cli.spec import spec
from conformance.cli.vectors import vectors
from conformance.version import VERSION


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, prog_name="openpcc-conformance")
def main() -> None:
    """Judge implementations of OpenPCC against the standard."""


for command in (run, list_checks, explain, needs, vectors, selftest, spec, serve, demo):
    main.add_command(command)
