"""The command line: what each verb prints, and how it ends."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from jsonschema import Draft202012Validator

from conformance import resources
from conformance.cli import main
from conformance.peers import JUDGED_ROLES
from conformance.registry import checks
from conformance.results import Exit
from conformance.roles import Role


def call(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def run_file(folder: Path, command: list[str], *more: str) -> str:
    path = folder / "relay.toml"
    text = f'[subject]\nrole = "relay"\nname = "mine"\n[target]\nmode = "launch"\ncommand = {json.dumps(command)}\n'
    path.write_text(text + "\n".join(more))
    return str(path)


def test_run_judges_the_embedded_relay() -> None:
    result = call("run", "--role", "relay", "--only", "relay.content.re*", "--seed", "7f3a", "-v")
    assert result.exit_code == Exit.CLEAN, result.output
    assert "PASS  relay.content.request  MUST OHT-053" in result.output
    assert result.output.splitlines()[-1] == "profile strict · seed 7f3a · exit 0 (clean)"


def test_run_writes_a_valid_report(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    result = call("run", "--only", "relay.fields.*", "--profile", "interop-2025", "--json", str(path))
    assert result.exit_code == Exit.CLEAN, result.output
    document = json.loads(path.read_text())
    schema = json.loads((resources.SCHEMA / "results.schema.json").read_text())
    Draft202012Validator(schema).validate(document)
    assert document["profile"] == "interop-2025"
    assert [case["id"] for case in document["cases"]] == [name for name in checks() if name.startswith("relay.fields.")]
    assert all((tmp_path / case["transcript"]).is_file() for case in document["cases"])


def test_run_shows_a_failure_with_what_it_takes_to_repeat_it(tmp_path: Path) -> None:
    faulty = [sys.executable, "-m", "conformance.faults", "relay.changes-request-octets"]
    path = run_file(tmp_path, faulty)
    result = call("run", path, "--only", "relay.content.request", "--seed", "7f3a")
    assert result.exit_code == Exit.FAILED
    for text in (
        "FAIL  relay.content.request  MUST OHT-053",
        "  expected  request content of",
        "  observed  ",
        "  spec      spec/oblivious_http.md OHT-053",
        f"  repeat    openpcc-conformance run {path} --only relay.content.request --seed 7f3a",
        "  explain   openpcc-conformance explain relay.content.request",
        "relay      1 fail",
    ):
        assert text in result.output


def test_run_tells_once_that_a_subject_does_not_start(tmp_path: Path) -> None:
    result = call("run", run_file(tmp_path, ["/no/such/relay"]))
    assert result.exit_code == Exit.NOT_GRADED
    assert result.output.count("ERROR") == 1
    total = sum(check.role is Role.RELAY for check in checks().values())
    assert f"{total}× not graded: cannot start /no/such/relay" in result.output


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--only", "relay.contents.request"], "did you mean 'relay.content.request'?"),
        (["--only", "relay.content.*", "--exclude", "relay.**"], "the selection is empty"),
        (["--role", "relay", "--requirement", "OHT-064"], "the selection is empty"),
        (["--role", "client"], "the selection is empty"),
        (["--requirement", "OHT-999"], "no check verifies requirement 'OHT-999'"),
        (["--role", "relais"], "'relais' is not one of 'relay'"),
        (["--profile", "lenient"], "'lenient' is not one of"),
        (["--case-s", "0"], "0.0 is not in the range"),
        (["/no/such/file.toml"], "/no/such/file.toml: No such file"),
        (["--only", "relay.fields.*", "--json", "/no/such/folder/r.json"], "cannot write /no/such/folder/r.json"),
    ],
)
def test_run_refuses_what_it_cannot_use(arguments: list[str], told: str) -> None:
    result = call("run", *arguments)
    assert result.exit_code == Exit.USAGE
    assert told in result.output


def test_run_refuses_a_role_that_the_run_file_does_not_judge(tmp_path: Path) -> None:
    result = call("run", run_file(tmp_path, ["relay"]), "--role", "gateway")
    assert result.exit_code == Exit.USAGE
    assert "judges the role relay, not gateway" in result.output


def test_run_refuses_run_files_that_disagree(tmp_path: Path) -> None:
    paths = []
    for name, seed in (("a", "1"), ("b", "2")):
        (tmp_path / name).mkdir()
        path = Path(run_file(tmp_path / name, ["relay"]))
        path.write_text(f'seed = "{seed}"\n' + path.read_text())
        paths.append(str(path))
    result = call("run", *paths)
    assert result.exit_code == Exit.USAGE
    assert "the run files disagree on seed: 1, 2; say which with --seed" in result.output


def test_list_names_every_check() -> None:
    lines = call("list", "--role", "relay").output.splitlines()
    assert [line.split()[0] for line in lines[:-1]] == [name for name in checks() if name.startswith("relay.")]
    assert lines[-1] == f"{len(lines) - 1} checks"


def test_list_as_json_is_complete() -> None:
    rows = json.loads(call("list", "--only", "relay.content.request", "--json").output)
    assert rows == [
        {
            "id": "relay.content.request",
            "role": "relay",
            "title": "Request content arrives byte for byte",
            "level": "MUST",
            "requirements": ["OHT-053"],
            "needs": [],
            "costly": False,
        }
    ]


@pytest.mark.parametrize(
    ("identifier", "told"),
    [
        ("relay.content.request", "Request content arrives byte for byte"),
        ("OHT-053", "Content is forwarded unmodified in both directions"),
        ("OHT-D09", "the relay forwards all but hop-by-hop and forwarding fields"),
        ("relay.caches", "trips  relay.content.fresh-answer"),
    ],
)
def test_explain_explains_every_kind_of_id(identifier: str, told: str) -> None:
    result = call("explain", identifier)
    assert result.exit_code == 0, result.output
    assert told in result.output


def test_explain_suggests() -> None:
    result = call("explain", "OHT-53")
    assert result.exit_code == Exit.USAGE
    assert "unknown id 'OHT-53'; did you mean 'OHT-0" in result.output


@pytest.mark.parametrize(
    ("role", "told"),
    [
        ("relay", '{"gateway_url": …}'),
        ("gateway", "bank_url"),
        ("bank", "nonce_lock_url"),
        ("nonce-lock", '{"database": null}'),
        ("router", "check_every_ms"),
        ("node", "engine_url"),
    ],
)
def test_needs_says_what_to_configure(role: str, told: str) -> None:
    result = call("needs", role)
    assert result.exit_code == 0
    assert told in result.output


def test_needs_says_what_is_not_judged_yet() -> None:
    result = call("needs", "client")
    assert result.exit_code == Exit.USAGE
    assert "no checks judge the role client yet; roles judged: relay, gateway, bank, " in result.output


def test_needs_knows_every_role_that_is_judged() -> None:
    assert [role for role in JUDGED_ROLES if call("needs", role.value).exit_code] == []


def test_selftest_of_one_fault() -> None:
    result = call("selftest", "--only", "relay.drops-incremental-from-requests", "-v")
    assert result.exit_code == 0, result.output
    assert "ok   relay.drops-incremental-from-requests" in result.output
    assert "relay.fields.request-incremental" in result.output
    assert "1 of 1 faults and calibrations were seen for what they are" in result.output


def test_selftest_of_nothing_is_an_error() -> None:
    result = call("selftest", "--only", "relay.no-such-fault")
    assert result.exit_code == Exit.USAGE


def test_every_verb_has_help() -> None:
    for name in main.commands:
        result = call(name, "--help")
        assert result.exit_code == 0
        assert "Usage:" in result.output
