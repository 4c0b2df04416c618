"""Play vectors against an implementation of the operations: by default the reference."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from conformance.operations import Operation
from conformance.vectors.case import Case
from openpcc_ref.errors import Rejected


class VectorFailed(Exception):
    """An implementation's answer differs from the known one."""

    def __init__(self, case: Case, expected: str, observed: str) -> None:
        super().__init__(f"{case.id}: expected {expected}, observed {observed}")
        self.case = case
        self.expected = expected
        self.observed = observed


def play(case: Case, operations: Mapping[str, Operation]) -> None:
    """Call the case's operation and compare; raises :class:`VectorFailed` at the first difference.

    Steps count like results: a step the operation reports must have the stated value.
    """
    try:
        answer = operations[case.operation](dict(case.input))
    except Rejected as rejected:
        if case.error != rejected.code:
            wanted = f"error {case.error}" if case.error else "an accepted input"
            raise VectorFailed(case, wanted, str(rejected)) from rejected
        return
    if case.error is not None:
        raise VectorFailed(case, f"error {case.error}", "the input was accepted")
    for name, value in {**case.steps, **(case.expected or {})}.items():
        if name not in answer:
            raise VectorFailed(case, f"a member {name}", f"members {', '.join(answer)}")
        if answer[name] != value:
            raise VectorFailed(case, f"{name} = {_brief(value)}", _brief(answer[name]))


def _brief(value: Any) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= 160 else f"{text[:120]}… ({len(text)} characters)"
