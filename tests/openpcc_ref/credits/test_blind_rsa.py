"""Partially blind RSA: published exchanges, round trips, and every way in which a signature fails."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA384
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance.vectors import files
from conformance.vectors.coins import coin_source, coins
from conformance.vectors.currency_keys import DEPLOYED_1024, DRAFT_2048, KEY_3072, OTHER_2048
from openpcc_ref.credits import CreditRejected, PrivateKey, PublicKey, blind_rsa, generate_private_key
from openpcc_ref.errors import without_check
from openpcc_ref.sources import system_random

KEY = DEPLOYED_1024
PUBLIC = KEY.public_key
INVALID = r"blind-rsa\.signature\.invalid"

octets = st.binary(max_size=64)


def signed(key: PrivateKey, message: bytes, metadata: bytes, salt: bytes = blind_rsa.ZERO_SALT) -> bytes:
    """Return a signature that was made blind."""
    factor = blind_rsa.draw_blinding_factor(key.public_key, system_random)
    state = blind_rsa.blind(key.public_key, message, metadata, blinding_factor=factor, salt=salt)
    return blind_rsa.finalize(state, blind_rsa.blind_sign(key, state.blinded_message, metadata))


def test_the_draft_s_exchanges_step_by_step() -> None:
    """The four published vectors, through the functions themselves."""
    cases = {case.id: case for case in files.load("blind_rsa") if case.source}
    assert len(cases) == 20
    for number in "1234":
        case = cases[f"blind-rsa.published.{number}.finalize"]
        message, metadata, salt = (bytes.fromhex(case.input[name]) for name in ("message", "metadata", "salt"))
        factor = int(case.input["blinding_factor"], 16)
        state = blind_rsa.blind(DRAFT_2048.public_key, message, metadata, blinding_factor=factor, salt=salt)
        exponent = cases[f"blind-rsa.published.{number}.exponent"].expected
        assert exponent is not None
        assert state.exponent == int(exponent["exponent"], 16)
        blind_signature = blind_rsa.blind_sign(DRAFT_2048, state.blinded_message, metadata)
        assert blind_signature.hex() == case.input["blind_signature"]
        assert case.expected is not None
        signature = blind_rsa.finalize(state, blind_signature)
        assert signature.hex() == case.expected["signature"]
        blind_rsa.verify(DRAFT_2048.public_key, message, metadata, signature)


@settings(max_examples=50)
@given(message=octets, metadata=octets)
def test_what_is_signed_blind_verifies(message: bytes, metadata: bytes) -> None:
    signature = signed(KEY, message, metadata)
    verification = blind_rsa.verify(PUBLIC, message, metadata, signature)
    assert verification.exponent == blind_rsa.derive_exponent(PUBLIC, metadata)
    for other in (message + b"\0", b"\0" + message, message[:-1] + bytes([message[-1] ^ 1]) if message else b"x"):
        with pytest.raises(CreditRejected, match=INVALID):
            blind_rsa.verify(PUBLIC, other, metadata, signature)
        with pytest.raises(CreditRejected, match=INVALID):
            blind_rsa.verify(PUBLIC, message, other + metadata + b"\1", signature)


def test_metadata_and_message_cannot_trade_bytes() -> None:
    """The exponent would be another one, and so would be the framed message."""
    signature = signed(KEY, b"message", b"metadata")
    for message, metadata in ((b"amessage", b"metadat"), (b"essage", b"metadatam"), (b"metadata", b"message")):
        with pytest.raises(CreditRejected, match=INVALID):
            blind_rsa.verify(PUBLIC, message, metadata, signature)


@settings(max_examples=100)
@given(metadata=st.binary(max_size=300))
def test_every_exponent_is_odd_short_and_invertible(metadata: bytes) -> None:
    for key in (DEPLOYED_1024, DRAFT_2048):
        exponent = blind_rsa.derive_exponent(key.public_key, metadata)
        assert exponent % 2 == 1
        assert exponent.bit_length() <= key.public_key.bits // 2 - 2
        assert exponent < min(key.p, key.q) // 2
        assert exponent == blind_rsa.derive_exponent_by_bytes(key.public_key, metadata)


@pytest.mark.parametrize("bits", [1008, 1016, 1022, 1023, 1024, 1040, 2047, 3072])
def test_exponents_by_bits_and_by_bytes_agree_at_multiples_of_sixteen(bits: int) -> None:
    key = PublicKey((1 << bits) - 1)
    same = blind_rsa.derive_exponent(key, b"m") == blind_rsa.derive_exponent_by_bytes(key, b"m")
    assert same is (bits % 16 == 0)


def test_openssl_verifies_the_signature_up_to_3072_bits() -> None:
    """An independent verifier, given the derived exponent as if it were an ordinary key's."""
    for key in (DEPLOYED_1024, DRAFT_2048, KEY_3072):
        signature = signed(key, b"message", b"\0\x11")
        exponent = blind_rsa.derive_exponent(key.public_key, b"\0\x11")
        verifier = rsa.RSAPublicNumbers(exponent, key.public_key.modulus).public_key()
        scheme = padding.PSS(padding.MGF1(SHA384()), 48)
        verifier.verify(signature, blind_rsa.frame(b"message", b"\0\x11"), scheme, SHA384())
        with pytest.raises(InvalidSignature):
            verifier.verify(signature, blind_rsa.frame(b"massage", b"\0\x11"), scheme, SHA384())


