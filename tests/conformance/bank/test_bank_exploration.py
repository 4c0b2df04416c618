"""Exploration finds what is wrong with banks and nonce locks, shrinks it, and does it again."""

from __future__ import annotations

import json
import sys
from itertools import count
from pathlib import Path

import pytest
from click.testing import CliRunner

from conformance import runs
from conformance.cli import main
from conformance.exploration.bank import OPERATIONS, UNUSABLE, BankModel, BankState
from conformance.exploration.drive import SessionInvalid, decode_session, encode_session, exploration, repetition
from conformance.exploration.nonce_lock import ALL_FREE, NonceLockModel
from conformance.exploration.search import Disagreement, Observed, Operation, Session, possible_after
from conformance.exploration.shrink import shortest
from conformance.registry import Check
from conformance.results import Exit, Subject
from conformance.roles import Role
from conformance.runfile import Limits, TargetSettings
from conformance.targets import LaunchTarget, embedded
from conformance.verdicts import CaseResult, Profile, Verdict

DONE, REFUSED = Observed(True), Observed(False)
SEEDED = (
    pytest.param("bank.takes-locked-credits", 2, id="double spend under a race"),
    pytest.param("bank.keeps-the-money-of-failed-batches", 2, id="balance off after a failure"),
    pytest.param("nonce-lock.releases-consumed-nonces", 3, id="release after consumption"),
    pytest.param("nonce-lock.grants-at-once", 2, id="locked twice under a race"),
)
"""Faults, and of how many operations the shortest session is that shows them."""


def deposit(account: int, credit: int) -> Operation:
    return Operation("deposit", (account, credit))


def withdraw(account: int, amount: int, message: int = 0) -> Operation:
    return Operation("withdraw", (account, amount, message))


async def judge(role: Role, name: str | None, check: Check) -> CaseResult:
    target = LaunchTarget([sys.executable, "-m", "conformance.faults", name]) if name else embedded(role)
    plan = runs.Plan(
        subject=Subject(role=role, name="test", where=""),
        target=target,
        settings=TargetSettings(mode="launch"),
        checks=[check],
        limits=Limits(),
    )
    result = runs.new_result(Profile.STRICT, "1")
    await runs.execute([plan], profile=Profile.STRICT, seed="1", listeners=(), report=None, into=result)
    (case,) = result.cases
    return case


# -- the model -----------------------------------------------------------------------------------------------------


def test_a_credit_is_taken_once_in_whatever_order() -> None:
    model, start = BankModel(), frozenset({BankState()})
    step = (deposit(0, 1), deposit(1, 1))
    first = possible_after(model, start, step, [DONE, REFUSED])
    assert {state.balances for state in first} == {(16, 0)}
    assert possible_after(model, start, step, [DONE, DONE]) == frozenset()


def test_a_repetition_may_be_refused_or_answered_but_not_booked() -> None:
    model = BankModel()
    once = possible_after(model, {BankState()}, (deposit(0, 1),), [DONE])
    for observed in (DONE, REFUSED):
        assert possible_after(model, once, (deposit(0, 1),), [observed]) == once
    assert possible_after(model, once, (Operation("balance", (0,)),), [Observed(True, (32,))]) == frozenset()


def test_a_good_deposit_is_not_refused() -> None:
    assert possible_after(BankModel(), {BankState()}, (deposit(0, 1),), [REFUSED]) == frozenset()


def test_a_withdrawal_is_covered_or_refused() -> None:
    model, rich = BankModel(), {BankState().with_balance(0, 16)}
    assert {state.balances[0] for state in possible_after(model, rich, (withdraw(0, 1),), [DONE])} == {0}
    assert possible_after(model, rich, (withdraw(0, 2),), [DONE]) == frozenset()
    assert possible_after(model, rich, (withdraw(0, 1),), [REFUSED]) == frozenset()
    assert possible_after(model, rich, (withdraw(0, 1, UNUSABLE),), [REFUSED]) == rich


def test_withdrawals_at_once_are_paid_one_after_the_other() -> None:
    model, rich = BankModel(), {BankState().with_balance(0, 16)}
    both = (withdraw(0, 1, 0), withdraw(0, 1, 1))
    assert possible_after(model, rich, both, [DONE, DONE]) == frozenset()
    assert len(possible_after(model, rich, both, [DONE, REFUSED])) == 1


def test_a_full_withdrawal_is_of_the_balance_or_a_neighbour() -> None:
    model, rich = BankModel(), {BankState().with_balance(0, 33)}
    emptying = (Operation("withdraw-full", (0,)),)
    for amount, allowed in ((32, 1), (34, 1), (33, 0), (36, 0)):
        assert len(possible_after(model, rich, emptying, [Observed(True, (amount, 9))])) == allowed
    emptied = possible_after(model, rich, emptying, [Observed(True, (32, 9))])
    assert possible_after(model, emptied, emptying, [Observed(True, (32, 9))]) == emptied
    assert possible_after(model, emptied, emptying, [Observed(True, (32, 10))]) == frozenset()


def test_a_nonce_is_settled_under_its_ticket_only() -> None:
    model = NonceLockModel()
    locked = possible_after(model, {ALL_FREE}, (Operation("lock", (0,)),), [Observed(True, (1,))])
    assert possible_after(model, locked, (Operation("consume", (0, 2)),), [DONE]) == frozenset()
    consumed = possible_after(model, locked, (Operation("consume", (0, 1)),), [DONE])
    assert possible_after(model, consumed, (Operation("release", (0, 1)),), [DONE]) == frozenset()
    assert possible_after(model, consumed, (Operation("lock", (0,)),), [Observed(True, (3,))]) == frozenset()
    assert possible_after(model, locked, (Operation("consume", (0, 1)),), [REFUSED]) == frozenset()


