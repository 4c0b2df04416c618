"""The published vectors: they hold, nothing about them is open, and they are what the reference makes today."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest

from conformance import resources
from conformance.operations import operations
from conformance.requirements import requirements
from conformance.vectors import files, generate
from conformance.vectors.play import play
from conformance.vectors.proof import prove

concepts = pytest.mark.parametrize("concept", files.CONCEPTS)


def document(concept: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(files.path_of(concept).read_text())
    return loaded


def test_every_file_is_a_concept_with_a_schema() -> None:
    assert sorted(path.stem for path in resources.VECTORS.glob("*.json")) == sorted(files.CONCEPTS)
    schemas = sorted(path.name for path in (resources.VECTORS / "schema").iterdir())
    assert schemas == sorted(f"{concept}.schema.json" for concept in files.CONCEPTS)


@concepts
def test_every_case_holds_on_the_reference(concept: str) -> None:
    known = operations()
    cases = files.load(concept)
    assert cases
    for case in cases:
        play(case, known)


@concepts
def test_every_negative_has_a_single_fault(concept: str) -> None:
    cases = files.load(concept)
    assert prove(cases, operations()) == sum(case.error is not None for case in cases)


@concepts
def test_file_is_reproduced_byte_for_byte(concept: str) -> None:
    assert generate.first_difference(concept) is None


@concepts
def test_every_cited_requirement_exists(concept: str) -> None:
    cited = {name for case in files.load(concept) for name in case.requirements}
    assert cited <= set(requirements())


@concepts
def test_every_flag_is_explained(concept: str) -> None:
    used = {flag for case in files.load(concept) for flag in case.flags}
    readme = (resources.VECTORS / "README.md").read_text()
    assert {flag for flag in used if f"`{flag}`" not in readme} == set()


def test_no_id_names_two_cases() -> None:
    ids = [case.id for concept in files.CONCEPTS for case in files.load(concept)]
    assert len(ids) == len(set(ids))


@concepts
def test_schema_is_a_schema_and_closed(concept: str) -> None:
    schema = files.schema_of(concept)
    jsonschema.Draft202012Validator.check_schema(schema)
    typed = [node for node in _objects(schema) if node.get("type") == "object" and "properties" in node]
    assert typed
    assert [node for node in typed if node.get("additionalProperties") is not False] == []


@concepts
def test_schema_refuses_what_it_does_not_name(concept: str) -> None:
    whole = document(concept)
    first_of = {case["operation"]: case for case in reversed(whole["cases"])}
    negative = next((case for case in whole["cases"] if case["result"] == "invalid"), None)
    for case in [*first_of.values(), *([negative] if negative else [])]:
        for spoil in _SPOILED:
            spoiled = copy.deepcopy(case)
            spoil(spoiled)
            with pytest.raises(files.VectorFileInvalid, match=f"^{concept}: "):
                files.validate(concept, {**whole, "cases": [spoiled]})


@concepts
def test_schema_wants_the_whole_document(concept: str) -> None:
    whole = document(concept)
    cut = {**whole, "cases": whole["cases"][:1]}
    for broken in ({**cut, "cases": []}, {**cut, "concept": "other"}, {**cut, "more": 1}, {"cases": cut["cases"]}, []):
        with pytest.raises(files.VectorFileInvalid):
            files.validate(concept, broken)


def _objects(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
        for member in node.values():
            yield from _objects(member)
    elif isinstance(node, list):
        for member in node:
            yield from _objects(member)


def _result_turned(case: dict[str, Any]) -> None:
    case["result"] = "valid" if case["result"] == "invalid" else "invalid"


def _upper_case_id(case: dict[str, Any]) -> None:
    case["id"] = case["id"].upper()


def _input_extended(case: dict[str, Any]) -> None:
    case["input"]["unknown"] = ""


def _input_missing(case: dict[str, Any]) -> None:
    del case["input"]


def _operation_unknown(case: dict[str, Any]) -> None:
    case["operation"] = "unknown.operation"


def _member_unknown(case: dict[str, Any]) -> None:
    case["unknown"] = 1


def _without_requirements(case: dict[str, Any]) -> None:
    case["requirements"] = []


_SPOILED = (
    _result_turned,
    _upper_case_id,
    _input_extended,
    _input_missing,
    _operation_unknown,
    _member_unknown,
    _without_requirements,
)
