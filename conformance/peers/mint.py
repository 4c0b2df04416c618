"""The runner as issuer: credits that are good, and credits that are wrong in exactly one way.

Whoever judges a bank has to know the currency key. Nonces and blinding factors come from the operating system and not
from the seed of a run, because a bank must never see one twice, however often a case is repeated.
"""

from __future__ import annotations

from dataclasses import dataclass

import gmpy2

from openpcc_ref.credits import (
    ATTESTATION,
    Credit,
    CurrencyValue,
    Nonce,
    Payee,
    PendingCredit,
    PrivateKey,
    blind_rsa,
    currency,
    pss,
)
from openpcc_ref.credits.nonce import QUANTUM, RANDOM_LENGTH
from openpcc_ref.sources import system_clock, system_random

SPECIALS = (ATTESTATION, CurrencyValue(1, special=True), CurrencyValue(511, special=True))
"""The attestation token, and special values that stand for nothing."""


def draw_nonce(*, hours: int = 0) -> Nonce:
    """Return a fresh nonce stamped with the present hour, or so many hours later."""
    now = int(system_clock().timestamp())
    return Nonce(now - now % QUANTUM + hours * QUANTUM, system_random(RANDOM_LENGTH))


@dataclass(frozen=True, slots=True)
class Mint:
    """Makes credits under one currency key."""

    key: PrivateKey

    def credit(self, value: CurrencyValue | int, *, nonce: Nonce | None = None) -> Credit:
        """Return a good credit of a value or an amount."""
        worth = currency.exact(value) if isinstance(value, int) else value
        unique = nonce or draw_nonce()
        framed = blind_rsa.frame(unique.blind_bytes, worth.blind_bytes)
        return Credit(worth, unique, self.sign(framed, self.exponent(worth.blind_bytes)))

    def pending(self, value: CurrencyValue | int) -> PendingCredit:
        """Return a new credit that waits for its blind signature."""
        payee = Payee(self.key.public_key, random=system_random, clock=system_clock, allow_test_key=True)
        return payee.begin(currency.exact(value) if isinstance(value, int) else value)

    def exponent(self, metadata: bytes) -> int:
        """Return the public exponent of value bytes."""
        return blind_rsa.derive_exponent(self.key.public_key, metadata)

    def sign(self, framed: bytes, exponent: int, *, salt: bytes = blind_rsa.ZERO_SALT) -> bytes:
        """Return the signature of whatever is framed, under whatever exponent."""
        public = self.key.public_key
        encoded = int.from_bytes(pss.encode(framed, public.bits - 1, salt), "big")
        private_exponent = gmpy2.invert(exponent, (self.key.p - 1) * (self.key.q - 1))
        return int(gmpy2.powmod(encoded, private_exponent, public.modulus)).to_bytes(public.length, "big")
