"""Currency keys: safe primes, lengths, generation."""

from __future__ import annotations

import gmpy2
import pytest

from conformance.vectors.coins import coin_source
from conformance.vectors.currency_keys import DEPLOYED_1024, DRAFT_2048, KEY_3072, KEY_4096, OTHER_2048
from openpcc_ref.credits import CreditRejected, Issuer, Payee, PrivateKey, PublicKey, generate_private_key, private_key
from openpcc_ref.credits.rsa_keys import is_safe_prime, require_currency_key, require_safe_primes
from openpcc_ref.sources import system_clock, system_random

KEYS = {1024: DEPLOYED_1024, 2048: DRAFT_2048, 3072: KEY_3072, 4096: KEY_4096}


@pytest.mark.parametrize("bits", KEYS)
def test_the_keys_of_vectors_and_tests_are_what_they_claim(bits: int) -> None:
    key = KEYS[bits]
    assert private_key(key.p, key.q) == key
    assert key.public_key.bits == bits
    assert key.public_key.length == bits // 8


def test_safe_primes_of_three_digits() -> None:
    assert [n for n in range(300) if is_safe_prime(n)] == [5, 7, 11, 23, 47, 59, 83, 107, 167, 179, 227, 263]
    assert not is_safe_prime(-7)


@pytest.mark.parametrize("bits", [32, 40, 64, 128, 256])
def test_a_generated_key_has_exactly_the_length_asked_for(bits: int) -> None:
    for attempt in range(5):
        key = generate_private_key(bits, random=coin_source(f"generate {bits}", str(attempt)))
        require_safe_primes(key)
        assert key.public_key.bits == bits
        assert key.p.bit_length() == key.q.bit_length() == bits // 2


def test_generation_depends_on_nothing_but_its_randomness() -> None:
    one, two, three = (generate_private_key(128, random=coin_source("generate", name)) for name in ("a", "a", "b"))
    assert one == two != three


@pytest.mark.parametrize("bits", [0, 30, 33, 2047])
def test_odd_and_tiny_lengths_are_not_generated(bits: int) -> None:
    with pytest.raises(ValueError, match="even number of bits"):
        generate_private_key(bits, random=system_random)


@pytest.mark.parametrize("number", [0, 1, 2, 3, 15, 2**61 - 1, DRAFT_2048.p - 1, DRAFT_2048.p // 2, DRAFT_2048.p * 3])
def test_other_numbers_make_no_key(number: int) -> None:
    for p, q, where in ((number, DRAFT_2048.q, "p"), (DRAFT_2048.q, number, "q")):
        with pytest.raises(CreditRejected, match=rf"blind-rsa\.key\.unsafe-prime at {where}"):
            private_key(p, q)


def test_one_prime_twice_makes_no_key() -> None:
    with pytest.raises(CreditRejected, match=r"blind-rsa\.key\.equal-primes"):
        private_key(DRAFT_2048.p, DRAFT_2048.p)


def test_an_issuer_does_not_start_with_ordinary_primes() -> None:
    ordinary = PrivateKey(DRAFT_2048.p, int(gmpy2.next_prime(DRAFT_2048.q)))
    assert ordinary.public_key.bits == 2048
    with pytest.raises(CreditRejected, match=r"blind-rsa\.key\.unsafe-prime at q"):
        Issuer(ordinary, random=system_random, clock=system_clock)


def test_money_needs_2048_or_4096_bits_and_tests_may_do_with_1024() -> None:
    for key in (DRAFT_2048, OTHER_2048, KEY_4096):
        require_currency_key(key.public_key, allow_test_key=False)
    require_currency_key(DEPLOYED_1024.public_key, allow_test_key=True)
    with pytest.raises(CreditRejected, match=r"blind-rsa\.key\.test-only"):
        require_currency_key(DEPLOYED_1024.public_key, allow_test_key=False)
    for modulus in (1, 1 << 1022, 1 << 2046, 1 << 2048, KEY_3072.public_key.modulus, 1 << 8191):
        with pytest.raises(CreditRejected, match=r"blind-rsa\.key\.length"):
            require_currency_key(PublicKey(modulus), allow_test_key=True)


def test_neither_issuer_nor_payee_takes_the_test_key_for_money() -> None:
    with pytest.raises(CreditRejected, match=r"blind-rsa\.key\.test-only"):
        Issuer(DEPLOYED_1024, random=system_random, clock=system_clock)
    with pytest.raises(CreditRejected, match=r"blind-rsa\.key\.test-only"):
        Payee(DEPLOYED_1024.public_key, random=system_random, clock=system_clock)


def test_a_private_key_never_shows_its_primes() -> None:
    assert str(DRAFT_2048.p)[:20] not in repr(DRAFT_2048)
    assert repr(DRAFT_2048) == "PrivateKey()"
