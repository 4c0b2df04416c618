"""Badges as operations. Chapter: ``spec/badges.md``."""

from __future__ import annotations

from conformance.operations import operation
from conformance.vectors.case import Json
from openpcc_ref import badges


@operation("badge.encode-models")
def encode_models(value: Json) -> Json:
    """Encode a list of model names, in whatever order it is given."""
    return {"models": badges.encode_models(value["names"]).hex()}


@operation("badge.decode-models")
def decode_models(value: Json) -> Json:
    """Decode the list of model names."""
    return {"names": list(badges.decode_models(bytes.fromhex(value["models"])))}


@operation("badge.sign")
def sign(value: Json) -> Json:
    """Sign a badge with an Ed25519 seed and return the value of the field that carries it."""
    badge = badges.sign_badge(value["names"], bytes.fromhex(value["secret_key"]))
    signed = badges.signed_bytes(badge.models)
    return {"signed": signed.hex(), "signature": badge.signature.hex(), "text": badges.encode_text(badge)}


@operation("badge.verify")
def verify(value: Json) -> Json:
    """Decode a badge, verify its signature, and look for the model in it."""
    badge = badges.decode_text(value["text"])
    badges.require_signature(badge, bytes.fromhex(value["public_key"]))
    badges.require_model(badge, value["model"])
    return {"names": list(badge.models)}
