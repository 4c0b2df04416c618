"""Nonces as operations. Chapter: ``spec/credits.md``. Moments and timestamps are Unix seconds."""

from __future__ import annotations

from conformance.operations import operation
from conformance.vectors.case import Json
from openpcc_ref.credits import Expiry, Nonce, nonce


@operation("nonce.choose-timestamp")
def choose_timestamp(value: Json) -> Json:
    """Choose the timestamp of a credit made ``now``, and say from when the credit may be shown."""
    stamp = nonce.choose_stamp(value["now"], float(value["factor"]))
    return {"timestamp": stamp.timestamp, "usable_from": stamp.usable_from}


@operation("nonce.encode")
def encode(value: Json) -> Json:
    """Encode a nonce as it is signed and as it is sent."""
    encoded = Nonce(value["timestamp"], bytes.fromhex(value["random"]))
    return {"blind_bytes": encoded.blind_bytes.hex(), "message": nonce.encode_nonce(encoded).hex()}


@operation("nonce.decode")
def decode(value: Json) -> Json:
    """Decode a serialized ``Nonce``."""
    decoded = nonce.decode_nonce(bytes.fromhex(value["message"]))
    return {
        "timestamp": decoded.timestamp,
        "random": decoded.random.hex(),
        "blind_bytes": decoded.blind_bytes.hex(),
    }


@operation("nonce.check-expiry")
def check_expiry(value: Json) -> Json:
    """Accept a timestamp at a moment, by the ``deployed`` or the ``intended`` reading of the lifespan."""
    expiry = Expiry(value["reading"])
    oldest, newest = nonce.accepted_stamps(value["now"], expiry)
    nonce.require_unexpired(Nonce(value["timestamp"], bytes(nonce.RANDOM_LENGTH)), value["now"], expiry)
    return {"oldest": oldest, "newest": newest}