@given(message=st.integers(0, PUBLIC.modulus - 1), metadata=st.binary(max_size=4))
@settings(max_examples=50)
def test_signing_through_both_primes_is_signing_with_the_private_exponent(message: int, metadata: bytes) -> None:
    exponent = pow(blind_rsa.derive_exponent(PUBLIC, metadata), -1, (KEY.p - 1) * (KEY.q - 1))
    blinded = message.to_bytes(PUBLIC.length, "big")
    expected = pow(message, exponent, PUBLIC.modulus).to_bytes(PUBLIC.length, "big")
    assert blind_rsa.blind_sign(KEY, blinded, metadata) == expected


def test_multiples_of_a_prime_are_signed_too() -> None:
    """Nobody blinds to such a number without knowing the key; the arithmetic holds all the same."""
    for number in (0, 1, KEY.p, KEY.q, 5 * KEY.p, PUBLIC.modulus - 1):
        signature = blind_rsa.blind_sign(KEY, number.to_bytes(PUBLIC.length, "big"), b"")
        exponent = blind_rsa.derive_exponent(PUBLIC, b"")
        assert pow(int.from_bytes(signature, "big"), exponent, PUBLIC.modulus) == number


def test_any_salt_of_48_bytes_verifies_and_zero_bytes_are_the_default() -> None:
    for salt in (bytes(48), b"\xff" * 48, coins("salt", "salt", 48)):
        blind_rsa.verify(PUBLIC, b"message", b"\0\1", signed(KEY, b"message", b"\0\1", salt))
    for length in (0, 20, 47, 49):
        with pytest.raises(CreditRejected, match=INVALID):
            blind_rsa.verify(PUBLIC, b"message", b"\0\1", signed(KEY, b"message", b"\0\1", bytes(length)))
    assert signed(KEY, b"message", b"\0\1") == signed(KEY, b"message", b"\0\1", bytes(48))


def test_no_byte_of_a_signature_can_be_changed() -> None:
    signature = signed(KEY, b"message", b"\0\1")
    for position in range(len(signature)):
        changed = bytearray(signature)
        changed[position] ^= 0x40
        with pytest.raises(CreditRejected, match=r"blind-rsa\.signature\.(invalid|range)"):
            blind_rsa.verify(PUBLIC, b"message", b"\0\1", bytes(changed))


@given(signature=st.binary(max_size=300))
def test_arbitrary_octets_are_no_signature(signature: bytes) -> None:
    with pytest.raises(CreditRejected, match=r"blind-rsa\.signature\."):
        blind_rsa.verify(PUBLIC, b"message", b"\0\1", signature)


@given(signature=st.binary(min_size=128, max_size=128))
def test_arbitrary_octets_of_the_right_length_are_no_signature(signature: bytes) -> None:
    with pytest.raises(CreditRejected, match=r"blind-rsa\.signature\.(invalid|range)"):
        blind_rsa.verify(PUBLIC, b"message", b"\0\1", signature)
    factor = blind_rsa.draw_blinding_factor(PUBLIC, system_random)
    state = blind_rsa.blind(PUBLIC, b"message", b"\0\1", blinding_factor=factor)
    with pytest.raises(CreditRejected, match=r"blind-rsa\.blind-signature\.invalid"):
        blind_rsa.finalize(state, signature)


@given(blinded=st.binary(max_size=300))
def test_arbitrary_octets_are_signed_or_refused_in_one_way(blinded: bytes) -> None:
    try:
        assert len(blind_rsa.blind_sign(KEY, blinded, b"\0\1")) == 128
    except CreditRejected as rejected:
        assert rejected.code.startswith("blind-rsa.blinded-message.")  # noqa: PT017 - either outcome is fine


@pytest.mark.parametrize("length", [0, 127, 129, 256, 1 << 16])
def test_other_lengths_are_refused(length: int) -> None:
    data = bytes(length)
    state = blind_rsa.blind(PUBLIC, b"message", b"\0\1", blinding_factor=2)
    with pytest.raises(CreditRejected, match=rf"blinded-message\.length .* 128 bytes, {length} given"):
        blind_rsa.blind_sign(KEY, data, b"\0\1")
    with pytest.raises(CreditRejected, match=rf"blind-signature\.length .* 128 bytes, {length} given"):
        blind_rsa.finalize(state, data)
    with pytest.raises(CreditRejected, match=rf"signature\.length .* 128 bytes, {length} given"):
        blind_rsa.verify(PUBLIC, b"message", b"\0\1", data)


