"""Run files: what is read, and that every slip is told with its place and what was expected."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from conformance.roles import Role
from conformance.runfile import Limits, RunFileInvalid, load
from conformance.verdicts import Profile

SUBJECT = '[subject]\nrole = "relay"\n'
LAUNCH = '[target]\nmode = "launch"\ncommand = ["relay"]\n'
KEY = """
[[target.keys]]
id = 1
seed = "{seed}"
kem_id = 0x0030
active_from = 2026-01-01T00:00:00Z
active_until = 2026-07-01T00:00:00Z
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "run.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_small_file_has_defaults(tmp_path: Path) -> None:
    run_file = load(write(tmp_path, SUBJECT + LAUNCH))
    assert (run_file.role, run_file.name, run_file.profile, run_file.seed) == (Role.RELAY, "relay", None, None)
    assert run_file.target.command == ("relay",)
    assert run_file.limits == Limits()


def test_a_full_file_is_read(tmp_path: Path) -> None:
    text = f"""
profile = "interop-2025"
seed = "7f3a"
[subject]
role = "gateway"
name = "my gateway"
[target]
mode = "url"
url = "http://127.0.0.1:3200/gateway"
listen = {{ bank = "127.0.0.1:3500", router = "[::1]:3600" }}
{KEY.format(seed="0a" * 32)}
[select]
include = ["gateway.**"]
exclude = ["gateway.replay.*"]
[limits]
case_s = 30
step_s = 2.5
scale = 2
"""
    run_file = load(write(tmp_path, text))
    assert run_file.profile is Profile.INTEROP_2025
    assert (run_file.seed, run_file.name) == ("7f3a", "my gateway")
    assert run_file.target.url == "http://127.0.0.1:3200/gateway"
    assert run_file.target.listen == {"bank": "127.0.0.1:3500", "router": "[::1]:3600"}
    assert [(key.id, key.kem_id, key.seed) for key in run_file.target.keys] == [(1, 0x30, "0a" * 32)]
    assert (run_file.include, run_file.exclude) == (("gateway.**",), ("gateway.replay.*",))
    assert run_file.limits == Limits(case_s=30, step_s=2.5, scale=2)


def test_a_relative_program_is_beside_the_file(tmp_path: Path) -> None:
    text = SUBJECT + '[target]\nmode = "launch"\ncommand = ["./bin/relay", "./arg"]\n'
    assert load(write(tmp_path, text)).target.command == (f"{tmp_path}/bin/relay", "./arg")


def test_seeds_are_not_shown(tmp_path: Path) -> None:
    run_file = load(write(tmp_path, SUBJECT + LAUNCH + KEY.format(seed="0a" * 32)))
    assert "0a0a" not in repr(run_file)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "subject: expected a table, found nothing"),
        (SUBJECT, "target: expected a table, found nothing"),
        (SUBJECT + "[target]\n", "target.mode: expected one of url, launch, found None"),
        (SUBJECT + '[target]\nmode = "lunch"\n', "found 'lunch'; did you mean 'launch'?"),
        (SUBJECT + '[target]\nmode = "url"\n', "target.url: expected a value, since target.mode is url"),
        (SUBJECT + '[target]\nmode = "launch"\n', "target.command: expected a value, since target.mode is launch"),
        (SUBJECT + '[target]\nmode = "launch"\ncommand = []\n', "target.command: expected a program"),
        (SUBJECT + '[target]\nmode = "launch"\ncommand = "relay"\n', "target.command: expected a list, found str"),
        (SUBJECT + '[target]\nmode = "launch"\ncommand = ["a", 1]\n', "target.command: expected a list of strings"),
        (SUBJECT + '[target]\nmode = "url"\nurl = "127.0.0.1:80"\n', "target.url: expected an http or https URL"),
        (SUBJECT + '[target]\nmode = "url"\nurl = "http://"\n', "target.url: expected an http or https URL"),
        (SUBJECT + '[target]\nmode = "url"\nurl = 80\n', "target.url: expected a str, found int"),
        ('[subject]\nrole = "relais"\n' + LAUNCH, "found 'relais'; did you mean 'relay'?"),
        ("subject = 1\n" + LAUNCH, "subject: expected a table, found int"),
        ('profile = "strickt"\n' + SUBJECT + LAUNCH, "did you mean 'strict'?"),
        ('sed = "1"\n' + SUBJECT + LAUNCH, "unknown key 'sed'; did you mean 'seed'?"),
        ("seed = 1\n" + SUBJECT + LAUNCH, "seed: expected a str, found int"),
        (SUBJECT + LAUNCH + 'listen = { gate = "127.0.0.1:1" }\n', "unknown key 'target.listen.gate'"),
        (SUBJECT + LAUNCH + "listen = { gateway = 3200 }\n", "target.listen.gateway: expected a str, found int"),
        (SUBJECT + LAUNCH + "keys = 5\n", "target.keys: expected a list, found int"),
        (SUBJECT + LAUNCH + "keys = [5]\n", "target.keys[0]: expected a table, found int"),
        (SUBJECT + LAUNCH + KEY.format(seed="0a"), "target.keys[0].seed: expected 64 hex digits (32 bytes), found 2"),
        (SUBJECT + LAUNCH + KEY.format(seed="0g" * 32), "target.keys[0].seed: expected 64 hex digits"),
        (SUBJECT + LAUNCH + KEY.format(seed="0a" * 32).replace("id = 1\n", "id = 256\n", 1), "between 0 and 255"),
        (SUBJECT + LAUNCH + KEY.format(seed="0a" * 32).replace("00Z", "00"), "date-times with an offset"),
        (SUBJECT + LAUNCH + "[limits]\ncase_s = 0\n", "limits.case_s: expected a positive number, found 0"),
        (SUBJECT + LAUNCH + "[limits]\ncase_s = true\n", "limits.case_s: expected a positive number"),
        (SUBJECT + LAUNCH + "[limits]\ncase = 1\n", "unknown key 'limits.case'; did you mean 'case_s'?"),
        (SUBJECT + LAUNCH + "[select]\ninclude = 1\n", "select.include: expected a list, found int"),
        ("[subject", "not TOML"),
    ],
)
def test_every_slip_is_told(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(RunFileInvalid) as raised:
        load(write(tmp_path, text))
    assert told in str(raised.value)
    assert str(tmp_path / "run.toml") in str(raised.value)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(RunFileInvalid, match="No such file"):
        load(tmp_path / "none.toml")


def test_octets_that_are_no_text_are_told(tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(RunFileInvalid, match="not TOML"):
        load(tmp_path / "run.toml")


def test_cut_and_shuffled_files_give_one_error_or_a_run_file(tmp_path: Path) -> None:
    text = SUBJECT + LAUNCH + KEY.format(seed="0a" * 32) + '[limits]\nstep_s = 1\n[select]\ninclude = ["a"]\n'
    shuffle = random.Random(1)
    variants = [text[:length] for length in range(0, len(text), 7)]
    for _ in range(30):
        lines = text.splitlines(keepends=True)
        shuffle.shuffle(lines)
        variants.append("".join(lines))
    refused = []
    for variant in variants:
        try:
            assert load(write(tmp_path, variant)).role is Role.RELAY
        except RunFileInvalid as invalid:
            refused.append(str(invalid))
    assert len(refused) > len(variants) // 2
    assert all("run.toml" in text for text in refused)
