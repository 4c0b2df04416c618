"""The reference passes every check, what is deployed is excused, and what the operator forgot is said."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from conformance import runs
from conformance.peers.bank import BankWorld, open_bank_world
from conformance.registry import checks
from conformance.results import Exit, Subject
from conformance.roles import Role
from conformance.runfile import Limits, RunFileInvalid, TargetSettings, load
from conformance.targets import LaunchTarget, Target, TargetFailed, UrlTarget, embedded
from conformance.transcript import Transcript
from conformance.vectors.currency_keys import DEPLOYED_1024, OTHER_1024
from conformance.verdicts import CaseResult, Profile, Verdict, Violation

CHECKS = [check for check in checks().values() if check.role is Role.BANK]
RUN_FILE = """
[subject]
role = "bank"
[target]
mode = "url"
url = "http://127.0.0.1:3400"
listen = { nonce-lock = "127.0.0.1:3501" }
"""

DEPLOYED_FAULTS = (
    ("bank.reads-special-values-as-amounts", "PAY-D05"),
    ("bank.takes-signatures-above-the-modulus", "PAY-D07"),
    ("bank.recognises-no-repetition", "PAY-D09"),
    ("bank.crashes-on-malformed-content", "PAY-D12"),
    ("bank.blames-itself-for-missing-money", "PAY-D13"),
    ("bank.cuts-values", "PAY-D19"),
    ("bank.blames-itself-for-unusable-messages", "PAY-D24"),
)
HARMFUL_FAULTS = ("bank.lends", "bank.takes-consumed-credits", "bank.empties-at-once", "bank.verifies-nothing")


async def judge(
    target: Target, *, profile: Profile = Profile.STRICT, key: object = None
) -> tuple[dict[str, CaseResult], Exit]:
    settings = TargetSettings(mode="launch", currency_key=OTHER_1024 if key else DEPLOYED_1024)
    plan = runs.Plan(
        subject=Subject(role=Role.BANK, name="test", where=target.where),
        target=target,
        settings=settings,
        checks=CHECKS,
        limits=Limits(),
    )
    result = runs.new_result(profile, "test")
    await runs.execute([plan], profile=profile, seed="test", listeners=(), report=None, into=result)
    return {case.id: case for case in result.cases}, result.exit()


def faulty(name: str) -> LaunchTarget:
    return LaunchTarget([sys.executable, "-m", "conformance.faults", name])


@pytest.mark.anyio
async def test_the_reference_passes_every_check() -> None:
    cases, code = await judge(embedded(Role.BANK))
    assert len(cases) >= 40
    assert {name: case.observed for name, case in cases.items() if case.verdict is not Verdict.PASS} == {}
    assert code is Exit.CLEAN


@pytest.mark.anyio
async def test_another_currency_key_is_as_good() -> None:
    cases, _ = await judge(embedded(Role.BANK), key=OTHER_1024)
    assert {name: case.observed for name, case in cases.items() if case.verdict is not Verdict.PASS} == {}


@pytest.mark.slow
@pytest.mark.anyio
@pytest.mark.parametrize(("name", "divergence"), DEPLOYED_FAULTS)
async def test_what_is_deployed_is_excused(name: str, divergence: str) -> None:
    cases, code = await judge(faulty(name), profile=Profile.INTEROP_2025)
    assert code is Exit.CLEAN, {n: c.observed for n, c in cases.items() if c.verdict is Verdict.FAIL}
    assert divergence in {case.divergence for case in cases.values()}


@pytest.mark.slow
@pytest.mark.anyio
@pytest.mark.parametrize("name", HARMFUL_FAULTS)
async def test_what_makes_money_is_excused_by_no_profile(name: str) -> None:
    _, code = await judge(faulty(name), profile=Profile.INTEROP_2025)
    assert code is Exit.FAILED


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
