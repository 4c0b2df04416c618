"""Health: from a series of checks to a grade. Requirements: RTR-089 to RTR-092."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Grade(StrEnum):
    """What a history of checks says about a node."""

    OK = "ok"
    UNKNOWN = "unknown"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True)
class Check:
    """One health check: when it was made (Unix seconds), and whether it was answered with a status of 200 to 299."""

    at: float
    healthy: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Grading:
    """How histories are graded. Raises ValueError for rules that cannot work. Requirements: RTR-092."""

    min_checks: int = 3
    min_success_rate: float = 0.9
    """0 leaves it to the streak."""
    failure_streak: int = 3
    """0 leaves it to the rate."""
    max_age_s: float = 900.0

    def __post_init__(self) -> None:
        if self.min_checks < 1 or not 0 <= self.min_success_rate <= 1 or self.failure_streak < 0:
            raise ValueError("at least 1 check, a rate of 0 to 1, and a streak of at least 0")
        if self.max_age_s <= 0 or (self.min_success_rate == 0 and self.failure_streak == 0):
            raise ValueError("a maximal age above 0, and a rate or a streak")

    def grade(self, history: Sequence[Check], now: float) -> Grade:
        """Grade a history, oldest check first. All bounds are inclusive. Requirements: RTR-090, RTR-092."""
        recent = [check.healthy for check in history if check.at >= now - self.max_age_s]
        if len(recent) < self.min_checks:
            return Grade.UNKNOWN
        streak = len(recent) if True not in recent else recent[::-1].index(True)
        if self.failure_streak and streak >= self.failure_streak:
            return Grade.UNAVAILABLE
        if self.min_success_rate and sum(recent) / len(recent) < self.min_success_rate:
            return Grade.UNAVAILABLE
        return Grade.OK


def is_healthy(status: int) -> bool:
    """Say whether the answer to a health check counts as success. Requirements: RTR-091."""
    return 200 <= status <= 299
