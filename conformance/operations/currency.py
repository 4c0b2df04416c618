"""Currency values as operations. Chapter: ``spec/credits.md``.

Amounts are integers; what is rounded, and the factor it is rounded with, are IEEE 754 doubles.
"""

from __future__ import annotations

from conformance.operations import operation
from conformance.vectors.case import Json
from openpcc_ref.credits import CurrencyValue, currency, issuer


@operation("currency.encode-amount")
def encode_amount(value: Json) -> Json:
    """Encode an amount that has a value, in all forms."""
    encoded = currency.exact(value["amount"])
    return {
        "code": encoded.code,
        "blind_bytes": encoded.blind_bytes.hex(),
        "message": currency.encode_value(encoded).hex(),
        "text": currency.encode_text(encoded),
    }


@operation("currency.decode-blind-bytes")
def decode_blind_bytes(value: Json) -> Json:
    """Decode the two bytes."""
    return _described(currency.decode_blind_bytes(bytes.fromhex(value["blind_bytes"])))


@operation("currency.decode-message")
def decode_message(value: Json) -> Json:
    """Decode a serialized ``Currency``."""
    return _described(currency.decode_value(bytes.fromhex(value["message"])))


@operation("currency.decode-text")
def decode_text(value: Json) -> Json:
    """Decode the text form."""
    return _described(currency.decode_text(value["text"]))


@operation("currency.read-amount")
def read_amount(value: Json) -> Json:
    """Read the amount of a value."""
    return {"amount": currency.decode_blind_bytes(bytes.fromhex(value["blind_bytes"])).amount}


@operation("currency.round")
def round_amount(value: Json) -> Json:
    """Round to a neighbour that has a value, with a given factor."""
    amount, factor = float(value["amount"]), float(value["factor"])
    found = currency.neighbours(amount)
    rounded = currency.round_stochastically(amount, factor)
    return {
        "lower": found.lower,
        "upper": found.upper,
        "lower_probability": found.lower_probability,
        "amount": rounded.amount,
        "blind_bytes": rounded.blind_bytes.hex(),
    }


@operation("currency.require-amount")
def require_amount(value: Json) -> Json:
    """Accept a value that can be booked: an amount above zero."""
    decoded = currency.decode_blind_bytes(bytes.fromhex(value["blind_bytes"]))
    return {"amount": issuer.require_positive_amount(decoded)}


@operation("currency.require-attestation")
def require_attestation(value: Json) -> Json:
    """Accept the value of an attestation token and no other."""
    decoded = currency.decode_blind_bytes(bytes.fromhex(value["blind_bytes"]))
    issuer.require_attestation(decoded)
    return {"special": decoded.special}


def _described(value: CurrencyValue) -> Json:
    return {"blind_bytes": value.blind_bytes.hex(), "code": value.code, "special": value.special}
