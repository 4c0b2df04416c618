"""The keys of a gateway under test: which there are, and what they let a target offer."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from conformance.capabilities import CAPABILITIES
from conformance.peers.gateway_keys import KeyRing, launch_keys, mint_keys
from openpcc_ref.hpke import KemId
from openpcc_ref.oblivious_http import decode_timestamp

NOW = datetime(2026, 1, 1, tzinfo=UTC)
KEYS = mint_keys("seed", NOW)
RING = KeyRing.of(KEYS, NOW)


def test_minted_keys_offer_everything_a_check_can_need() -> None:
    assert RING.capabilities() == {name for name in CAPABILITIES if name.startswith(("kem.", "key."))}


def test_minted_keys_follow_from_the_seed() -> None:
    assert mint_keys("seed", NOW) == KEYS
    other = mint_keys("other seed", NOW)
    assert not {key.seed for key in KEYS} & {key.seed for key in other}
    assert len({key.seed for key in KEYS}) == len(KEYS)


def test_the_expired_key_ended_a_second_ago() -> None:
    (expired,) = [key for key in KEYS if key.id == RING.expired[0].key_id]
    assert NOW - expired.active_until == timedelta(seconds=1)


def test_the_pair_has_one_kem_and_two_identifiers() -> None:
    assert RING.pair is not None
    first, second = RING.pair
    assert first.kem_id == second.kem_id
    assert first.key_id != second.key_id
    assert first.public_key != second.public_key


def test_one_key_is_not_a_pair() -> None:
    ring = KeyRing.of(KEYS[:1], NOW)
    assert ring.pair is None
    assert ring.capabilities() == {"kem.0x0020"}


def test_the_unused_identifier_is_none_of_the_configured_ones() -> None:
    assert RING.unused_id() not in {key.id for key in KEYS}
    full = tuple(replace(KEYS[0], id=key_id) for key_id in range(256) if key_id != 7)
    assert KeyRing.of(full, NOW).unused_id() == 7


def test_keys_of_a_kem_that_the_gateway_lacks_are_used_only_where_asked_for() -> None:
    ring = replace(RING, unsupported=frozenset({int(KemId.DHKEM_X25519)}))
    assert {key.kem_id for key in ring.active} == {KemId.X25519_KYBER768_DRAFT00}
    assert ring.of_kem(KemId.DHKEM_X25519).kem_id == KemId.DHKEM_X25519
    assert "kem.0x0020" in ring.capabilities()


def test_keys_of_an_unknown_kem_are_left_out() -> None:
    assert KeyRing.of([replace(KEYS[0], kem_id=0x0012)], NOW).keys == ()


def test_the_launch_protocol_states_periods_as_time_stamps() -> None:
    rows = launch_keys(KEYS)
    assert [decode_timestamp(row["active_until"]) for row in rows] == [key.active_until for key in KEYS]
    assert all(set(row) == {"id", "kem_id", "seed", "active_from", "active_until"} for row in rows)
