"""Nonces: a whole hour and 16 random bytes that make a credit unique. Chapter: ``spec/credits.md``.

The hour lets the record of used nonces be forgotten some day; it is coarse, and drawn with a random factor around the
cut-over, so that it ties nobody to the moment of a withdrawal. All moments are Unix seconds.
Requirements: PAY-020 to PAY-029.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from google.protobuf.timestamp_pb2 import Timestamp

from openpcc_ref.credits.currency import rounding_factor
from openpcc_ref.credits.errors import CreditRejected
from openpcc_ref.errors import require
from openpcc_ref.protobuf import credit_pb2, parse
from openpcc_ref.sources import RandomSource

QUANTUM = 3600
"""Seconds to which timestamps are rounded."""

RANDOM_LENGTH = 16
"""Bytes of the random part."""

SAFE_AFTER = 30
"""Seconds into an hour after which the next hour's stamp is no longer rare (PAY-023)."""

LIFESPAN = 24 * 3600 + 2 * QUANTUM
"""Seconds a credit lives by the names of the deployed constants: 26 hours."""

CLOCK_SKEW = 30
"""Seconds by which clocks may differ."""


@dataclass(frozen=True, slots=True)
class Nonce:
    """What the issuer signs without seeing it.

    ``random`` identifies the credit. Raises ValueError unless it has 16 bytes and the timestamp fits 64 bits.
    """

    timestamp: int
    random: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.random) != RANDOM_LENGTH:
            raise ValueError(f"a nonce has {RANDOM_LENGTH} random bytes, not {len(self.random)}")
        if not -(1 << 63) <= self.timestamp < 1 << 63:
            raise ValueError("a timestamp is a signed 64-bit number")

    @property
    def blind_bytes(self) -> bytes:
        """The signed message: eight bytes of timestamp, then the random part. Requirements: PAY-025."""
        return self.timestamp.to_bytes(8, "big", signed=True) + self.random


@dataclass(frozen=True, slots=True)
class Stamp:
    """A chosen timestamp and the moment from which a credit that bears it may be shown. Requirements: PAY-023, PAY-024.

    The moment is absolute: whoever sees the credit could subtract a fixed delay.
    """

    timestamp: int
    usable_from: int


def choose_stamp(now: int, factor: float) -> Stamp:
    """Return the stamp of a credit made at ``now`` (not negative). Requirements: PAY-021 to PAY-024.

    The next hour is chosen with a probability that grows from 0 to 1 through the hour; chosen within its first 30
    seconds it is a stamp nobody else may have yet, so the credit has to wait for second 30.
    """
    this_hour = _hour(now)
    seconds_into_hour = now - this_hour
    if 1.0 - seconds_into_hour / QUANTUM >= factor:
        return Stamp(this_hour, now)
    return Stamp(this_hour + QUANTUM, max(now, this_hour + SAFE_AFTER))


def draw_nonce(now: int, random: RandomSource) -> tuple[Nonce, int]:
    """Return a fresh nonce and the moment from which its credit may be shown. Requirements: PAY-020 to PAY-024."""
    stamp = choose_stamp(now, rounding_factor(random))
    return Nonce(stamp.timestamp, random(RANDOM_LENGTH)), stamp.usable_from


class Expiry(StrEnum):
    """The two readings of how long a nonce lives; PAY-028 and PAY-029 are what they have in common."""

    DEPLOYED = "deployed"
    """26 hours ahead of the clock, one hour behind it: what the published nonce lock accepts."""

    INTENDED = "intended"
    """26 hours behind the clock, one hour ahead of it: what its constants, and the wallet, say."""


def accepted_stamps(now: int, expiry: Expiry) -> tuple[int, int]:
    """Return the oldest and the newest timestamp that a nonce lock accepts at ``now``."""
    back, ahead = (0, LIFESPAN) if expiry is Expiry.DEPLOYED else (LIFESPAN, QUANTUM)
    return _hour(now - back - CLOCK_SKEW), _hour(now + ahead + CLOCK_SKEW)


def require_unexpired(nonce: Nonce, now: int, expiry: Expiry) -> None:
    """Refuse a nonce whose hour is over or not yet near. Requirements: PAY-028, PAY-029.

    Raises :class:`CreditRejected` with ``nonce.expired`` or ``nonce.too-early``.
    """
    oldest, newest = accepted_stamps(now, expiry)
    require(
        nonce.timestamp >= oldest,
        CreditRejected,
        "nonce.expired",
        where="nonce.timestamp",
        expected=f"at least {oldest}",
    )
    require(
        nonce.timestamp <= newest,
        CreditRejected,
        "nonce.too-early",
        where="nonce.timestamp",
        expected=f"at most {newest}",
    )


def to_message(nonce: Nonce) -> credit_pb2.Nonce:
    """Return the protobuf message of a nonce: whole seconds, no ``nanos``. Requirements: PAY-027."""
    return credit_pb2.Nonce(timestamp=Timestamp(seconds=nonce.timestamp), nonce=nonce.random)


def from_message(message: credit_pb2.Nonce) -> Nonce:
    """Return the nonce of a protobuf message; ``nanos`` are ignored. Requirements: PAY-026, PAY-027.

    Raises :class:`CreditRejected` with ``nonce.timestamp.absent`` or ``nonce.random.length``.
    """
    require(
        message.HasField("timestamp"),
        CreditRejected,
        "nonce.timestamp.absent",
        where="nonce.timestamp",
        expected="a timestamp",
    )
    require(
        len(message.nonce) == RANDOM_LENGTH,
        CreditRejected,
        "nonce.random.length",
        where="nonce.nonce",
        expected=f"{RANDOM_LENGTH} bytes, {len(message.nonce)} given",
    )
    return Nonce(message.timestamp.seconds, message.nonce[:RANDOM_LENGTH].ljust(RANDOM_LENGTH, b"\0"))


def encode_nonce(nonce: Nonce) -> bytes:
    """Return the serialized message of a nonce."""
    return to_message(nonce).SerializeToString()


def decode_nonce(data: bytes) -> Nonce:
    """Return the nonce of a serialized message. Requirements: PAY-026.

    Raises :class:`CreditRejected` with ``nonce.malformed`` and as :func:`from_message` does.
    """
    return from_message(parse(credit_pb2.Nonce, data, CreditRejected, "nonce.malformed"))


def _hour(moment: int) -> int:
    return moment - moment % QUANTUM
