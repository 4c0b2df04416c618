"""A bank need not recognise repetitions; but one that makes money by them fails, and is not merely warned of."""

from __future__ import annotations

import pytest

from conformance.verdicts import Verdict
from tests.conformance.judging import verdict_on


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("fault", "check", "verdict"),
    [
        ("bank.recognises-no-repetition", "bank.repetition.deposit", Verdict.WARN),
        ("bank.recognises-no-repetition", "bank.repetition.withdraw", Verdict.WARN),
        ("bank.recognises-no-repetition", "bank.repetition.withdraw-full", Verdict.WARN),
        ("bank.charges-a-fee-for-repetitions", "bank.repetition.withdraw", Verdict.FAIL),
        ("bank.books-repeated-deposits", "bank.repetition.deposit", Verdict.FAIL),
        ("bank.books-repeated-deposits", "bank.repetition.after-lost-answers", Verdict.FAIL),
        ("bank.empties-again", "bank.repetition.withdraw-full", Verdict.FAIL),
        ("bank.gives-the-first-credit-for-ever", "bank.repetition.withdraw-full", Verdict.FAIL),
    ],
)
async def test_a_repetition_that_costs_money_is_a_failure(fault: str, check: str, verdict: Verdict) -> None:
    assert (await verdict_on(fault, check))[0] is verdict
