"""The life of a nonce, transition by transition, and in any order against a model."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openpcc_ref.banking import nonce_state
from openpcc_ref.banking.errors import BankingRejected
from openpcc_ref.banking.nonce_state import LOCK_S, Consumed, Locked, NonceState


def code(transition: object, *args: object) -> str:
    with pytest.raises(BankingRejected) as caught:
        transition(*args)  # type: ignore[operator]
    return caught.value.code


def test_a_free_nonce_can_only_be_locked() -> None:
    assert nonce_state.lock(None, "a", 7) == Locked("a", 7)
    assert code(nonce_state.consume, None, "a") == "nonce-lock.ticket"
    assert code(nonce_state.release, None, "a") == "nonce-lock.ticket"


def test_a_locked_nonce_obeys_its_ticket_alone() -> None:
    locked = Locked("a", 7)
    assert code(nonce_state.lock, locked, "b", 8) == "nonce-lock.locked"
    for wrong in ("b", "", "A"):
        assert code(nonce_state.consume, locked, wrong) == "nonce-lock.ticket"
        assert code(nonce_state.release, locked, wrong) == "nonce-lock.ticket"
    assert nonce_state.consume(locked, "a") == Consumed("a")
    nonce_state.release(locked, "a")


def test_a_consumed_nonce_stays_so() -> None:
    consumed = Consumed("a")
    assert code(nonce_state.lock, consumed, "b", 8) == "nonce-lock.consumed"
    assert nonce_state.consume(consumed, "a") == consumed
    assert code(nonce_state.consume, consumed, "b") == "nonce-lock.ticket"
    assert code(nonce_state.release, consumed, "a") == "nonce-lock.consumed"
    assert code(nonce_state.release, consumed, "b") == "nonce-lock.ticket"
    assert nonce_state.state_now(consumed, 10**12) == consumed


def test_a_lock_ends_after_its_time_and_no_earlier() -> None:
    locked = Locked("a", 1000)
    assert nonce_state.state_now(locked, 1000 + LOCK_S - 1) == locked
    assert nonce_state.state_now(locked, 1000 + LOCK_S) is None


@given(st.lists(st.tuples(st.sampled_from(["lock", "consume", "release"]), st.sampled_from("abc")), max_size=30))
def test_no_history_consumes_under_two_tickets(history: list[tuple[str, str]]) -> None:
    state: NonceState = None
    consumed_under: set[str] = set()
    for step, ticket in history:
        try:
            if step == "lock":
                state = nonce_state.lock(state, ticket, 0)
            elif step == "consume":
                state = nonce_state.consume(state, ticket)
                consumed_under.add(ticket)
            else:
                nonce_state.release(state, ticket)
                state = None
        except BankingRejected:
            continue
        assert not (consumed_under and not isinstance(state, Consumed))
    assert len(consumed_under) <= 1
