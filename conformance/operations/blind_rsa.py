"""Partially blind RSA as operations. Chapter: ``spec/credits.md``.

Numbers are octets, big-endian: ``modulus``, blinded message and signatures as long as the modulus, primes and derived
exponents half as long.
"""

from __future__ import annotations

from conformance.operations import operation
from conformance.vectors.case import Json
from openpcc_ref.credits import PrivateKey, PublicKey, blind_rsa, rsa_keys
from openpcc_ref.credits.blind_rsa import BlindingState


@operation("blind-rsa.check-primes")
def check_primes(value: Json) -> Json:
    """Accept two distinct safe primes as private key."""
    key = rsa_keys.private_key(_number(value["p"]), _number(value["q"])).public_key
    return {"modulus": _octets(key.modulus, key.length)}


@operation("blind-rsa.check-modulus")
def check_modulus(value: Json) -> Json:
    """Accept a modulus of a length that a currency key may have; 1024 bits if ``test_key`` says so."""
    key = _public_key(value)
    rsa_keys.require_currency_key(key, allow_test_key=value["test_key"])
    return {"bits": key.bits}


@operation("blind-rsa.derive-exponent")
def derive_exponent(value: Json) -> Json:
    """Derive the public exponent of the metadata."""
    key = _public_key(value)
    return {"exponent": _exponent(key, blind_rsa.derive_exponent(key, bytes.fromhex(value["metadata"])))}


@operation("blind-rsa.blind")
def blind(value: Json) -> Json:
    """Blind a message with a given blinding factor."""
    state = _blinded(value)
    return {
        "exponent": _exponent(state.key, state.exponent),
        "framed_message": state.framed_message.hex(),
        "encoded_message": state.encoded_message.hex(),
        "inverse": _octets(state.inverse, state.key.length),
        "blinded_message": state.blinded_message.hex(),
    }


@operation("blind-rsa.blind-sign")
def blind_sign(value: Json) -> Json:
    """Sign a blinded message."""
    key, metadata = PrivateKey(_number(value["p"]), _number(value["q"])), bytes.fromhex(value["metadata"])
    signature = blind_rsa.blind_sign(key, bytes.fromhex(value["blinded_message"]), metadata)
    return {"blind_signature": signature.hex()}


@operation("blind-rsa.finalize")
def finalize(value: Json) -> Json:
    """Blind the message as before, then unblind the blind signature."""
    return {"signature": blind_rsa.finalize(_blinded(value), bytes.fromhex(value["blind_signature"])).hex()}


@operation("blind-rsa.verify")
def verify(value: Json) -> Json:
    """Verify a signature."""
    key = _public_key(value)
    message, metadata = bytes.fromhex(value["message"]), bytes.fromhex(value["metadata"])
    verification = blind_rsa.verify(key, message, metadata, bytes.fromhex(value["signature"]))
    return {
        "exponent": _exponent(key, verification.exponent),
        "framed_message": verification.framed_message.hex(),
        "encoded_message": verification.encoded_message.hex(),
        "valid": True,
    }


def _blinded(value: Json) -> BlindingState:
    return blind_rsa.blind(
        _public_key(value),
        bytes.fromhex(value["message"]),
        bytes.fromhex(value["metadata"]),
        blinding_factor=_number(value["blinding_factor"]),
        salt=bytes.fromhex(value["salt"]),
    )


def _public_key(value: Json) -> PublicKey:
    return PublicKey(_number(value["modulus"]))


def _exponent(key: PublicKey, exponent: int) -> str:
    return _octets(exponent, key.length // 2)


def _number(octets: str) -> int:
    return int(octets, 16)


def _octets(number: int, length: int) -> str:
    return number.to_bytes(length, "big").hex()
