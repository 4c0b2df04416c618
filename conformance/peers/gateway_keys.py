"""The keys of a gateway under test: minted for a program that the runner starts, or named in the run file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import shake_256
from typing import Any

from conformance.runfile import KeySettings
from openpcc_ref.hpke import KemId
from openpcc_ref.oblivious_http import (
    GatewayKey,
    KeyConfig,
    PeriodState,
    RotationPeriod,
    derive_gateway_key,
    encode_timestamp,
)

_HOUR = timedelta(hours=1)


def mint_keys(seed: str, now: datetime) -> tuple[KeySettings, ...]:
    """Return the keys a launched gateway is given: three in use under two KEMs, one just expired, one for later.

    All but the first are of the KEM that every gateway has. The expired one ended a second ago: a gateway that is
    generous with clocks accepts it.
    """
    kyber, x25519 = KemId.X25519_KYBER768_DRAFT00, KemId.DHKEM_X25519
    periods = [
        (1, x25519, now - _HOUR, now + 24 * _HOUR),
        (2, kyber, now - _HOUR, now + 24 * _HOUR),
        (3, kyber, now - 2 * _HOUR, now + 12 * _HOUR),
        (4, kyber, now - _HOUR, now - timedelta(seconds=1)),
        (5, kyber, now + _HOUR, now + 24 * _HOUR),
    ]
    return tuple(
        KeySettings(
            id=key_id,
            seed=shake_256(f"{seed}/gateway key {key_id}".encode()).hexdigest(32),
            kem_id=kem_id,
            active_from=start,
            active_until=end,
        )
        for key_id, kem_id, start, end in periods
    )


def launch_keys(keys: Sequence[KeySettings]) -> list[dict[str, Any]]:
    """Return the keys as the launch protocol states them."""
    return [
        {
            "id": key.id,
            "kem_id": key.kem_id,
            "seed": key.seed,
            "active_from": encode_timestamp(key.active_from),
            "active_until": encode_timestamp(key.active_until),
        }
        for key in keys
    ]


@dataclass(frozen=True, slots=True)
class KeyRing:
    """The configured keys, by what a check needs them for."""

    keys: tuple[GatewayKey, ...]
    now: datetime
    """When the run began; what is active is decided for this moment."""
    unsupported: frozenset[int] = frozenset()
    """KEMs that the gateway turned out not to have: only the checks that ask for them use their keys."""

    @staticmethod
    def of(settings: Sequence[KeySettings], now: datetime) -> KeyRing:
        """Derive the keys; those of a KEM the runner cannot use are left out."""
        return KeyRing(
            tuple(
                derive_gateway_key(
                    key.id,
                    KemId(key.kem_id),
                    bytes.fromhex(key.seed),
                    period=RotationPeriod(key.id, key.active_from, key.active_until),
                )
                for key in settings
                if key.kem_id in set(KemId)
            ),
            now,
        )

    @property
    def active(self) -> tuple[KeyConfig, ...]:
        """The keys in use, in the order in which they are configured."""
        return self._supported(PeriodState.ACTIVE)

    @property
    def expired(self) -> tuple[KeyConfig, ...]:
        return self._supported(PeriodState.EXPIRED)

    @property
    def future(self) -> tuple[KeyConfig, ...]:
        return self._supported(PeriodState.NOT_YET_ACTIVE)

    @property
    def by_kem(self) -> tuple[KeyConfig, ...]:
        """One key in use for each KEM."""
        return tuple({key.kem_id: key for key in reversed(self.active)}.values())

    def of_kem(self, kem_id: KemId) -> KeyConfig:
        """Return the first key in use for a KEM; which there are is said by :meth:`capabilities`."""
        return next(key for key in self._in(PeriodState.ACTIVE) if key.kem_id == kem_id)

    @property
    def pair(self) -> tuple[KeyConfig, KeyConfig] | None:
        """Two keys in use for the same KEM under different identifiers, if there are such."""
        for first in self.active:
            for second in self.active:
                if first.kem_id == second.kem_id and first.key_id != second.key_id:
                    return first, second
        return None

    def unused_id(self) -> int:
        """Return a key identifier that no key has."""
        used = {key.config.key_id for key in self.keys}
        return next(key_id for key_id in range(255, -1, -1) if key_id not in used)

    def capabilities(self) -> frozenset[str]:
        """Return what these keys let a target offer (``conformance.capabilities``)."""
        offered = {f"kem.{key.kem_id:#06x}" for key in self._in(PeriodState.ACTIVE)}
        offered |= {"key.second"} if self.pair else set()
        offered |= {"key.expired"} if self.expired else set()
        offered |= {"key.future"} if self.future else set()
        return frozenset(offered)

    def _supported(self, state: PeriodState) -> tuple[KeyConfig, ...]:
        return tuple(key for key in self._in(state) if key.kem_id not in self.unsupported)

    def _in(self, state: PeriodState) -> tuple[KeyConfig, ...]:
        return tuple(key.config for key in self.keys if key.period and key.period.state(self.now) is state)
