"""The currency key: an RSA modulus of two safe primes. Chapter: ``spec/credits.md``.

The exponents of an ordinary RSA key play no part: each currency value has an exponent of its own, derived from the
modulus (see ``blind_rsa``). It has an inverse for the signer because the primes are safe.
Requirements: PAY-040 to PAY-042.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

import gmpy2

from openpcc_ref.credits.errors import CreditRejected
from openpcc_ref.errors import require
from openpcc_ref.sources import RandomSource

TEST_KEY_BITS = 1024
"""Length of the development key that all published services share. Requirements: PAY-041."""

CURRENCY_KEY_BITS = (2048, 4096)
"""Lengths of a key that may stand for money. Requirements: PAY-041, PAY-042."""

_SIEVE = gmpy2.primorial(2000)
_PRIMALITY_ROUNDS = 40


@dataclass(frozen=True, slots=True)
class PublicKey:
    """What a verifier needs: the modulus alone."""

    modulus: int

    @property
    def bits(self) -> int:
        return self.modulus.bit_length()

    @property
    def length(self) -> int:
        """Bytes of the modulus, of a blinded message and of a signature."""
        return (self.bits + 7) // 8


@dataclass(frozen=True, slots=True)
class PrivateKey:
    """What a signer needs: the two safe primes. Made by :func:`private_key`."""

    p: int = field(repr=False)
    q: int = field(repr=False)

    @property
    def public_key(self) -> PublicKey:
        return PublicKey(self.p * self.q)


def private_key(p: int, q: int) -> PrivateKey:
    """Return the key of two distinct safe primes. Requirements: PAY-040. Raises as :func:`require_safe_primes` does."""
    key = PrivateKey(p, q)
    require_safe_primes(key)
    return key


def require_safe_primes(key: PrivateKey) -> None:
    """Refuse a key under which some value may have no private exponent. Requirements: PAY-040.

    Raises :class:`CreditRejected` with ``blind-rsa.key.equal-primes`` or ``blind-rsa.key.unsafe-prime``.
    """
    require(key.p != key.q, CreditRejected, "blind-rsa.key.equal-primes", where="q", expected="another prime than p")
    for name, number in (("p", key.p), ("q", key.q)):
        require(
            is_safe_prime(number),
            CreditRejected,
            "blind-rsa.key.unsafe-prime",
            where=name,
            expected="a prime whose half, rounded down, is prime too",
        )


def require_currency_key(key: PublicKey, *, allow_test_key: bool) -> None:
    """Refuse a modulus that is too short, or of a length at which implementations differ.

    Requirements: PAY-041, PAY-042. Raises :class:`CreditRejected` with ``blind-rsa.key.length`` or, for the length of
    the development key outside tests, ``blind-rsa.key.test-only``.
    """
    require(
        key.bits in (TEST_KEY_BITS, *CURRENCY_KEY_BITS),
        CreditRejected,
        "blind-rsa.key.length",
        where="modulus",
        expected=f"2048 or 4096 bits, {key.bits} given",
    )
    require(
        allow_test_key or key.bits != TEST_KEY_BITS,
        CreditRejected,
        "blind-rsa.key.test-only",
        where="modulus",
        expected=f"at least 2048 bits, {key.bits} given",
    )


@lru_cache(maxsize=64)
def is_safe_prime(number: int) -> bool:
    """Tell whether ``number`` and half of it, rounded down, are (almost certainly) prime."""
    return number > 0 and all(gmpy2.is_prime(candidate, _PRIMALITY_ROUNDS) for candidate in (number, number // 2))


def generate_private_key(bits: int, *, random: RandomSource) -> PrivateKey:
    """Return a fresh key whose modulus has exactly ``bits`` bits (even, at least 32). Requirements: PAY-040.

    Takes seconds at 2048 bits and minutes at 4096. Raises ValueError for another length.
    """
    if bits < 32 or bits % 2:
        raise ValueError(f"a modulus has an even number of bits, at least 32, not {bits}")
    p = _random_safe_prime(bits // 2, random)
    q = p
    while q == p:
        q = _random_safe_prime(bits // 2, random)
    return PrivateKey(p, q)


def _random_safe_prime(bits: int, random: RandomSource) -> int:
    """Search upwards from a random start with its two top bits set, so that two primes give the full length."""
    while True:
        start = int.from_bytes(random((bits + 7) // 8), "big") % (1 << bits - 2) | 3 << bits - 2
        # Below a prime p = 2p' + 1 with p' prime lie p = 3 mod 4 (p' is odd) and p = 2 mod 3 (3 divides neither).
        candidate = gmpy2.mpz(start - start % 12 + 11)
        while candidate.bit_length() == bits:
            if _survives_sieve(candidate) and is_safe_prime(int(candidate)):
                return int(candidate)
            candidate += 12


def _survives_sieve(candidate: gmpy2.mpz) -> bool:
    """Tell whether no small prime rules the candidate out; at toy sizes nothing is ruled out."""
    if candidate.bit_length() < 64:
        return True
    return bool(gmpy2.gcd(candidate, _SIEVE) == 1 and gmpy2.gcd(candidate // 2, _SIEVE) == 1)
