"""How the generators make cases: the reference's answer to an input, and an accepted input with one fault."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any

from conformance.operations import operations
from conformance.vectors.case import Case, Json


def answered(
    case_id: str,
    comment: str,
    operation: str,
    value: Json,
    requirements: tuple[str, ...],
    *,
    steps: Collection[str] = (),
    flags: tuple[str, ...] = (),
) -> Case:
    """Return an accepted case with the answer of the reference; ``steps`` names what is met on the way to it."""
    answer = operations()[operation](value)
    return Case(
        id=case_id,
        comment=comment,
        operation=operation,
        requirements=requirements,
        input=value,
        flags=flags,
        steps={name: answer[name] for name in answer if name in steps},
        expected={name: answer[name] for name in answer if name not in steps},
    )


def edited(
    control: Case, fault: str, comment: str, error: str, requirements: tuple[str, ...] | None = None, **edit: Any
) -> Case:
    """Return a negative case: the accepted ``control`` with the one member of ``edit`` changed."""
    return replace(
        control,
        id=f"{control.id}.{fault}",
        comment=comment,
        requirements=control.requirements if requirements is None else requirements,
        input={**control.input, **edit},
        flags=(),
        steps={},
        expected=None,
        error=error,
        control=control.id,
    )


def beside(
    control: Case, fault: str, comment: str, error: str, requirements: tuple[str, ...] | None = None, **edit: Any
) -> Case:
    """Return the negative case of :func:`edited` with an id in the control's group."""
    return replace(
        edited(control, fault, comment, error, requirements, **edit), id=f"{control.id.rpartition('.')[0]}.{fault}"
    )


def flipped(octets: str, position: int) -> str:
    """Return the hex string with the lowest bit of one byte changed."""
    data = bytearray.fromhex(octets)
    data[position] ^= 1
    return data.hex()


def accepted_by_deployed_code(case: Case) -> Case:
    """Flag a negative case that deployed code is known to accept: a divergence of its chapter."""
    return replace(case, flags=("DeployedCodeAccepts",))
