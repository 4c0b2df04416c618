"""Credits as operations. Chapter: ``spec/credits.md``. A ``value`` is the two bytes of a currency value."""

from __future__ import annotations

from conformance.operations import operation
from conformance.vectors.case import Json
from openpcc_ref.credits import Credit, Nonce, PrivateKey, PublicKey, blind_rsa, credit, currency


@operation("credit.make")
def make(value: Json) -> Json:
    """Blind, sign and finalize a credit: the parts of client and issuer in one."""
    key = PrivateKey(int(value["p"], 16), int(value["q"], 16))
    worth = currency.decode_blind_bytes(bytes.fromhex(value["value"]))
    nonce = Nonce(value["timestamp"], bytes.fromhex(value["random"]))
    factor = int(value["blinding_factor"], 16)
    state = blind_rsa.blind(key.public_key, nonce.blind_bytes, worth.blind_bytes, blinding_factor=factor)
    blind_signature = blind_rsa.blind_sign(key, state.blinded_message, worth.blind_bytes)
    made = Credit(worth, nonce, blind_rsa.finalize(state, blind_signature))
    return {
        "framed_message": state.framed_message.hex(),
        "encoded_message": state.encoded_message.hex(),
        "blinded_message": state.blinded_message.hex(),
        "blind_signature": blind_signature.hex(),
        "signature": made.signature.hex(),
        "message": credit.encode_credit(made).hex(),
        "text": credit.encode_text(made),
    }


@operation("credit.decode-message")
def decode_message(value: Json) -> Json:
    """Decode a serialized ``Credit``, without verifying it."""
    return _described(credit.decode_credit(Credit, bytes.fromhex(value["message"])))


@operation("credit.decode-text")
def decode_text(value: Json) -> Json:
    """Decode the text form of a credit, without verifying it."""
    return _described(credit.decode_text(Credit, value["text"]))


@operation("credit.verify")
def verify(value: Json) -> Json:
    """Decode a serialized ``Credit`` and verify its signature."""
    decoded = credit.decode_credit(Credit, bytes.fromhex(value["message"]))
    credit.verify_credit(PublicKey(int(value["modulus"], 16)), decoded)
    return _described(decoded)


def _described(decoded: Credit) -> Json:
    return {
        "value": decoded.value.blind_bytes.hex(),
        "timestamp": decoded.nonce.timestamp,
        "random": decoded.nonce.random.hex(),
        "signature": decoded.signature.hex(),
    }
