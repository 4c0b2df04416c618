"""Rebuild the vector files from the reference; published values are kept as they are."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Iterable

from conformance.vectors import files
from conformance.vectors.case import Case


def published(concept: str) -> list[Case]:
    """Return the cases of the present file that carry a source: wrapped once, never regenerated."""
    path = files.path_of(concept)
    rows = json.loads(path.read_text())["cases"] if path.exists() else []
    return [files.from_json(row) for row in rows if "source" in row]


def build(concept: str) -> str:
    """Return the text that the concept's file must have: published cases first, then ours."""
    module = importlib.import_module(f"conformance.vectors.{concept}")
    cases: Callable[[], Iterable[Case]] = module.cases
    text = files.render(concept, [*published(concept), *cases()])
    files.validate(concept, json.loads(text))
    return text


def write(concept: str) -> bool:
    """Write the file if it differs; return whether it did."""
    path, text = files.path_of(concept), build(concept)
    if path.exists() and path.read_text() == text:
        return False
    path.write_text(text)
    return True


def first_difference(concept: str) -> str | None:
    """Return where the file and a rebuild part, or None when they are equal byte for byte."""
    path = files.path_of(concept)
    if not path.exists():
        return f"{path.name}: missing"
    kept, rebuilt = path.read_text().splitlines(), build(concept).splitlines()
    for number, (old, new) in enumerate(zip(kept, rebuilt, strict=False), 1):
        if old != new:
            return f"{path.name}:{number}: has {old.strip()[:120]!r}, rebuilt {new.strip()[:120]!r}"
    if len(kept) != len(rebuilt):
        return f"{path.name}: has {len(kept)} lines, rebuilt {len(rebuilt)}"
    return None
