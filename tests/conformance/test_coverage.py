"""The "Verified by" column says what ran, and nothing is left bare."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from conformance import coverage
from conformance import requirements as rows
from conformance.cli import main
from conformance.roles import Role
from conformance.verdicts import CaseResult, Verdict

CHAPTER = """# A chapter

| ID | Level | Roles | Requirement | Source | Verified by |
|---|---|---|---|---|---|
| TST-001 | MUST | relay | one | RFC 1 | stale |
| TST-002 | MUST | relay | two | RFC 1 | not testable: nobody sees it |
| TST-003 | MUST | node | three | RFC 1 | |
"""


@pytest.fixture
def chapter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr("conformance.resources.SPEC", tmp_path)
    rows.requirements.cache_clear()
    (tmp_path / "chapter.md").write_text(CHAPTER)
    yield tmp_path / "chapter.md"
    rows.requirements.cache_clear()


def result(name: str, verdict: Verdict = Verdict.PASS, *cited: str) -> CaseResult:
    return CaseResult(
        id=name,
        role=Role.RELAY,
        title="t",
        requirements=cited or ("TST-001",),
        level=rows.Level.MUST,
        verdict=verdict,
    )


def test_cells_say_what_ran(chapter: Path) -> None:
    cells = coverage.verified_by([result("relay.a.b")], {}, [Role.RELAY])
    assert cells == {"TST-001": "`relay.a.b`", "TST-002": "not testable: nobody sees it", "TST-003": "pending"}
    text = coverage.rewritten(chapter, cells)
    assert "| TST-001 | MUST | relay | one | RFC 1 | `relay.a.b` |\n" in text
    assert text.count("\n") == CHAPTER.count("\n")


def test_many_checks_are_counted(chapter: Path) -> None:
    cells = coverage.verified_by([result(f"relay.a.{n}") for n in range(6)], {}, [Role.RELAY])
    assert cells["TST-001"] == "`relay.a.0`, `relay.a.1`, `relay.a.2`, `relay.a.3` and 2 more"


@pytest.mark.parametrize("verdict", [Verdict.ERROR, Verdict.NOT_APPLICABLE, Verdict.SKIP])
def test_what_was_not_graded_verifies_nothing(chapter: Path, verdict: Verdict) -> None:
    with pytest.raises(coverage.CoverageIncomplete, match="nothing verifies TST-001"):
        coverage.verified_by([result("relay.a.b", verdict)], {}, [Role.RELAY])


def test_a_judged_role_leaves_nothing_pending(chapter: Path) -> None:
    with pytest.raises(coverage.CoverageIncomplete, match="nothing verifies TST-003"):
        coverage.verified_by([result("relay.a.b")], {}, [Role.RELAY, Role.NODE])


def test_an_unknown_requirement_is_told_of(chapter: Path) -> None:
    graded = [result("relay.a.b"), result("relay.a.c", Verdict.PASS, "TST-009")]
    with pytest.raises(coverage.CoverageIncomplete, match="unknown requirements TST-009"):
        coverage.verified_by(graded, {}, [Role.RELAY])


@pytest.mark.slow
def test_the_chapters_name_what_really_ran() -> None:
    """All checks and vectors on the reference, as ``spec check`` has them run."""
    result = CliRunner().invoke(main, ["spec", "check"])
    assert result.exit_code == 0, result.output