# -- saved sessions ------------------------------------------------------------------------------------------------


def test_a_saved_session_is_read_as_written() -> None:
    session: Session = ((deposit(0, 7), deposit(1, 7)), (Operation("withdraw-full", (1,)),))
    assert decode_session(encode_session(Role.BANK, session)) == (Role.BANK, session)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"role": "relay", "session": []}',
        '{"role": "bank"}',
        '{"role": "bank", "session": [[["rob", 0]]]}',
        '{"role": "bank", "session": [[["deposit", 0]]]}',
        '{"role": "bank", "session": [[["deposit", 0, 99]]]}',
        '{"role": "bank", "session": [[["deposit", 0, "1"]]]}',
        '{"role": "bank", "session": [[[]]]}',
        '{"role": "nonce-lock", "session": [[["deposit", 0, 1]]]}',
        "[" * 100_000,
    ],
)
def test_what_is_no_saved_session_is_told_of(text: str, tmp_path: Path) -> None:
    with pytest.raises(SessionInvalid):
        decode_session(text)
    path = tmp_path / "session.json"
    path.write_text(text)
    result = CliRunner().invoke(main, ["run", "--role", "bank", "--replay", str(path)])
    assert result.exit_code == Exit.USAGE
    assert "expected" in result.output


# -- shrinking -----------------------------------------------------------------------------------------------------


def spends_twice(session: Session) -> bool:
    return any(step.count(deposit(0, 1)) > 1 for step in session)


async def shrunk(session: Session, *, wrong_every: int = 1, budget: int = 1000) -> Session:
    """Shrink by a subject that takes a credit twice at once, but only every so many times that it is asked to."""
    played = count(1)

    async def play(tried: Session) -> None:
        if spends_twice(tried) and next(asked) % wrong_every == 0:
            raise Disagreement(tried, "taken twice")

    asked = count(1)
    return (await shortest(Disagreement(session, ""), play, goes_on=lambda: next(played) <= budget)).session


LONG: Session = (
    (withdraw(0, 1),),
    (deposit(1, 2), withdraw(1, 3)),
    (deposit(0, 1), withdraw(0, 0), deposit(0, 1)),
    (deposit(1, 1),),
)


@pytest.mark.anyio
@pytest.mark.parametrize("wrong_every", [1, 2, 4])
async def test_nothing_is_left_that_can_be_left_out_although_clients_race(wrong_every: int) -> None:
    assert await shrunk(LONG, wrong_every=wrong_every) == ((deposit(0, 1), deposit(0, 1)),)


@pytest.mark.anyio
async def test_without_time_what_was_found_is_kept() -> None:
    assert await shrunk(LONG, budget=0) == LONG
    assert spends_twice(await shrunk(LONG, budget=3))


# -- subjects ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.anyio
@pytest.mark.parametrize("role", [Role.BANK, Role.NONCE_LOCK])
async def test_the_reference_agrees_with_the_model(role: Role, tmp_path: Path) -> None:
    path = tmp_path / "session.json"
    case = await judge(role, None, exploration(role, seed="1", time_s=60, save_to=path, sessions=60))
    assert case.verdict is Verdict.PASS, case.observed
    assert not path.exists()


@pytest.mark.slow
@pytest.mark.anyio
@pytest.mark.parametrize(("name", "operations"), SEEDED)
async def test_seeded_bugs_are_found_and_shrunk(name: str, operations: int, tmp_path: Path) -> None:
    path = tmp_path / "session.json"
    role = Role(name.partition(".")[0])
    case = await judge(role, name, exploration(role, seed="1", time_s=60, save_to=path))
    assert case.verdict is Verdict.FAIL
    assert str(path) in case.observed
    saved_role, session = decode_session(path.read_text())
    assert saved_role is role
    assert sum(map(len, session)) == operations
    assert (await judge(role, name, repetition(role, session))).verdict is Verdict.FAIL
    assert (await judge(role, None, repetition(role, session))).verdict is Verdict.PASS


@pytest.mark.slow
def test_the_command_line_explores_and_repeats(tmp_path: Path) -> None:
    run_file = tmp_path / "run.toml"
    command = json.dumps([sys.executable, "-m", "conformance.faults", "bank.keeps-the-money-of-failed-batches"])
    run_file.write_text(f'[subject]\nrole = "bank"\n[target]\nmode = "launch"\ncommand = {command}\n')
    report = tmp_path / "results.json"
    explored = CliRunner().invoke(main, ["run", str(run_file), "--explore", "--json", str(report), "--seed", "1"])
    assert explored.exit_code == Exit.FAILED, explored.output
    saved = tmp_path / "bank.session.json"
    assert f"repeat    openpcc-conformance run {run_file} --explore --seed 1" in explored.output.replace("\n", "")
    repeated = CliRunner().invoke(main, ["run", str(run_file), "--replay", str(saved)])
    assert repeated.exit_code == Exit.FAILED
    assert "bank.exploration.saved-session" in repeated.output


def test_without_hypothesis_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hypothesis", None)
    result = CliRunner().invoke(main, ["run", "--role", "bank", "--explore"])
    assert result.exit_code == Exit.USAGE
    assert "pip install 'openpcc-conformance[test]'" in result.output


def test_only_banks_and_nonce_locks_are_explored() -> None:
    result = CliRunner().invoke(main, ["run", "--role", "relay", "--explore"])
    assert result.exit_code == Exit.USAGE
    assert "--explore drives bank and nonce-lock only" in result.output


def test_every_operation_says_what_its_numbers_choose() -> None:
    assert all(choices and all(limit > 0 for limit in choices) for choices in OPERATIONS.values())
