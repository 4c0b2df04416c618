"""Operations of HPKE: key pairs, encapsulation, whole contexts. Chapter: ``spec/hpke.md``.

Messages are lists of objects, sealed and opened in order from sequence number 0.
"""

from __future__ import annotations

from typing import Any

from conformance.operations import operation
from openpcc_ref.hpke import (
    AeadId,
    KdfId,
    KemId,
    RecipientContext,
    SenderContext,
    Suite,
    kem,
    nonce_at,
    setup_base_recipient,
    setup_base_sender,
)
from openpcc_ref.sources import RandomSource

Json = dict[str, Any]


def given(octets: str) -> RandomSource:
    """Return a source that yields exactly these bytes, once. Raises ValueError for a draw of another length."""
    randomness = bytes.fromhex(octets)

    def draw(length: int) -> bytes:
        if length != len(randomness):
            raise ValueError(f"{length} random bytes are drawn, {len(randomness)} are given")
        return randomness

    return draw


@operation("hpke.derive-key-pair")
def derive_key_pair(value: Json) -> Json:
    """Derive the key pair that follows from input keying material."""
    pair = kem(KemId(value["kem_id"])).derive_key_pair(bytes.fromhex(value["ikm"]))
    return {"secret_key": pair.secret_key.hex(), "public_key": pair.public_key.hex()}


@operation("hpke.encapsulate")
def encapsulate(value: Json) -> Json:
    """Encapsulate to a public key; ``randomness`` is the keying material of the ephemeral key."""
    mechanism = kem(KemId(value["kem_id"]))
    shared_secret, enc = mechanism.encapsulate(bytes.fromhex(value["public_key"]), given(value["randomness"]))
    return {"shared_secret": shared_secret.hex(), "enc": enc.hex()}


@operation("hpke.decapsulate")
def decapsulate(value: Json) -> Json:
    """Return the shared secret of an encapsulation."""
    mechanism = kem(KemId(value["kem_id"]))
    shared_secret = mechanism.decapsulate(bytes.fromhex(value["enc"]), bytes.fromhex(value["secret_key"]))
    return {"shared_secret": shared_secret.hex()}


@operation("hpke.seal")
def seal(value: Json) -> Json:
    """Set up a sender and seal messages, each with its AAD."""
    enc, context = setup_base_sender(
        _suite(value),
        bytes.fromhex(value["public_key"]),
        bytes.fromhex(value["info"]),
        random=given(value["randomness"]),
    )
    schedule = _schedule(context)
    sealed = [
        context.seal(bytes.fromhex(message["plaintext"]), bytes.fromhex(message["aad"])).hex()
        for message in value["messages"]
    ]
    return {"enc": enc.hex(), **schedule, "ciphertexts": sealed, "exported": _exported(context, value)}


@operation("hpke.open")
def open_messages(value: Json) -> Json:
    """Set up a recipient and open messages, each with its AAD."""
    context = setup_base_recipient(
        _suite(value),
        bytes.fromhex(value["enc"]),
        bytes.fromhex(value["secret_key"]),
        bytes.fromhex(value["info"]),
    )
    schedule = _schedule(context)
    opened = [
        context.open(bytes.fromhex(message["ciphertext"]), bytes.fromhex(message["aad"])).hex()
        for message in value["messages"]
    ]
    return {**schedule, "plaintexts": opened, "exported": _exported(context, value)}


@operation("hpke.compute-nonce")
def compute_nonce(value: Json) -> Json:
    """Return the nonce of the message with a sequence number."""
    return {"nonce": nonce_at(bytes.fromhex(value["base_nonce"]), value["sequence"]).hex()}


def _suite(value: Json) -> Suite:
    return Suite(KemId(value["kem_id"]), KdfId(value["kdf_id"]), AeadId(value["aead_id"]))


def _schedule(context: SenderContext | RecipientContext) -> Json:
    return {
        "key": context.key.hex(),
        "base_nonce": context.base_nonce.hex(),
        "exporter_secret": context.exporter_secret.hex(),
    }


def _exported(context: SenderContext | RecipientContext, value: Json) -> list[str]:
    return [
        context.export(bytes.fromhex(export["exporter_context"]), export["length"]).hex() for export in value["exports"]
    ]
