"""The requirements and divergences of the chapters: parsed from their tables, listed nowhere else."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Literal

from markdown_it import MarkdownIt
from markdown_it.token import Token

from conformance import resources
from conformance.roles import Role

REQUIREMENT_COLUMNS = ("ID", "Level", "Roles", "Requirement", "Source", "Verified by")
DIVERGENCE_COLUMNS = ("ID", "Requirements", "Texts", "Deployed code", "interop-2025")

_REQUIREMENT_ID = re.compile(r"[A-Z]{3,5}-\d{3}")
_DIVERGENCE_ID = re.compile(r"[A-Z]{3,5}-D\d{2}")
NOT_TESTABLE = "not testable: "


class Level(StrEnum):
    """How binding a requirement is (RFC 2119)."""

    MUST = "MUST"
    MUST_NOT = "MUST NOT"
    SHOULD = "SHOULD"
    SHOULD_NOT = "SHOULD NOT"
    MAY = "MAY"

    @property
    def binding(self) -> bool:
        """Whether breaking the requirement is a failure rather than a warning."""
        return self in (Level.MUST, Level.MUST_NOT)


class ChapterInvalid(Exception):
    """A table of a chapter cannot be read; the message names file, line and what was expected."""


@dataclass(frozen=True, slots=True)
class Requirement:
    """One row of a requirement table."""

    id: str
    level: Level
    roles: tuple[Role, ...]
    text: str
    source: str
    verified_by: str
    chapter: str
    line: int

    @property
    def not_testable(self) -> str | None:
        """The stated reason why no check or vector can show this, or None."""
        return self.verified_by.removeprefix(NOT_TESTABLE) if self.verified_by.startswith(NOT_TESTABLE) else None


@dataclass(frozen=True, slots=True)
class Divergence:
    """One point where texts and deployed code differ, and what following the code means under interop-2025."""

    id: str
    requirements: tuple[str, ...]
    texts: str
    deployed: str
    outcome: Literal["pass", "warn", "fail"]
    chapter: str
    line: int


@cache
def requirements() -> dict[str, Requirement]:
    """Return every requirement of the chapters by id."""
    rows: dict[str, Requirement] = {}
    for chapter in chapters():
        for line, cells in tables(chapter, REQUIREMENT_COLUMNS):
            row = _requirement(chapter, line, cells)
            if row.id in rows:
                raise ChapterInvalid(f"{chapter.name}:{line}: {row.id} is already defined in {rows[row.id].chapter}")
            rows[row.id] = row
    return rows


@cache
def divergences() -> dict[str, Divergence]:
    """Return every divergence of the chapters by id; each names requirements that exist."""
    rows: dict[str, Divergence] = {}
    for chapter in chapters():
        for line, cells in tables(chapter, DIVERGENCE_COLUMNS):
            row = _divergence(chapter, line, cells)
            if row.id in rows:
                raise ChapterInvalid(f"{chapter.name}:{line}: {row.id} is already defined in {rows[row.id].chapter}")
            rows[row.id] = row
    return rows


def chapters() -> list[Path]:
    """Return the chapter files in reading order."""
    return sorted(resources.SPEC.glob("*.md"))


def tables(chapter: Path, columns: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    """Yield (line number, cells) of every row of the chapter's tables that have exactly these columns."""
    tokens = MarkdownIt("commonmark").enable("table").parse(chapter.read_text(encoding="utf-8"))
    wanted = False
    cells: list[str] = []
    line = 0
    for index, token in enumerate(tokens):
        if token.type == "table_open":
            wanted = False
        elif token.type == "tr_open":
            cells, line = [], (token.map or [0])[0] + 1
        elif token.type in ("th_open", "td_open"):
            cells.append(_text(tokens[index + 1]))
        elif token.type == "thead_close":
            wanted = cells == list(columns)
        elif token.type == "tr_close" and wanted and cells != list(columns):
            yield line, cells


def _text(inline: Token) -> str:
    return inline.content.strip()


def _requirement(chapter: Path, line: int, cells: Sequence[str]) -> Requirement:
    identifier, level, roles, text, source, verified_by = cells
    place = f"{chapter.name}:{line}"
    if not _REQUIREMENT_ID.fullmatch(identifier):
        raise ChapterInvalid(f"{place}: {identifier!r} is no requirement id such as OHT-001")
    if level not in set(Level):
        raise ChapterInvalid(f"{place}: {identifier} has level {level!r}; expected one of {', '.join(Level)}")
    names = [name.strip() for name in roles.split(",")]
    if unknown := [name for name in names if name not in set(Role)]:
        raise ChapterInvalid(f"{place}: {identifier} has roles {unknown}; expected some of {', '.join(Role)}")
    bound = tuple(Role(name) for name in names)
    return Requirement(identifier, Level(level), bound, text, source, verified_by, chapter.name, line)


def _divergence(chapter: Path, line: int, cells: Sequence[str]) -> Divergence:
    identifier, ids, texts, deployed, outcome = cells
    place = f"{chapter.name}:{line}"
    if not _DIVERGENCE_ID.fullmatch(identifier):
        raise ChapterInvalid(f"{place}: {identifier!r} is no divergence id such as OHT-D01")
    named = tuple(_REQUIREMENT_ID.findall(ids))
    if missing := [name for name in named if name not in requirements()]:
        raise ChapterInvalid(f"{place}: {identifier} names unknown requirements {', '.join(missing)}")
    match outcome:
        case "pass" | "warn" | "fail":
            return Divergence(identifier, named, texts, deployed, outcome, chapter.name, line)
    raise ChapterInvalid(f"{place}: {identifier} says {outcome!r}; expected pass, warn or fail")
