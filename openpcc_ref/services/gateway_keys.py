"""The keys in a gateway's configuration. Requirements: OHT-005, OHT-014."""

from __future__ import annotations

from openpcc_ref.hpke import KemId
from openpcc_ref.oblivious_http import GatewayKey, RotationPeriod, derive_gateway_key
from openpcc_ref.services.config import Settings

SEED_LENGTH = 32
"""Bytes that a key pair is derived from."""


def read_key(settings: Settings) -> GatewayKey:
    """Return the key of ``{"id", "kem_id", "seed", "active_from", "active_until"}``.

    The seed is hexadecimal; without both times the key is always active.
    """
    key_id = settings.integer("id", 0, 255)
    kem_id = KemId(settings.choice("kem_id", set(KemId)))
    seed = settings.hex_bytes("seed", SEED_LENGTH)
    period = None
    if settings.has("active_from") or settings.has("active_until"):
        period = RotationPeriod(key_id, settings.timestamp("active_from"), settings.timestamp("active_until"))
    settings.end()
    return derive_gateway_key(key_id, kem_id, seed, period=period)
