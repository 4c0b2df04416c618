"""The self-test notices when the suite answers wrongly."""

from __future__ import annotations

from dataclasses import replace

import pytest

from conformance import selftest
from conformance.faults import Fault, faults
from conformance.registry import checks
from conformance.runfile import Limits

DROPS = faults()["relay.drops-incremental-from-requests"]


def test_a_check_without_a_fault_is_told_of() -> None:
    check = checks()["relay.content.request"]
    assert selftest.uncovered([check], [DROPS])[0] == "check relay.content.request has no fault that trips it"


def test_a_fault_that_names_no_check_is_told_of() -> None:
    known = [checks()[name] for name in DROPS.trips]
    assert selftest.uncovered(known, [DROPS]) == []
    lost = replace(DROPS, also=("relay.no.such",))
    assert selftest.uncovered(known, [lost]) == [f"fault {DROPS.id} names the unknown check relay.no.such"]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("changes", "problems"),
    [
        ({}, []),
        ({"also": DROPS.trips, "trips": ("relay.content.request",)}, ["relay.content.request did not notice"]),
        (
            {"trips": ("relay.content.request",)},
            ["relay.content.request did not notice", "relay.fields.request-incremental fired without being named"],
        ),
    ],
)
async def test_silence_and_noise_are_both_problems(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, tuple[str, ...]], problems: list[str]
) -> None:
    changed: dict[str, Fault] = {DROPS.id: replace(DROPS, **changes)}  # type: ignore[arg-type]
    monkeypatch.setattr(selftest, "faults", lambda: changed)
    wanted = selftest.trials(include=lambda name: name == DROPS.id, jobs=1, limits=Limits(step_s=selftest.STEP_S))
    (trial,) = [trial async for trial in wanted]
    assert len(trial.problems) == len(problems)
    for problem, told in zip(trial.problems, problems, strict=True):
        assert problem.startswith(told)
    assert trial.noticed == ("relay.fields.request-incremental",)
