"""Which requirement is verified by what: computed from what really ran, and kept in the chapters' tables."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

from conformance.requirements import REQUIREMENT_COLUMNS, Requirement, requirements, tables
from conformance.roles import Role
from conformance.vectors.case import Case
from conformance.verdicts import CaseResult, Verdict

_SHOWN = 4
"""How many check ids a cell names before it counts the rest."""


class CoverageIncomplete(Exception):
    """A requirement that a judged role is bound by is neither verified nor declared untestable."""


def verified_by(
    graded: Iterable[CaseResult], played: Mapping[str, Iterable[Case]], judged: Iterable[Role]
) -> dict[str, str]:
    """Return the "Verified by" cell of every requirement.

    ``graded`` are the results of a run in which each check had its say; ``played`` the vectors that held, by
    concept. Raises :class:`CoverageIncomplete` naming all rows that nothing verifies.
    """
    checks: dict[str, list[str]] = defaultdict(list)
    for case in graded:
        if case.verdict in (Verdict.PASS, Verdict.WARN, Verdict.FAIL):
            for name in case.requirements:
                checks[name].append(case.id)
    vectors: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for concept, cases in played.items():
        for vector in cases:
            for name in vector.requirements:
                vectors[name][concept] += 1
    judged_roles = {*judged, Role.LIBRARY}
    cells = {row.id: _cell(row, checks[row.id], vectors[row.id], judged_roles) for row in requirements().values()}
    if bare := [name for name, cell in cells.items() if not cell]:
        raise CoverageIncomplete(f"nothing verifies {', '.join(bare)}; add a check, a vector or a stated reason")
    if unknown := sorted({*checks, *vectors} - set(cells)):
        raise CoverageIncomplete(f"checks or vectors cite unknown requirements {', '.join(unknown)}")
    return cells


def _cell(row: Requirement, checks: list[str], vectors: Mapping[str, int], judged: set[Role]) -> str:
    parts = []
    if checks:
        more = f" and {len(checks) - _SHOWN} more" if len(checks) > _SHOWN else ""
        parts.append(", ".join(f"`{name}`" for name in checks[:_SHOWN]) + more)
    parts += [f"vectors/{concept}.json ({count})" for concept, count in sorted(vectors.items())]
    if parts:
        return "; ".join(parts)
    if row.not_testable:
        return row.verified_by
    return "" if set(row.roles) & judged else "pending"


def rewritten(chapter: Path, cells: Mapping[str, str]) -> str:
    """Return the chapter's text with the last column of its requirement tables set to ``cells``."""
    lines = chapter.read_text(encoding="utf-8").splitlines(keepends=True)
    for line, row in tables(chapter, REQUIREMENT_COLUMNS):
        lines[line - 1] = f"| {' | '.join([*row[:-1], cells[row[0]]])} |\n"
    return "".join(lines)
