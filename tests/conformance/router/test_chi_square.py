"""The statistics behind the choice of a node, against published values."""

from __future__ import annotations

import math

import pytest

from conformance.checks.router.choice import chi_square_of, chi_square_survival


@pytest.mark.parametrize(
    ("degrees", "statistic", "chance"),
    [
        # Quantiles from the tables of the chi-square distribution.
        (2, 5.991, 0.05),
        (2, 9.210, 0.01),
        (8, 15.507, 0.05),
        (8, 20.090, 0.01),
        (8, 26.124, 0.001),
    ],
)
def test_survival_agrees_with_published_quantiles(degrees: int, statistic: float, chance: float) -> None:
    assert math.isclose(chi_square_survival(statistic, degrees), chance, rel_tol=1e-3)


def test_the_statistic_grows_with_unevenness() -> None:
    assert chi_square_of([100, 100, 100]) == 0
    assert chi_square_of([110, 100, 90]) == 2
    assert chi_square_of([300, 0, 0]) == 600
