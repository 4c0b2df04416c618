"""Which candidate gets the request. Requirements: RTR-036, RTR-037."""

from __future__ import annotations

from collections.abc import Container, Sequence

from openpcc_ref.routing.request_info import Candidate
from openpcc_ref.sources import RandomSource


def pick_candidate(
    candidates: Sequence[Candidate], routable: Container[str], *, random: RandomSource
) -> Candidate | None:
    """Return one of the routable candidates, each as likely as any other; None when there is none.

    A node that is named twice counts once, with its first key. Requirements: RTR-037.
    """
    eligible: dict[str, Candidate] = {}
    for candidate in candidates:
        if candidate.node_id in routable:
            eligible.setdefault(candidate.node_id, candidate)
    return list(eligible.values())[uniform_index(len(eligible), random)] if eligible else None


def uniform_index(count: int, random: RandomSource) -> int:
    """Return a number from 0 to ``count - 1``, each equally likely: draws that would favour some are drawn again."""
    limit = (1 << 64) // count * count
    while (drawn := int.from_bytes(random(8), "big")) >= limit:
        pass
    return drawn % count
