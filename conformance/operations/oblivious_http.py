"""Operations of Oblivious HTTP: key configurations, their periods, and sealed messages in both forms.

Chapter: ``spec/oblivious_http.md``. A message has ``chunks``, which are not final, and the ``final`` data; an unchunked
one has no chunks. Keys of a gateway are objects with its ``key_config`` and ``secret_key``.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from conformance.operations import operation
from conformance.operations.hpke import given
from openpcc_ref.hpke import KemId
from openpcc_ref.oblivious_http import (
    Form,
    GatewayKey,
    KeyConfig,
    RequestHeader,
    RequestOpener,
    RequestSealer,
    ResponseContext,
    ResponseOpener,
    ResponseSealer,
    RotationPeriod,
    SymmetricAlgorithm,
    decode_key_config,
    decode_key_configs,
    decode_rotation_periods,
    decode_timestamp,
    derive_gateway_key,
    encode_key_config,
    encode_key_configs,
    encode_rotation_periods,
    encode_timestamp,
    find_key,
    period_from_creation,
    select_key,
)

Json = dict[str, Any]

_ANY_TIME = datetime(2026, 1, 1, tzinfo=UTC)
"""Keys without a period are active at any time."""


@operation("oblivious-http.encode-key-configs")
def encode_configs(value: Json) -> Json:
    """Encode a list of key configurations."""
    return {"key_configs": encode_key_configs(_key_config(config) for config in value["configs"]).hex()}


@operation("oblivious-http.decode-key-configs")
def decode_configs(value: Json) -> Json:
    """Decode a list of key configurations, whole or not at all."""
    configs = decode_key_configs(bytes.fromhex(value["key_configs"]))
    return {"configs": [_key_config_json(config) for config in configs]}


@operation("oblivious-http.decode-key-config")
def decode_config(value: Json) -> Json:
    """Decode one key configuration."""
    return _key_config_json(decode_key_config(bytes.fromhex(value["key_config"])))


@operation("oblivious-http.derive-key")
def derive_key(value: Json) -> Json:
    """Derive a gateway's key from its seed."""
    algorithms = tuple(_algorithm(pair) for pair in value["algorithms"])
    key = derive_gateway_key(value["key_id"], KemId(value["kem_id"]), bytes.fromhex(value["seed"]), algorithms)
    return {"key_config": encode_key_config(key.config).hex(), "secret_key": key.secret_key.hex()}


@operation("oblivious-http.encode-rotation-periods")
def encode_periods(value: Json) -> Json:
    """Encode rotation metadata."""
    return {"rotation_periods": encode_rotation_periods(_period(row) for row in value["periods"]).hex()}


@operation("oblivious-http.decode-rotation-periods")
def decode_periods(value: Json) -> Json:
    """Decode rotation metadata."""
    periods = decode_rotation_periods(bytes.fromhex(value["rotation_periods"]))
    return {"periods": [{"key_id": period.key_id, **_period_json(period)} for period in periods]}


@operation("oblivious-http.compute-period")
def compute_period(value: Json) -> Json:
    """Return the default period of a key whose secret was created at a moment."""
    return _period_json(period_from_creation(0, _moment(value["created"])))


@operation("oblivious-http.select-key")
def select(value: Json) -> Json:
    """Choose the key that a client seals to."""
    configs = decode_key_configs(bytes.fromhex(value["key_configs"]))
    periods = decode_rotation_periods(bytes.fromhex(value["rotation_periods"]))
    config = select_key(configs, periods, _moment(value["now"]))
    return {"key_id": config.key_id, "public_key": config.public_key.hex()}


@operation("oblivious-http.find-key")
def find(value: Json) -> Json:
    """Find the key of a request among those of a gateway, by their place in its configuration."""
    keys = [
        GatewayKey(
            KeyConfig(key["key_id"], key["kem_id"], b"", tuple(_algorithm(pair) for pair in key["algorithms"])),
            b"",
            _period(key),
        )
        for key in value["keys"]
    ]
    found = find_key(keys, RequestHeader.decode(bytes.fromhex(value["header"])), _moment(value["now"]))
    return {"index": next(index for index, key in enumerate(keys) if key is found)}


@operation("oblivious-http.decode-header")
def decode_header(value: Json) -> Json:
    """Decode the first seven bytes of an encapsulated request."""
    header = RequestHeader.decode(bytes.fromhex(value["header"]))
    return {"key_id": header.key_id, "kem_id": header.kem_id, "kdf_id": header.kdf_id, "aead_id": header.aead_id}


