"""Compute messages as operations. Chapter: ``spec/compute_messages.md``.

Media types are text; everything else is octets. Whoever needs randomness is given it: ``dek`` (32), ``nonce`` (12),
``ephemeral_seed`` (32, input of DeriveKeyPair) and ``response_nonce`` (16). ``type`` and ``curve`` of a key in a TPM
are two octets each.
"""

from __future__ import annotations

from collections.abc import Iterator

from conformance.operations import operation
from conformance.vectors.case import Json
from openpcc_ref.compute_messages import (
    COMPUTE_SUITE,
    REQUEST_MEDIA_TYPES,
    ReceiverContext,
    RequestOpener,
    RequestSealer,
    ResponseOpener,
    ResponseSealer,
    encapsulate_key,
    encode_node_key,
    open_encapsulated_key,
    request_form,
    response_form,
)
from openpcc_ref.hpke import kem, key_schedule
from openpcc_ref.sources import RandomSource


def drawn(*values: str) -> RandomSource:
    """Return a random source that hands out the given octets, one value a draw."""
    remaining: Iterator[bytes] = iter([bytes.fromhex(value) for value in values])

    def draw(length: int) -> bytes:
        value = next(remaining)
        if len(value) != length:
            raise ValueError(f"{length} random bytes are drawn here, {len(value)} are given")
        return value

    return draw


@operation("compute-message.seal-request")
def seal_request(value: Json) -> Json:
    """Seal ``plaintext`` for every node of ``public_keys``, filling chunks."""
    random = drawn(value["dek"], value["nonce"], *value["ephemeral_seeds"])
    sealer = RequestSealer(request_form(value["media_type"].encode()), random=random)
    message = sealer.header() + sealer.seal(bytes.fromhex(value["plaintext"])) + sealer.finish()
    keys = [sealer.encapsulate_key(bytes.fromhex(public_key))[0].hex() for public_key in value["public_keys"]]
    return {"message": message.hex(), "encapsulated_keys": keys}


@operation("compute-message.node-key")
def node_key(value: Json) -> Json:
    """Return the public key of a node, from the members of its key's public area in a TPM."""
    key_type, curve = (int(value[name], 16) for name in ("type", "curve"))
    public_key = encode_node_key(key_type, curve, bytes.fromhex(value["x"]), bytes.fromhex(value["y"]))
    return {"public_key": public_key.hex()}


@operation("compute-message.open-encapsulated-key")
def open_key(value: Json) -> Json:
    """Return the data encryption key, and the HPKE values on the way to it."""
    form, secret_key = request_form(value["media_type"].encode()), bytes.fromhex(value["secret_key"])
    dek, context = open_encapsulated_key(bytes.fromhex(value["encapsulated_key"]), secret_key, form)
    info = REQUEST_MEDIA_TYPES[form] + b"\0" + bytes.fromhex(value["encapsulated_key"])[:7]
    shared_secret = kem(COMPUTE_SUITE.kem_id).decapsulate(context.enc, secret_key)
    key, base_nonce, exporter_secret = key_schedule(COMPUTE_SUITE, shared_secret, info)
    return {
        "enc": context.enc.hex(),
        "info": info.hex(),
        "shared_secret": shared_secret.hex(),
        "key": key.hex(),
        "base_nonce": base_nonce.hex(),
        "exporter_secret": exporter_secret.hex(),
        "dek": dek.hex(),
    }


@operation("compute-message.open-request")
def open_request(value: Json) -> Json:
    """Open ``message`` as the node with ``secret_key``."""
    form = request_form(value["media_type"].encode())
    opener = RequestOpener(bytes.fromhex(value["encapsulated_key"]), bytes.fromhex(value["secret_key"]), form)
    opened = [*opener.feed(bytes.fromhex(value["message"])), *opener.finish()]
    return {"plaintext": b"".join(opened).hex()}


@operation("compute-message.seal-response")
def seal_response(value: Json) -> Json:
    """Seal ``plaintext`` as the node that was given ``encapsulated_key``."""
    request = request_form(value["request_media_type"].encode())
    secret_key = bytes.fromhex(value["secret_key"])
    _, context = open_encapsulated_key(bytes.fromhex(value["encapsulated_key"]), secret_key, request)
    form = response_form(value["media_type"].encode())
    sealer = ResponseSealer(context, form, random=drawn(value["response_nonce"]))
    message = sealer.header() + sealer.seal(bytes.fromhex(value["plaintext"])) + sealer.finish()
    return {
        "secret": sealer.keys.secret.hex(),
        "prk": sealer.keys.prk.hex(),
        "key": sealer.keys.aead_key.hex(),
        "base_nonce": sealer.keys.aead_nonce.hex(),
        "message": message.hex(),
    }


@operation("compute-message.open-response")
def open_response(value: Json) -> Json:
    """Open ``message`` as the client whose ``ephemeral_seed`` encapsulated the key for ``public_key``."""
    opener = ResponseOpener(_client_context(value), response_form(value["media_type"].encode()))
    opened = [*opener.feed(bytes.fromhex(value["message"])), *opener.finish()]
    return {"plaintext": b"".join(opened).hex()}


def _client_context(value: Json) -> ReceiverContext:
    form = request_form(value["request_media_type"].encode())
    random = drawn(value["ephemeral_seed"])
    return encapsulate_key(bytes.fromhex(value["public_key"]), bytes(32), form, random=random)[1]
