"""The life of a nonce: free, locked under a ticket, consumed. Chapter: ``spec/banking.md``.

Each transition is a function from the state before to the state after; whoever stores states applies it in one
transaction, which makes it atomic. Moments are Unix seconds. Requirements: PAY-101 to PAY-104, PAY-107, PAY-108.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from openpcc_ref.banking.errors import BankingRejected
from openpcc_ref.errors import require

LOCK_S = 300
"""Seconds after which a lock ends by itself, and its nonce is free again (PAY-107)."""


@dataclass(frozen=True, slots=True)
class Locked:
    """Somebody is about to spend the nonce; only ``ticket`` settles it."""

    ticket: str
    since: int


@dataclass(frozen=True, slots=True)
class Consumed:
    """The nonce is spent for ever; ``ticket`` is the one it was spent under."""

    ticket: str


NonceState: TypeAlias = Locked | Consumed | None
"""None is free, which every nonce is before anybody asked for it."""


def state_now(state: NonceState, now: int) -> NonceState:
    """Return the state at ``now``: a lock may have ended since. Requirements: PAY-107."""
    if isinstance(state, Locked) and now - state.since >= LOCK_S:
        return None
    return state


def lock(state: NonceState, ticket: str, now: int) -> Locked:
    """Lock a free nonce. Requirements: PAY-101 to PAY-103.

    Raises :class:`BankingRejected` with ``nonce-lock.locked`` or ``nonce-lock.consumed``.
    """
    _require(not isinstance(state, Locked), "locked", "a nonce that is not locked")
    _require(not isinstance(state, Consumed), "consumed", "a nonce that is not consumed")
    return Locked(ticket, now)


def consume(state: NonceState, ticket: str) -> Consumed:
    """Consume a nonce under the ticket of its lock, any number of times. Requirements: PAY-104, PAY-108.

    Raises :class:`BankingRejected` with ``nonce-lock.ticket``.
    """
    _require(state is not None and state.ticket == ticket, "ticket", "the ticket of the present lock")
    return Consumed(ticket)


def release(state: NonceState, ticket: str) -> None:
    """Free a locked nonce. Requirements: PAY-103, PAY-104.

    Raises :class:`BankingRejected` with ``nonce-lock.ticket``, or ``nonce-lock.consumed`` for the ticket that the nonce
    was consumed under.
    """
    _require(state is not None and state.ticket == ticket, "ticket", "the ticket of the present lock")
    _require(not isinstance(state, Consumed), "consumed", "a nonce that is not consumed")


def _require(holds: bool, fault: str, expected: str) -> None:
    require(holds, BankingRejected, f"nonce-lock.{fault}", where="nonce", expected=expected)
