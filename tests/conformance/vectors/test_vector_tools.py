"""Playing, proving, making and writing vectors: each notices what is wrong with a case."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from conformance.operations import operation, operations
from conformance.vectors import files, generate, making
from conformance.vectors.case import Case
from conformance.vectors.coins import coin_source, coins
from conformance.vectors.play import VectorFailed, play
from conformance.vectors.proof import ProofFailed, prove
from openpcc_ref.errors import Rejected, require, without_check


def decode(value: dict[str, Any]) -> dict[str, Any]:
    """Stand in for a decoder with two checks: its answer has a step and a result."""
    require(value["first"] < 10, Rejected, "toy.first.large", where="first", expected="below 10")
    require(value["second"] < 10, Rejected, "toy.second.large", where="second", expected="below 10")
    return {"sum": value["first"] + value["second"], "echo": value["first"]}


TOY = {"toy.decode": decode, "toy.other": decode}
VALID = Case(
    id="toy.decode.plain",
    comment="accepted",
    operation="toy.decode",
    requirements=("MSG-001",),
    input={"first": 1, "second": 2},
    steps={"echo": 1},
    expected={"sum": 3},
)
NEGATIVE = making.edited(VALID, "first-large", "refused", "toy.first.large", first=11)


def test_right_answers_pass() -> None:
    play(VALID, TOY)
    play(NEGATIVE, TOY)


@pytest.mark.parametrize(
    ("case", "told"),
    [
        (replace(VALID, expected={"sum": 4}), "sum = 4, observed 3"),
        (replace(VALID, steps={"echo": 2}), "echo = 2, observed 1"),
        (replace(VALID, expected={"product": 2}), "a member product, observed members sum, echo"),
        (replace(VALID, input={"first": 11, "second": 2}), "an accepted input, observed toy.first.large at first"),
        (replace(NEGATIVE, error="toy.second.large"), "error toy.second.large, observed toy.first.large"),
        (replace(NEGATIVE, input=VALID.input), "error toy.first.large, observed the input was accepted"),
    ],
)
def test_any_other_answer_is_told_with_the_case(case: Case, told: str) -> None:
    with pytest.raises(VectorFailed) as failed:
        play(case, TOY)
    assert str(failed.value).startswith(f"{case.id}: expected {told}")


def test_long_values_are_told_briefly() -> None:
    case = replace(VALID, expected={"sum": "00" * 5000})
    with pytest.raises(VectorFailed) as failed:
        play(case, TOY)
    assert len(str(failed.value)) < 300


def test_single_fault_is_proven() -> None:
    assert prove([VALID, NEGATIVE], TOY) == 1


@pytest.mark.parametrize(
    ("cases", "told"),
    [
        ([NEGATIVE], "is not an accepted case of this file"),
        ([NEGATIVE, making.edited(NEGATIVE, "again", "x", "toy.first.large", first=12)], "is not an accepted case"),
        ([VALID, replace(NEGATIVE, operation="toy.other")], "exercises toy.decode"),
        ([VALID, replace(NEGATIVE, input={"first": 11, "second": 3})], "differs from toy.decode.plain in 2 members"),
        ([VALID, replace(NEGATIVE, input=VALID.input)], "in 0 members"),
        (
            [replace(VALID, input={"first": 1, "second": 12}), replace(NEGATIVE, input={"first": 11, "second": 12})],
            "still",
        ),
        ([VALID, replace(NEGATIVE, error="toy.second.large")], "still refused: toy.first.large"),
    ],
)
def test_negative_that_shows_something_else_is_not_proven(cases: list[Case], told: str) -> None:
    with pytest.raises(ProofFailed, match=told):
        prove(cases, TOY)


def test_check_is_switched_off_by_its_own_code_alone() -> None:
    with without_check("toy.first.large"):
        assert decode({"first": 11, "second": 2})["sum"] == 13
        with pytest.raises(Rejected, match=r"toy\.second\.large"):
            decode({"first": 11, "second": 12})
    with pytest.raises(Rejected, match=r"toy\.first\.large"):
        decode({"first": 11, "second": 2})


@pytest.mark.parametrize(
    "members",
    [
        {"expected": None},
        {"error": "toy.first.large", "control": "toy.decode.plain"},
        {"expected": None, "error": "toy.first.large"},
        {"control": "toy.decode.plain"},
    ],
)
def test_case_is_either_valid_or_invalid(members: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"^toy\.decode\.plain: "):
        replace(VALID, **members)


@pytest.mark.parametrize("case", [VALID, NEGATIVE, replace(VALID, source="RFC 9000", flags=("Recommended",))])
def test_case_survives_its_json_form(case: Case) -> None:
    row = files.to_json(case)
    assert row["result"] == case.result
    assert None not in row.values()
    assert files.from_json(row) == case


def test_repeated_id_is_refused() -> None:
    with pytest.raises(files.VectorFileInvalid, match=r"repeated ids toy\.decode\.plain"):
        files.render("toy", [VALID, NEGATIVE, VALID])


def test_answered_case_separates_steps_from_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(making, "operations", lambda: TOY)
    case = making.answered(VALID.id, VALID.comment, "toy.decode", dict(VALID.input), ("MSG-001",), steps={"echo"})
    assert case == VALID


@pytest.mark.parametrize("position", [0, 1, -1])
def test_flipped_changes_one_bit(position: int) -> None:
    spoiled = int(making.flipped("00ff10", position), 16) ^ 0x00FF10
    assert spoiled.bit_count() == 1


def test_coins_depend_on_case_and_label_alone() -> None:
    assert coins("a.b", "c", 40) == coins("a.b", "c", 40)
    assert len({coins(case, label, 40) for case in ("a.b", "a.c") for label in ("c", "d")}) == 4
    source = coin_source("a.b", "c")
    assert source(10) + source(0) + source(30) == coins("a.b", "c", 40)


def test_operation_is_defined_once() -> None:
    name = next(iter(operations()))
    with pytest.raises(ValueError, match="defined twice"):
        operation(name)(decode)


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Let the vector of integers and Binary HTTP live in a folder that may be spoiled."""
    path = tmp_path / "binary_http.json"
    path.write_text(files.path_of("binary_http").read_text())
    monkeypatch.setattr(files, "path_of", lambda concept: path)
    return path


def test_rebuilding_changes_nothing_and_mends_what_was_changed(elsewhere: Path) -> None:
    original = elsewhere.read_text()
    assert generate.first_difference("binary_http") is None
    assert not generate.write("binary_http")
    elsewhere.write_text(original.replace('"on the edge between two lengths"', '"changed"', 1))
    assert '\'"comment": "changed",\'' in str(generate.first_difference("binary_http"))
    assert generate.write("binary_http")
    assert elsewhere.read_text() == original


def test_published_case_is_kept_even_where_the_reference_says_otherwise(elsewhere: Path) -> None:
    original = elsewhere.read_text()
    changed = original.replace("c2197c5eff14e88c", "c2197c5eff14e88d", 1)
    elsewhere.write_text(changed)
    assert generate.first_difference("binary_http") is None
    case = files.load("binary_http")[0]
    assert case.source is not None
    with pytest.raises(VectorFailed):
        play(case, operations())


def test_missing_and_shortened_files_are_told(elsewhere: Path) -> None:
    lines = elsewhere.read_text().splitlines(keepends=True)
    elsewhere.write_text("".join(lines) + "\n")
    assert "rebuilt" in str(generate.first_difference("binary_http"))
    elsewhere.unlink()
    assert generate.first_difference("binary_http") == "binary_http.json: missing"