@pytest.mark.parametrize("number", [PUBLIC.modulus, PUBLIC.modulus + 1, (1 << 1024) - 1])
def test_numbers_from_the_modulus_on_are_refused(number: int) -> None:
    data = number.to_bytes(128, "big")
    with pytest.raises(CreditRejected, match=r"blinded-message\.range"):
        blind_rsa.blind_sign(KEY, data, b"\0\1")
    with pytest.raises(CreditRejected, match=r"signature\.range"):
        blind_rsa.verify(PUBLIC, b"message", b"\0\1", data)


def test_a_signature_plus_the_modulus_is_the_same_number_and_refused() -> None:
    for attempt in range(100):
        message = coins("plus modulus", str(attempt), 24)
        number = int.from_bytes(signed(KEY, message, b"\0\1"), "big") + PUBLIC.modulus
        if number < 1 << 1024:
            break
    with pytest.raises(CreditRejected, match=r"signature\.range"):
        blind_rsa.verify(PUBLIC, message, b"\0\1", number.to_bytes(128, "big"))
    with without_check("blind-rsa.signature.range"):
        blind_rsa.verify(PUBLIC, message, b"\0\1", number.to_bytes(128, "big"))


def test_a_signature_belongs_to_one_blinding_one_value_and_one_key() -> None:
    one, two = (blind_rsa.blind(PUBLIC, message, b"\0\1", blinding_factor=3) for message in (b"one", b"two"))
    signature = blind_rsa.blind_sign(KEY, one.blinded_message, b"\0\1")
    other_value = blind_rsa.blind_sign(KEY, one.blinded_message, b"\0\2")
    for state, blind_signature in ((two, signature), (one, other_value)):
        with pytest.raises(CreditRejected, match=r"blind-signature\.invalid"):
            blind_rsa.finalize(state, blind_signature)
    blind_rsa.finalize(one, signature)
    with pytest.raises(CreditRejected, match=r"blind-rsa\.signature\.(invalid|range)"):
        blind_rsa.verify(OTHER_2048.public_key, b"m", b"\0\1", signed(DRAFT_2048, b"m", b"\0\1"))


def test_a_fault_while_signing_never_leaves_the_signer() -> None:
    """A key whose second number is no prime computes nonsense in one half; the check is what keeps it in."""
    broken = replace(KEY, q=KEY.q + 2)
    with pytest.raises(CreditRejected, match=r"blind-rsa\.signing\.fault"):
        blind_rsa.blind_sign(broken, (12345).to_bytes(128, "big"), b"\0\1")


@pytest.mark.parametrize("factor", [0, -1, PUBLIC.modulus, PUBLIC.modulus + 1, KEY.p, 2 * KEY.q])
def test_a_blinding_factor_without_inverse_is_not_used(factor: int) -> None:
    with pytest.raises(ValueError, match="coprime"):
        blind_rsa.blind(PUBLIC, b"message", b"\0\1", blinding_factor=factor)


def test_blinding_factors_are_uniform_and_below_the_modulus() -> None:
    toy = generate_private_key(32, random=coin_source("toy", "primes"))
    public = PublicKey(toy.p * toy.q)
    source = coin_source("uniform", "factors")
    drawn = [blind_rsa.draw_blinding_factor(public, source) for _ in range(4000)]
    assert all(0 < factor < public.modulus for factor in drawn)
    quarters = Counter(4 * factor // public.modulus for factor in drawn)
    assert set(quarters) == {0, 1, 2, 3}
    assert max(quarters.values()) - min(quarters.values()) < 200


def test_zero_multiples_of_primes_and_large_numbers_are_drawn_again() -> None:
    numbers = [0, PUBLIC.modulus, (1 << 1024) - 1, KEY.p, 7]
    draws = iter(number.to_bytes(128, "big") for number in numbers)
    assert blind_rsa.draw_blinding_factor(PUBLIC, lambda length: next(draws)) == 7


def test_a_blinded_message_says_nothing_about_the_message() -> None:
    """Whatever was blinded, for each message there is a factor that gives the same blinded message."""
    state = blind_rsa.blind(PUBLIC, b"one", b"\0\1", blinding_factor=12345)
    other = blind_rsa.blind(PUBLIC, b"two", b"\0\1", blinding_factor=2)
    private_exponent = pow(state.exponent, -1, (KEY.p - 1) * (KEY.q - 1))
    quotient = int.from_bytes(state.blinded_message, "big") * pow(
        int.from_bytes(other.encoded_message, "big"), -1, PUBLIC.modulus
    )
    factor = pow(quotient, private_exponent, PUBLIC.modulus)
    again = blind_rsa.blind(PUBLIC, b"two", b"\0\1", blinding_factor=factor)
    assert again.blinded_message == state.blinded_message


def test_a_blinding_state_never_shows_its_inverse() -> None:
    state = blind_rsa.blind(PUBLIC, b"one", b"\0\1", blinding_factor=12345)
    assert str(state.inverse) not in repr(state)
