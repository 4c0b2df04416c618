"""When a key may be used: rotation periods, their JSON form, and the client's choice.

A period is open at its start and closed at its end, with no tolerance on either side. Ends are kept to the
microsecond, as the clock is: what a time stamp says beyond that is cut off, and no comparison with a clock of that
resolution comes out differently. Requirements: OHT-010 to OHT-015.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum
from typing import Any

from openpcc_ref.errors import require
from openpcc_ref.hpke import AeadId, KdfId, KemId, kem
from openpcc_ref.oblivious_http.key_config import KeyConfig, SymmetricAlgorithm
from openpcc_ref.oblivious_http.media_types import ObliviousHttpRejected

LEAD = timedelta(days=7)
"""From the creation of a secret to the first use of its key. Requirements: OHT-015."""

LIFETIME_MONTHS = 6
"""Calendar months from the start of a period to its end. Requirements: OHT-015."""

OPENPCC_ALGORITHM = SymmetricAlgorithm(KdfId.HKDF_SHA256, AeadId.AES_128_GCM)
"""The one pair that deployed gateways offer. Requirements: OHT-002."""

_TIMESTAMP = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:Z|([+-])([01]\d|2[0-3]):([0-5]\d))", flags=re.ASCII
)


class PeriodState(StrEnum):
    """Where a moment lies relative to a period."""

    NOT_YET_ACTIVE = "not-yet-active"
    ACTIVE = "active"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class RotationPeriod:
    """The time in which a key identifier is valid; both ends are aware datetimes."""

    key_id: int
    active_from: datetime
    active_until: datetime

    def state(self, now: datetime) -> PeriodState:
        """Say where ``now`` lies; expiry is looked at first. Requirements: OHT-011."""
        if now > self.active_until:
            return PeriodState.EXPIRED
        return PeriodState.ACTIVE if now > self.active_from else PeriodState.NOT_YET_ACTIVE

    def is_active(self, now: datetime) -> bool:
        """Say whether active_from < ``now`` <= active_until. Requirements: OHT-011."""
        return self.state(now) is PeriodState.ACTIVE


@dataclass(frozen=True, slots=True)
class GatewayKey:
    """A key as its gateway holds it; without a period it is always active."""

    config: KeyConfig
    secret_key: bytes = field(repr=False)
    period: RotationPeriod | None = None

    def is_active(self, now: datetime) -> bool:
        """Say whether requests to this key are accepted at ``now``. Requirements: OHT-014."""
        return self.period is None or self.period.is_active(now)


def derive_gateway_key(
    key_id: int,
    kem_id: KemId,
    seed: bytes,
    algorithms: tuple[SymmetricAlgorithm, ...] = (OPENPCC_ALGORITHM,),
    period: RotationPeriod | None = None,
) -> GatewayKey:
    """Return the key that follows from ``seed``. Requirements: OHT-005."""
    pair = kem(kem_id).derive_key_pair(seed)
    return GatewayKey(KeyConfig(key_id, kem_id, pair.public_key, algorithms), pair.secret_key, period)


def period_from_creation(key_id: int, created: datetime) -> RotationPeriod:
    """Return the period of a key whose secret was created at that moment. Requirements: OHT-015."""
    return period_starting_at(key_id, created + LEAD)


def period_starting_at(key_id: int, active_from: datetime) -> RotationPeriod:
    """Return the period that starts at that moment. Requirements: OHT-015.

    Six is added to the month and the day is kept; a day that the month does not have runs over into the next one.
    """
    years, month = divmod(active_from.month - 1 + LIFETIME_MONTHS, 12)
    first = active_from.replace(year=active_from.year + years, month=month + 1, day=1)
    return RotationPeriod(key_id, active_from, first + timedelta(days=active_from.day - 1))


def encode_rotation_periods(periods: Iterable[RotationPeriod]) -> bytes:
    """Encode periods as compact JSON in the member order of the format. Requirements: OHT-010."""
    rows = [
        {
            "active_from": encode_timestamp(period.active_from),
            "active_until": encode_timestamp(period.active_until),
            "key_id": period.key_id,
        }
        for period in periods
    ]
    return json.dumps(rows, separators=(",", ":")).encode()


def decode_rotation_periods(data: bytes) -> tuple[RotationPeriod, ...]:
    """Decode the JSON array; members beyond the three are ignored. Requirements: OHT-010."""
    try:
        rows: Any = json.loads(data.decode(), parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        rows = None
    _require(isinstance(rows, list), "json", "rotation periods", "a JSON array in UTF-8")
    return tuple(_decode_period(row, f"[{index}]") for index, row in enumerate(rows or ()))


def encode_timestamp(moment: datetime) -> str:
    """Return RFC 3339 in UTC with as many fractional digits as the moment needs."""
    seconds = moment.astimezone(UTC).replace(tzinfo=None, microsecond=0).isoformat()
    fraction = f"{moment.microsecond:06d}".rstrip("0")
    return f"{seconds}.{fraction}Z" if fraction else f"{seconds}Z"


def decode_timestamp(text: str) -> datetime | None:
    """Return the moment that an RFC 3339 time stamp names, in UTC, or None when it names none."""
    match = _TIMESTAMP.fullmatch(text)
    if match is None:
        return None
    *calendar, fraction, sign, hours, minutes = match.groups()
    year, month, day, hour, minute, second = map(int, calendar)
    try:
        offset = timedelta(hours=int(hours or 0), minutes=int(minutes or 0)) * (-1 if sign == "-" else 1)
        microsecond = int((fraction or "").ljust(6, "0")[:6])
        return datetime(year, month, day, hour, minute, second, microsecond, timezone(offset)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def select_key(configs: Sequence[KeyConfig], periods: Iterable[RotationPeriod], now: datetime) -> KeyConfig:
    """Return the configuration that a client seals to. Requirements: OHT-012.

    Of the active periods the one that started last wins, the first listed on a tie; of the configurations with its
    key identifier the first.
    """
    by_start = sorted(periods, key=lambda period: period.active_from, reverse=True)
    active = [period for period in by_start if period.is_active(now)]
    require(
        bool(active),
        ObliviousHttpRejected,
        "oblivious-http.key-selection.none-active",
        where="rotation periods",
        expected="a period that contains the present moment",
    )
    wanted = [period.key_id for period in active or by_start][:1]
    matching = [config for config in configs if config.key_id in wanted]
    require(
        bool(matching),
        ObliviousHttpRejected,
        "oblivious-http.key-selection.no-configuration",
        where="key configurations",
        expected="one with the key identifier of the chosen period",
    )
    return (matching or [*configs, KeyConfig(0, 0, b"", ())])[0]


def _decode_period(row: Any, where: str) -> RotationPeriod:
    members = row if isinstance(row, dict) else {}
    _require(isinstance(row, dict), "shape", where, "an object")
    number = members.get("key_id")
    # A boolean is an int to Python, but no number to JSON.
    key_id = number if isinstance(number, int) and not isinstance(number, bool) and 0 <= number <= 255 else None
    _require(key_id is not None, "key-id", f"{where}.key_id", "a number 0 to 255")
    ends = []
    for name in ("active_from", "active_until"):
        text = members.get(name)
        moment = decode_timestamp(text) if isinstance(text, str) else None
        _require(moment is not None, "timestamp", f"{where}.{name}", "an RFC 3339 time stamp")
        ends.append(moment or datetime.min.replace(tzinfo=UTC))
    return RotationPeriod(key_id or 0, *ends)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _require(holds: bool, fault: str, where: str, expected: str) -> None:
    require(holds, ObliviousHttpRejected, f"oblivious-http.rotation.{fault}", where=where, expected=expected)
