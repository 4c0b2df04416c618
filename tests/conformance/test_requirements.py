"""Tables of chapters: read strictly, and checks cite only what they can be held to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from conformance import requirements as rows
from conformance.faults import faults
from conformance.registry import checks
from conformance.requirements import ChapterInvalid, divergences, requirements


def test_every_check_cites_rows_that_bind_its_role() -> None:
    for check in checks().values():
        for name in check.requirements:
            assert check.role in requirements()[name].roles, f"{check.id} cites {name}"


def test_every_fault_breaks_rows_that_bind_its_role() -> None:
    for fault in faults().values():
        for name in fault.breaks:
            assert fault.role in requirements()[name].roles, f"{fault.id} breaks {name}"


def test_no_row_is_both_checked_and_declared_untestable() -> None:
    cited = {name for check in checks().values() for name in check.requirements}
    assert not [name for name in cited if requirements()[name].not_testable]


def test_every_divergence_names_rows() -> None:
    assert all(divergence.requirements for divergence in divergences().values())


HEAD = "| ID | Level | Roles | Requirement | Source | Verified by |\n|---|---|---|---|---|---|\n"
DIVERGING = "| ID | Requirements | Texts | Deployed code | interop-2025 |\n|---|---|---|---|---|\n"


def _forget() -> None:
    rows.requirements.cache_clear()
    rows.divergences.cache_clear()


@pytest.fixture
def chapter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr("conformance.resources.SPEC", tmp_path)
    _forget()
    yield tmp_path / "chapter.md"
    _forget()


def test_rows_and_divergences_are_read(chapter: Path) -> None:
    chapter.write_text(
        "# A chapter\n\n"
        + HEAD
        + "| TST-001 | MUST NOT | relay, client | It is `a \\| b`. | RFC 1 §2 | not testable: nobody sees it |\n\n"
        + DIVERGING
        + "| TST-D01 | TST-001 | one | two | warn |\n"
    )
    row = rows.requirements()["TST-001"]
    assert (row.level, row.roles, row.source, row.chapter, row.line) == (
        "MUST NOT",
        ("relay", "client"),
        "RFC 1 §2",
        "chapter.md",
        5,
    )
    assert row.not_testable == "nobody sees it"
    assert rows.divergences()["TST-D01"].outcome == "warn"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (HEAD + "| OHT-1 | MUST | relay | a | b | |\n", "chapter.md:3: 'OHT-1' is no requirement id"),
        (HEAD + "| TST-001 | SHALL | relay | a | b | |\n", "TST-001 has level 'SHALL'"),
        (HEAD + "| TST-001 | MUST | relais | a | b | |\n", "TST-001 has roles ['relais']"),
        (HEAD + "| TST-001 | MUST | | a | b | |\n", "TST-001 has roles ['']"),
        (HEAD + "| TST-001 | MUST | relay | a | b | |\n" * 2, "chapter.md:4: TST-001 is already defined"),
        (DIVERGING + "| D01 | TST-001 | a | b | warn |\n", "'D01' is no divergence id"),
        (DIVERGING + "| TST-D01 | TST-001 | a | b | warn |\n", "TST-D01 names unknown requirements TST-001"),
        (DIVERGING + "| TST-D01 | | a | b | maybe |\n", "TST-D01 says 'maybe'"),
    ],
)
def test_every_slip_is_told(chapter: Path, text: str, told: str) -> None:
    chapter.write_text(text)
    with pytest.raises(ChapterInvalid) as invalid:
        [rows.requirements(), rows.divergences()]
    assert told in str(invalid.value)
