"""Reading and writing vector files: one canonical form, one closed schema per file."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jsonschema

from conformance import resources
from conformance.vectors.case import Case

CONCEPTS = (
    "binary_http",
    "hpke",
    "oblivious_http",
    "compute_message",
    "badge",
    "tags",
    "routing",
    "node_validation",
    "refund",
    "currency",
    "nonce",
    "blind_rsa",
    "credit",
)
"""The vector files, in the order in which the chapters build on each other."""

_MEMBERS = (
    "id",
    "comment",
    "operation",
    "requirements",
    "flags",
    "result",
    "control",
    "source",
    "input",
    "steps",
    "expected",
    "error",
)


class VectorFileInvalid(Exception):
    """A vector file breaks its schema or repeats an id."""


def to_json(case: Case) -> dict[str, Any]:
    """Return the JSON form of a case; members that say nothing are left out."""
    return {name: value for name in _MEMBERS if (value := getattr(case, name)) not in (None, (), {})}


def from_json(value: dict[str, Any]) -> Case:
    """Return the case that ``value`` (valid under its file's schema) describes."""
    members = {name: value[name] for name in _MEMBERS if name in value and name != "result"}
    for name in ("requirements", "flags"):
        members[name] = tuple(members.get(name, ()))
    return Case(**members)


def render(concept: str, cases: Iterable[Case]) -> str:
    """Return the canonical text of a vector file; refuses a repeated id."""
    rows = [to_json(case) for case in cases]
    ids = [row["id"] for row in rows]
    if repeated := sorted({name for name in ids if ids.count(name) > 1}):
        raise VectorFileInvalid(f"{concept}: repeated ids {', '.join(repeated)}")
    document = {"concept": concept, "schema": f"schema/{concept}.schema.json", "cases": rows}
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def path_of(concept: str) -> Path:
    """Return the path of a concept's vector file."""
    return resources.VECTORS / f"{concept}.json"


def schema_of(concept: str) -> dict[str, Any]:
    """Return the JSON Schema of a concept's vector file."""
    schema: dict[str, Any] = json.loads((resources.VECTORS / "schema" / f"{concept}.schema.json").read_text())
    return schema


def validate(concept: str, document: Any) -> None:
    """Raise :class:`VectorFileInvalid` naming the first place where ``document`` breaks the schema."""
    validator = jsonschema.Draft202012Validator(
        schema_of(concept), format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
    )
    for problem in sorted(validator.iter_errors(document), key=lambda error: error.json_path):
        raise VectorFileInvalid(f"{concept}: {problem.json_path}: {problem.message[:200]}")


def load(concept: str) -> list[Case]:
    """Read, validate and return the cases of one vector file."""
    document = json.loads(path_of(concept).read_text())
    validate(concept, document)
    return [from_json(row) for row in document["cases"]]
