"""The proof that every negative vector has exactly one fault.

A negative differs from its control in one member of its input; the reference refuses it with the stated
code; and the mutant of the reference that lacks just that check accepts it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from conformance.mutants import mutant
from conformance.operations import Operation
from conformance.vectors.case import Case
from openpcc_ref.errors import Rejected


class ProofFailed(Exception):
    """A negative vector does not show what it claims."""


def prove(cases: Iterable[Case], operations: Mapping[str, Operation]) -> int:
    """Prove all negatives among ``cases`` and return their number; raises :class:`ProofFailed`."""
    by_id = {case.id: case for case in cases}
    negatives = [case for case in by_id.values() if case.error is not None]
    for case in negatives:
        _prove_single_edit(case, by_id)
        assert case.error is not None
        with mutant(case.error):
            try:
                operations[case.operation](dict(case.input))
            except Rejected as rejected:
                raise ProofFailed(f"{case.id}: without {case.error} still refused: {rejected}") from rejected
    return len(negatives)


def _prove_single_edit(case: Case, by_id: Mapping[str, Case]) -> None:
    control = by_id.get(case.control or "")
    if control is None or control.result != "valid":
        raise ProofFailed(f"{case.id}: control {case.control} is not an accepted case of this file")
    if control.operation != case.operation:
        raise ProofFailed(f"{case.id}: control {control.id} exercises {control.operation}")
    edits = sorted(set(_leaves(case.input)) ^ set(_leaves(control.input)))
    members = {path for path, _ in edits}
    if len(members) != 1:
        raise ProofFailed(f"{case.id}: differs from {control.id} in {len(members)} members: {sorted(members)}")


def _leaves(value: Any, path: str = "input") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for name, member in value.items():
            yield from _leaves(member, f"{path}.{name}")
    else:
        yield path, repr(value)
