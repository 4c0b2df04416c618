"""The world around a bank: its currency key, its books, and that it says what the operator forgot."""

from __future__ import annotations

from pathlib import Path

import pytest

from conformance.peers.bank import BankWorld, open_bank_world
from conformance.roles import Role
from conformance.runfile import Limits, RunFileInvalid, TargetSettings, load
from conformance.targets import TargetFailed, UrlTarget, embedded
from conformance.transcript import Transcript
from conformance.vectors.currency_keys import DEPLOYED_1024, OTHER_1024
from conformance.verdicts import Verdict, Violation
from tests.conformance.judging import faulty, judge, quick_checks

RUN_FILE = """
[subject]
role = "bank"
[target]
mode = "url"
url = "http://127.0.0.1:3400"
listen = { nonce-lock = "127.0.0.1:3501" }
"""


@pytest.mark.anyio
async def test_another_currency_key_is_as_good() -> None:
    settings = TargetSettings(mode="launch", currency_key=OTHER_1024)
    result = await judge(Role.BANK, embedded(Role.BANK), quick_checks(Role.BANK), settings=settings)
    assert {case.id: case.observed for case in result.cases if case.verdict is not Verdict.PASS} == {}


@pytest.mark.anyio
async def test_a_running_bank_needs_an_address_for_the_nonce_lock() -> None:
    settings = TargetSettings(mode="url", url="http://127.0.0.1:1")
    with pytest.raises(TargetFailed, match="nonce-lock"):
        async with open_bank_world(UrlTarget("http://127.0.0.1:1"), settings, seed="seed", limits=Limits()):
            pass


@pytest.mark.anyio
async def test_the_books_are_closed_after_every_case() -> None:
    settings = TargetSettings(mode="launch")
    async with open_bank_world(faulty("bank.charges-one-too-little"), settings, seed="seed", limits=Limits()) as world:
        with pytest.raises(Violation, match="the books to balance"):
            await _withdraw_four(world)


async def _withdraw_four(world: BankWorld) -> None:
    async with world.case(Transcript("case", "seed")) as case:
        await case.signed(await case.funded(16), case.pendings(4))


def test_a_run_file_names_nonce_lock_and_key(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text(RUN_FILE)
    target = load(path).target
    assert target.listen == {"nonce-lock": "127.0.0.1:3501"}
    assert target.currency_key == DEPLOYED_1024
    primes = f'currency_key = {{ p = "{OTHER_1024.p:x}", q = "{OTHER_1024.q:x}" }}\n'
    path.write_text(RUN_FILE + primes)
    assert load(path).target.currency_key == OTHER_1024


@pytest.mark.parametrize(
    ("key", "told"),
    [
        ('{ p = "7", q = "zz" }', "target.currency_key: expected p and q in hexadecimal"),
        ('{ p = "7", q = "7" }', "target.currency_key.q: expected another prime than p"),
        ('{ p = "7", q = "d" }', "target.currency_key.q: expected a prime whose half"),
        ('{ p = "7", r = "b" }', "unknown key 'target.currency_key.r'"),
    ],
)
def test_a_run_file_with_no_currency_key_is_told_of(tmp_path: Path, key: str, told: str) -> None:
    path = tmp_path / "run.toml"
    path.write_text(RUN_FILE + f"currency_key = {key}\n")
    with pytest.raises(RunFileInvalid) as raised:
        load(path)
    assert told in str(raised.value)
