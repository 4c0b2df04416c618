"""The cases of ``vectors/blind_rsa.json``. Chapter: ``spec/credits.md``."""

from __future__ import annotations

from collections.abc import Iterator

import gmpy2

from conformance.vectors import blind_rsa_faults
from conformance.vectors.blind_rsa_faults import BLIND_STEPS, VERIFY_STEPS, blinding_of, modulus_of, primes_of
from conformance.vectors.case import Case
from conformance.vectors.coins import coins
from conformance.vectors.currency_keys import DEPLOYED_1024, DRAFT_2048, KEY_3072, KEY_4096
from conformance.vectors.making import accepted_by_deployed_code, answered, edited, flipped
from openpcc_ref.credits import PrivateKey

_KEYS = (DEPLOYED_1024, DRAFT_2048, KEY_3072, KEY_4096)
_SEVENTEEN, _MAXIMUM, _ATTESTATION = "0011", "02ff", "0100"

_EXPONENT = ("PAY-043",)
_BLINDING = ("PAY-043", "PAY-044", "PAY-045", "PAY-046")
_SIGNING = ("PAY-043", "PAY-050", "PAY-051")
_FINALIZING = ("PAY-052",)
_VERIFYING = ("PAY-043", "PAY-044", "PAY-045", "PAY-047")
_INVALID = "blind-rsa.signature.invalid"

_DEPLOYED_CODE_ACCEPTS = {
    "blind-rsa.primes.composite",
    "blind-rsa.primes.equal",
    "blind-rsa.coprime.three",
    "blind-rsa.verifiable.plus-modulus",
}


def cases() -> Iterator[Case]:
    """Yield every case that is not published elsewhere, every negative after its control."""
    for case in _all():
        yield accepted_by_deployed_code(case) if case.id in _DEPLOYED_CODE_ACCEPTS else case


def _all() -> Iterator[Case]:
    yield from _primes()
    yield from _moduli()
    for key in _KEYS:
        yield from _exponents(key)
        yield from _exchange(key, _SEVENTEEN)
    for metadata in (_MAXIMUM, _ATTESTATION, "", "00" * 300):
        yield from _exchange(DEPLOYED_1024, metadata)
    yield from blind_rsa_faults.cases()


def _primes() -> Iterator[Case]:
    name, value = "blind-rsa.check-primes", primes_of(DEPLOYED_1024)
    control = answered("blind-rsa.primes", "two safe primes", name, value, ("PAY-040",))
    yield control
    start = gmpy2.mpz(int.from_bytes(coins("blind-rsa.primes", "start", 64), "big") | 3 << 510)
    prime = gmpy2.next_prime(start)
    half = gmpy2.next_prime(start >> 1)
    while gmpy2.is_prime(2 * half + 1):
        half = gmpy2.next_prime(half)
    for fault, comment, q in (
        ("ordinary-prime", "a prime whose half is composite", int(prime)),
        ("composite", "a composite number whose half is prime", int(2 * half + 1)),
        ("half", "the prime that makes q safe in place of q", DEPLOYED_1024.q // 2),
        ("even", "an even number", DEPLOYED_1024.q - 1),
    ):
        yield edited(control, fault, comment, "blind-rsa.key.unsafe-prime", q=f"{q:0128x}")
    yield edited(control, "equal", "one prime twice", "blind-rsa.key.equal-primes", q=value["p"])


def _moduli() -> Iterator[Case]:
    name = "blind-rsa.check-modulus"
    value = {**modulus_of(DRAFT_2048), "test_key": False}
    control = answered("blind-rsa.modulus.2048", "2048 bits", name, value, ("PAY-041", "PAY-042"))
    yield control
    value = {**modulus_of(KEY_4096), "test_key": False}
    yield answered("blind-rsa.modulus.4096", "4096 bits", name, value, ("PAY-041",))
    value = {**modulus_of(DEPLOYED_1024), "test_key": True}
    tested = answered("blind-rsa.modulus.1024", "1024 bits in a test", name, value, ("PAY-041",))
    yield tested
    error, requirement = "blind-rsa.key.test-only", ("PAY-042",)
    yield edited(tested, "money", "1024 bits outside a test", error, requirement, test_key=False)
    short = (1 << 2046) + int.from_bytes(coins("blind-rsa.modulus", "2047 bits", 255), "big") | 1
    long = (1 << 2048) + int.from_bytes(coins("blind-rsa.modulus", "2049 bits", 256), "big") | 1
    for fault, comment, octets in (
        ("2047", "2047 bits: the product of two primes may fall short", f"{short:0512x}"),
        ("2049", "2049 bits", f"{long:0514x}"),
        ("3072", "3072 bits: not a power of two", modulus_of(KEY_3072)["modulus"]),
        ("512", "512 bits", f"{DEPLOYED_1024.p:0128x}"),
    ):
        yield edited(control, fault, comment, "blind-rsa.key.length", ("PAY-041",), modulus=octets)


def _exponents(key: PrivateKey) -> Iterator[Case]:
    for name, metadata in (
        ("zero", "0000"),
        ("seventeen", _SEVENTEEN),
        ("largest", _MAXIMUM),
        ("attestation", _ATTESTATION),
        ("empty", ""),
        ("three-bytes", "001100"),
    ):
        value = {**modulus_of(key), "metadata": metadata}
        case_id, comment = f"blind-rsa.exponent.{key.public_key.bits}.{name}", f"metadata {metadata or 'of no bytes'}"
        yield answered(case_id, comment, "blind-rsa.derive-exponent", value, _EXPONENT)


def _exchange(key: PrivateKey, metadata: str) -> Iterator[Case]:
    """One signature from blinding to verification, each step a case of its own."""
    bits = key.public_key.bits
    name = f"{bits}.{metadata if 0 < len(metadata) <= 4 else len(metadata) // 2}"
    comment = f"{bits} bits, metadata of {len(metadata) // 2} bytes"
    value = blinding_of(key, f"blind-rsa.{name}", metadata)
    blinded = answered(f"blind-rsa.blind.{name}", comment, "blind-rsa.blind", value, _BLINDING, steps=BLIND_STEPS)
    yield blinded
    assert blinded.expected is not None
    signing = {**primes_of(key), "metadata": metadata, **blinded.expected}
    signed = answered(f"blind-rsa.blind-sign.{name}", comment, "blind-rsa.blind-sign", signing, _SIGNING)
    yield signed
    assert signed.expected is not None
    final = {**value, **signed.expected}
    finalized = answered(f"blind-rsa.finalize.{name}", comment, "blind-rsa.finalize", final, _FINALIZING)
    yield finalized
    assert finalized.expected is not None
    verifying = {**modulus_of(key), "message": value["message"], "metadata": metadata, **finalized.expected}
    control = answered(
        f"blind-rsa.verify.{name}", comment, "blind-rsa.verify", verifying, _VERIFYING, steps=VERIFY_STEPS
    )
    yield control
    yield edited(control, "flipped", "a bit of the signature", _INVALID, signature=flipped(verifying["signature"], -1))
    yield edited(control, "other-message", "a bit of the message", _INVALID, message=flipped(value["message"], 0))
    yield edited(control, "longer-metadata", "a zero byte more", _INVALID, metadata=metadata + "00")
