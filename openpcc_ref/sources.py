"""Randomness and time, which the protocol modules take as arguments.

Passing them in makes vectors reproducible and lets time rules be tested without waiting.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime

RandomSource = Callable[[int], bytes]
"""Returns that many fresh random bytes."""

Clock = Callable[[], datetime]
"""Returns the present moment as an aware datetime."""


def system_random(length: int) -> bytes:
    """Return ``length`` bytes of the operating system's randomness."""
    return os.urandom(length)


def system_clock() -> datetime:
    """Return the present moment in UTC."""
    return datetime.now(UTC)
