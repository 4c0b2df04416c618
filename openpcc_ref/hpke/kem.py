"""Key encapsulation: one interface for all mechanisms (RFC 9180 section 4)."""

from __future__ import annotations

from functools import cache
from typing import Protocol

from openpcc_ref.hpke.dhkem import DhKem
from openpcc_ref.hpke.suites import KemId, KeyPair
from openpcc_ref.hpke.x25519_kyber768 import X25519Kyber768Draft00
from openpcc_ref.sources import RandomSource


class Kem(Protocol):
    """A key encapsulation mechanism; all lengths in bytes."""

    npk: int
    nsk: int
    nenc: int
    nsecret: int
    nseed: int
    """How much randomness an encapsulation takes."""

    def derive_key_pair(self, ikm: bytes) -> KeyPair:
        """Return the key pair that follows from the input keying material."""

    def generate(self, random: RandomSource) -> KeyPair:
        """Return a fresh key pair."""

    def is_public_key(self, data: bytes) -> bool:
        """Say whether ``data`` is the serialisation of a public key (DeserializePublicKey)."""

    def encapsulate(self, public_key: bytes, random: RandomSource) -> tuple[bytes, bytes]:
        """Return (shared secret, enc). Raises :class:`HpkeRejected` for an unusable public key."""

    def decapsulate(self, enc: bytes, secret_key: bytes) -> bytes:
        """Return the shared secret. Raises :class:`HpkeRejected` for an unusable ``enc``."""


@cache
def kem(kem_id: KemId) -> Kem:
    """Return the mechanism for a code point."""
    return X25519Kyber768Draft00() if kem_id is KemId.X25519_KYBER768_DRAFT00 else DhKem(kem_id)
