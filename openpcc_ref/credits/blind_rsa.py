"""Partially blind RSA signatures with public metadata. Chapter: ``spec/credits.md``.

RSAPBSSA-SHA384-PSS-Deterministic of draft-irtf-cfrg-partially-blind-rsa, as deployed: the exponent is derived from the
modulus and the metadata, the salt is 48 zero bytes unless another is given. A credit signs the nonce's bytes as message
under the value's bytes as metadata. Numbers are ``int``; whatever goes over the wire is ``bytes`` as long as the
modulus. Requirements: PAY-043 to PAY-054.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import gcd

import gmpy2
from cryptography.hazmat.primitives.hashes import SHA384
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from openpcc_ref.credits import pss
from openpcc_ref.credits.errors import CreditRejected
from openpcc_ref.credits.rsa_keys import PrivateKey, PublicKey
from openpcc_ref.errors import require
from openpcc_ref.sources import RandomSource

ZERO_SALT = bytes(pss.HASH_LENGTH)
"""The salt of every credit: another one would be recognised when the credit is spent (PAY-046)."""


def derive_exponent(key: PublicKey, metadata: bytes) -> int:
    """Return the public exponent of ``metadata``: odd, two bits short of half the modulus. Requirements: PAY-043.

    Lengths count bits, as in deployed code. The draft counts bytes (:func:`derive_exponent_by_bytes`); both agree when
    the length of the modulus is a multiple of 16 bits.
    """
    half = key.bits // 2
    expanded = _expand_metadata(key, metadata, (half + 128) // 8)
    return int.from_bytes(expanded[: half // 8], "big") & (1 << half - 2) - 1 | 1


def derive_exponent_by_bytes(key: PublicKey, metadata: bytes) -> int:
    """Return the public exponent by the draft's text (section "Public Key Derivation")."""
    half = key.length // 2
    expanded = _expand_metadata(key, metadata, half + 16)
    return int.from_bytes(expanded[:half], "big") & (1 << 8 * half - 2) - 1 | 1


def _expand_metadata(key: PublicKey, metadata: bytes, length: int) -> bytes:
    salt = key.modulus.to_bytes(key.length, "big")
    return HKDF(SHA384(), length, salt, b"PBRSA").derive(b"key" + metadata + b"\0")


def frame(message: bytes, metadata: bytes) -> bytes:
    """Return what is encoded and signed: the metadata, behind its length, and the message. Requirements: PAY-044."""
    return b"msg" + len(metadata).to_bytes(4, "big") + metadata + message


@dataclass(frozen=True, slots=True)
class BlindingState:
    """What the client keeps between blinding and finalizing, with every intermediate value."""

    key: PublicKey
    exponent: int
    framed_message: bytes
    encoded_message: bytes
    inverse: int = field(repr=False)
    """Of the blinding factor, modulo the modulus."""
    blinded_message: bytes


def blind(
    key: PublicKey, message: bytes, metadata: bytes, *, blinding_factor: int, salt: bytes = ZERO_SALT
) -> BlindingState:
    """Blind ``message`` for a signature under ``metadata``. Requirements: PAY-043 to PAY-046, PAY-049.

    Raises :class:`CreditRejected` with ``blind-rsa.message.not-coprime`` (the modulus is no good), ValueError for a
    blinding factor that has no inverse or does not lie in 1..n-1.
    """
    modulus = key.modulus
    if not 0 < blinding_factor < modulus or gcd(blinding_factor, modulus) != 1:
        raise ValueError("a blinding factor lies in 1..n-1 and is coprime to n")
    exponent = derive_exponent(key, metadata)
    framed = frame(message, metadata)
    encoded = pss.encode(framed, key.bits - 1, salt)
    number = int.from_bytes(encoded, "big")
    require(
        gcd(number, modulus) == 1,
        CreditRejected,
        "blind-rsa.message.not-coprime",
        where="modulus",
        expected="an encoded message coprime to it",
    )
    blinded = number * int(gmpy2.powmod(blinding_factor, exponent, modulus)) % modulus
    inverse = int(gmpy2.invert(blinding_factor, modulus))
    return BlindingState(key, exponent, framed, encoded, inverse, blinded.to_bytes(key.length, "big"))


def draw_blinding_factor(key: PublicKey, random: RandomSource) -> int:
    """Return a number uniform among those in 1..n-1 that have an inverse. Requirements: PAY-048."""
    while True:
        candidate = int.from_bytes(random(key.length), "big") & (1 << key.bits) - 1
        if 0 < candidate < key.modulus and gcd(candidate, key.modulus) == 1:
            return candidate


