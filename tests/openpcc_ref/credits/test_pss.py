"""PSS against an independent implementation, and against every kind of damage."""

from __future__ import annotations

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA384
from hypothesis import given, settings
from hypothesis import strategies as st

from openpcc_ref.credits import pss

KEYS = [rsa.generate_private_key(65537, bits) for bits in (1024, 1025, 1031, 2048)]


@pytest.mark.parametrize("key", KEYS, ids=lambda key: str(key.key_size))
@pytest.mark.parametrize("salt_length", [0, 1, 20, 48])
def test_what_openssl_signs_verifies(key: rsa.RSAPrivateKey, salt_length: int) -> None:
    public, bits = key.public_key().public_numbers(), key.key_size - 1
    for message in (b"", b"message", bytes(1000)):
        signature = key.sign(message, padding.PSS(padding.MGF1(SHA384()), salt_length), SHA384())
        encoded = pow(int.from_bytes(signature, "big"), public.e, public.n).to_bytes((bits + 7) // 8, "big")
        assert pss.verify(message, encoded, bits, salt_length)
        assert not pss.verify(message + b"\0", encoded, bits, salt_length)
        assert not pss.verify(message, encoded, bits, salt_length + 1)


@pytest.mark.parametrize("key", KEYS, ids=lambda key: str(key.key_size))
@pytest.mark.parametrize("salt_length", [0, 1, 48])
def test_what_is_encoded_verifies_with_openssl(key: rsa.RSAPrivateKey, salt_length: int) -> None:
    private = key.private_numbers()
    encoded = pss.encode(b"message", key.key_size - 1, b"s" * salt_length)
    signature = pow(int.from_bytes(encoded, "big"), private.d, private.public_numbers.n)
    scheme = padding.PSS(padding.MGF1(SHA384()), salt_length)
    octets = signature.to_bytes((key.key_size + 7) // 8, "big")
    key.public_key().verify(octets, b"message", scheme, SHA384())
    with pytest.raises(InvalidSignature):
        key.public_key().verify(octets, b"massage", scheme, SHA384())


@given(message=st.binary(max_size=64), salt=st.binary(min_size=48, max_size=48), bits=st.integers(777, 1100))
def test_a_message_verifies_at_any_length(message: bytes, salt: bytes, bits: int) -> None:
    encoded = pss.encode(message, bits, salt)
    assert len(encoded) == (bits + 7) // 8
    assert int.from_bytes(encoded, "big").bit_length() <= bits
    assert pss.verify(message, encoded, bits)


@pytest.mark.parametrize("bits", [1023, 1024, 1017])
def test_no_bit_of_an_encoded_message_can_be_changed(bits: int) -> None:
    encoded = pss.encode(b"message", bits, bytes(48))
    for position in range(8 * len(encoded)):
        changed = bytearray(encoded)
        changed[position // 8] ^= 1 << position % 8
        assert not pss.verify(b"message", bytes(changed), bits)


@settings(max_examples=200)
@given(encoded=st.binary(max_size=140))
def test_arbitrary_octets_do_not_verify(encoded: bytes) -> None:
    assert not pss.verify(b"message", encoded, 1023)


def test_every_truncation_and_extension_is_refused() -> None:
    encoded = pss.encode(b"message", 1023, bytes(48))
    for length in range(len(encoded)):
        assert not pss.verify(b"message", encoded[:length], 1023)
    assert not pss.verify(b"message", encoded + b"\xbc", 1023)
    assert not pss.verify(b"message", b"\0" + encoded, 1023)


@pytest.mark.parametrize("bits", [0, 8, 776])
def test_what_does_not_fit_is_not_encoded(bits: int) -> None:
    with pytest.raises(ValueError, match="too few"):
        pss.encode(b"", bits, bytes(48))
    assert not pss.verify(b"", bytes((bits + 7) // 8), bits)
