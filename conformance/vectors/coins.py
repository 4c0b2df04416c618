"""Reproducible randomness for vectors: every secret follows from the case id and a label."""

from __future__ import annotations

from hashlib import shake_256

from openpcc_ref.sources import RandomSource


def coins(case_id: str, label: str, length: int) -> bytes:
    """Return ``length`` bytes for one input of one case; labels keep inputs independent."""
    return shake_256(f"{case_id}/{label}".encode()).digest(length)


def coin_source(case_id: str, label: str) -> RandomSource:
    """Return a random source over the coins of one label; successive draws continue the same stream."""
    drawn = 0

    def draw(length: int) -> bytes:
        nonlocal drawn
        drawn += length
        return coins(case_id, label, drawn)[drawn - length :]

    return draw