def blind_sign(key: PrivateKey, blinded_message: bytes, metadata: bytes) -> bytes:
    """Return the blind signature under ``metadata``. Requirements: PAY-043, PAY-050, PAY-051.

    The same input always gives the same signature. Raises :class:`CreditRejected` with
    ``blind-rsa.blinded-message.length``, ``blind-rsa.blinded-message.range`` or ``blind-rsa.signing.fault``.
    """
    public = key.public_key
    require(
        len(blinded_message) == public.length,
        CreditRejected,
        "blind-rsa.blinded-message.length",
        where="blinded message",
        expected=f"{public.length} bytes, {len(blinded_message)} given",
    )
    number = int.from_bytes(blinded_message, "big")
    require(
        number < public.modulus,
        CreditRejected,
        "blind-rsa.blinded-message.range",
        where="blinded message",
        expected="a number below the modulus",
    )
    number %= public.modulus
    exponent = derive_exponent(public, metadata)
    signature = _private_operation(key, number, exponent)
    require(
        gmpy2.powmod(signature, exponent, public.modulus) == number,
        CreditRejected,
        "blind-rsa.signing.fault",
        where="blind signature",
        expected="a computation without faults",
    )
    return signature.to_bytes(public.length, "big")


def _private_operation(key: PrivateKey, number: int, exponent: int) -> int:
    """Return ``number`` raised to the inverse of ``exponent``, through both primes (RFC 8017 section 5.2.1).

    A fault in one of the two halves would give the primes away; the caller checks the result before it leaves.
    """
    p, q = key.p, key.q
    modulo_p = gmpy2.powmod_sec(number % p, gmpy2.invert(exponent, p - 1), p)
    modulo_q = gmpy2.powmod_sec(number % q, gmpy2.invert(exponent, q - 1), q)
    return int(modulo_q + (modulo_p - modulo_q) * gmpy2.invert(q, p) % p * q)


def finalize(state: BlindingState, blind_signature: bytes) -> bytes:
    """Return the signature that a blind signature contains. Requirements: PAY-052.

    Raises :class:`CreditRejected` with ``blind-rsa.blind-signature.length`` or ``blind-rsa.blind-signature.invalid``.
    """
    key = state.key
    require(
        len(blind_signature) == key.length,
        CreditRejected,
        "blind-rsa.blind-signature.length",
        where="blind signature",
        expected=f"{key.length} bytes, {len(blind_signature)} given",
    )
    signature = int.from_bytes(blind_signature, "big") * state.inverse % key.modulus
    require(
        gmpy2.powmod(signature, state.exponent, key.modulus) == int.from_bytes(state.encoded_message, "big"),
        CreditRejected,
        "blind-rsa.blind-signature.invalid",
        where="blind signature",
        expected="a signature of the blinded message under the value asked for",
    )
    return signature.to_bytes(key.length, "big")


@dataclass(frozen=True, slots=True)
class Verification:
    """What a verifier computes on the way to its verdict."""

    exponent: int
    framed_message: bytes
    encoded_message: bytes
    """Recovered from the signature."""


def verify(key: PublicKey, message: bytes, metadata: bytes, signature: bytes) -> Verification:
    """Verify a signature of ``message`` under ``metadata``.

    Requirements: PAY-043 to PAY-045, PAY-047, PAY-053, PAY-054. Raises :class:`CreditRejected` with
    ``blind-rsa.signature.length``, ``blind-rsa.signature.range`` or ``blind-rsa.signature.invalid``.
    """
    require(
        len(signature) == key.length,
        CreditRejected,
        "blind-rsa.signature.length",
        where="signature",
        expected=f"{key.length} bytes, {len(signature)} given",
    )
    number = int.from_bytes(signature, "big")
    require(
        number < key.modulus,
        CreditRejected,
        "blind-rsa.signature.range",
        where="signature",
        expected="a number below the modulus",
    )
    em_bits = key.bits - 1
    exponent = derive_exponent(key, metadata)
    recovered = int(gmpy2.powmod(number, exponent, key.modulus))
    framed = frame(message, metadata)
    encoded = recovered.to_bytes(key.length, "big")[-((em_bits + 7) // 8) :]
    require(
        recovered.bit_length() <= em_bits and pss.verify(framed, encoded, em_bits),
        CreditRejected,
        "blind-rsa.signature.invalid",
        where="signature",
        expected="a signature of this message under this metadata by this key",
    )
    return Verification(exponent, framed, encoded)