@operation("oblivious-http.seal-request")
def seal_request(value: Json) -> Json:
    """Seal a request; the ephemeral key comes from ``randomness``, or is given as published examples give it."""
    config = decode_key_config(bytes.fromhex(value["key_config"]))
    ephemeral = value.get("ephemeral_secret_key")
    sealer = RequestSealer(
        config,
        Form(value["form"]),
        random=given(value.get("randomness", "")),
        algorithm=_algorithm(value),
        ephemeral_secret_key=None if ephemeral is None else bytes.fromhex(ephemeral),
    )
    return {
        **_request_steps(sealer.context, Form(value["form"])),
        "encapsulated_request": (sealer.header() + _sealed(sealer, value)).hex(),
    }


@operation("oblivious-http.open-request")
def open_request(value: Json) -> Json:
    """Open a request with the keys of a gateway."""
    context, plaintext = _opened_request(value, Form(value["form"]))
    return {**_request_steps(context, Form(value["form"])), "plaintext": plaintext.hex()}


@operation("oblivious-http.seal-response")
def seal_response(value: Json) -> Json:
    """Seal the response to a request."""
    context, _ = _opened_request(value, Form(value["request_form"]))
    sealer = ResponseSealer(context, Form(value["form"]), random=given(value["response_nonce"]))
    return {
        **_response_steps(context, Form(value["form"]), sealer.response_nonce),
        "encapsulated_response": (sealer.header() + _sealed(sealer, value)).hex(),
    }


@operation("oblivious-http.open-response")
def open_response(value: Json) -> Json:
    """Open the response to a request; client and gateway export the same secret, here the gateway's is used."""
    context, _ = _opened_request(value, Form(value["request_form"]))
    opener = ResponseOpener(context, Form(value["form"]))
    data = bytes.fromhex(value["encapsulated_response"])
    plaintext = b"".join([*opener.feed(data), *opener.finish()])
    return {
        **_response_steps(context, Form(value["form"]), data[: context.nonce_length]),
        "plaintext": plaintext.hex(),
    }


def _opened_request(value: Json, form: Form) -> tuple[ResponseContext, bytes]:
    keys = [
        GatewayKey(decode_key_config(bytes.fromhex(key["key_config"])), bytes.fromhex(key["secret_key"]))
        for key in value["keys"]
    ]
    opener = RequestOpener(keys, form, _ANY_TIME)
    opened = opener.feed(bytes.fromhex(value["encapsulated_request"]))
    opened += opener.finish()
    assert opener.context is not None
    return opener.context, b"".join(opened)


def _sealed(sealer: RequestSealer | ResponseSealer, value: Json) -> bytes:
    chunks = [sealer.seal(bytes.fromhex(chunk)) for chunk in value["chunks"]]
    return b"".join([*chunks, sealer.finish(bytes.fromhex(value["final"]))])


def _request_steps(context: ResponseContext, form: Form) -> Json:
    return {
        "enc": context.enc.hex(),
        "info": context.header.info(form).hex(),
        "key": context.hpke.key.hex(),
        "base_nonce": context.hpke.base_nonce.hex(),
        "exporter_secret": context.hpke.exporter_secret.hex(),
    }


def _response_steps(context: ResponseContext, form: Form, response_nonce: bytes) -> Json:
    keys = context.response_keys(form, response_nonce)
    return {
        "secret": keys.secret.hex(),
        "prk": keys.prk.hex(),
        "aead_key": keys.aead_key.hex(),
        "aead_nonce": keys.aead_nonce.hex(),
    }


def _algorithm(value: Json) -> SymmetricAlgorithm:
    return SymmetricAlgorithm(value["kdf_id"], value["aead_id"])


def _key_config(value: Json) -> KeyConfig:
    algorithms = tuple(_algorithm(pair) for pair in value["algorithms"])
    return KeyConfig(value["key_id"], value["kem_id"], bytes.fromhex(value["public_key"]), algorithms)


def _key_config_json(config: KeyConfig) -> Json:
    return {
        "key_id": config.key_id,
        "kem_id": config.kem_id,
        "public_key": config.public_key.hex(),
        "algorithms": [{"kdf_id": pair.kdf_id, "aead_id": pair.aead_id} for pair in config.algorithms],
    }


def _period(value: Json) -> RotationPeriod:
    return RotationPeriod(value["key_id"], _moment(value["active_from"]), _moment(value["active_until"]))


def _period_json(period: RotationPeriod) -> Json:
    return {
        "active_from": encode_timestamp(period.active_from),
        "active_until": encode_timestamp(period.active_until),
    }


def _moment(text: str) -> datetime:
    """Return the moment of an input that is no part of the protocol."""
    moment = decode_timestamp(text)
    if moment is None:
        raise ValueError(f"{text!r} is no RFC 3339 time stamp")
    return moment
