"""Vectors of Oblivious HTTP beyond the published ones. Chapter: ``spec/oblivious_http.md``.

Plaintexts are opaque here: what is sealed is Binary HTTP, which has vectors of its own.
"""

from __future__ import annotations

from collections.abc import Iterator

from conformance.operations import operations
from conformance.vectors import oblivious_http_keys, oblivious_http_streams
from conformance.vectors.case import Case, Json
from conformance.vectors.making import edited, flipped
from conformance.vectors.oblivious_http_exchanges import (
    EXCHANGES,
    answered_case,
    code_of,
    exchange,
    opened_request,
    opened_response,
    sealed_request,
    sealed_response,
)
from conformance.vectors.oblivious_http_keys import AES_128, CHACHA20
from openpcc_ref.chunked_stream import FINAL_AAD
from openpcc_ref.hpke import KemId, kem
from openpcc_ref.oblivious_http import Form


def cases() -> Iterator[Case]:
    """Yield every case that is not published elsewhere."""
    yield from oblivious_http_keys.cases()
    for name in EXCHANGES:
        yield from exchange(name)
    yield from _refused_whole_request("x25519-chacha20-poly1305")
    yield from _refused_whole_response("x25519-chacha20-poly1305")
    yield from _refused_hybrid_request()
    yield from oblivious_http_streams.cases("x25519-chacha20-poly1305")


def _refused_whole_request(name: str) -> Iterator[Case]:
    kem_id, algorithm = EXCHANGES[name]
    case_id = f"oblivious-http.open-request.{name}.whole"
    sealed = sealed_request(case_id, name, Form.UNCHUNKED)
    control = opened_request(sealed, case_id)
    # The same key pair under a second identifier, so that only the info tells the two apart.
    (key,) = control.input["keys"]
    keys = [key, {**key, "key_config": "02" + key["key_config"][2:]}]
    control = answered_case(
        case_id, control.comment, "open-request", {**control.input, "keys": keys}, control.requirements
    )
    yield control
    message = control.input["encapsulated_request"]
    start = 7 + kem(kem_id).nenc
    refused = {
        "first-byte": (flipped(message, start), "first byte of the ciphertext"),
        "last-byte": (flipped(message, -1), "last byte of the tag"),
        "one-byte-short": (message[:-2], "last byte missing"),
        "one-byte-more": (message + "00", "a byte behind the tag"),
        "without-ciphertext": (message[: 2 * start], "nothing behind enc"),
        "tag-alone": (message[: 2 * start] + message[-32:], "the tag without its ciphertext"),
        "enc-first-byte": (flipped(message, 7), "first byte of enc"),
        "enc-last-byte": (flipped(message, start - 1), "last byte of enc"),
        "other-key-id": ("02" + message[2:], "key identifier changed after sealing, to one of the same key"),
        "other-algorithm": (_other_algorithm(message, algorithm), "algorithm changed after sealing"),
        "info-without-zero": (_resealed(sealed, "message/bhttp request"), "info without the zero byte"),
        "info-other-label": (_resealed(sealed, "message/bhttp chunked request\0"), "info with the label of chunks"),
        "info-without-header": (_resealed(sealed, "message/bhttp request\0", header=False), "info without the header"),
        "aad": (_resealed(sealed, "message/bhttp request\0", aad=FINAL_AAD), "sealed with an AAD"),
    }
    for fault, (octets, comment) in refused.items():
        yield _refused_request(control, fault, comment, "oblivious-http.request.open", octets)
    zero = message[:14] + "00" * 32 + message[14 + 64 :]
    code = "oblivious-http.request.decapsulation"
    yield _refused_request(control, "enc-zero", "X25519 key in enc is zero", code, zero)
    for length in (7, 8, start - 1):
        comment = f"cut after {length} bytes"
        yield _refused_request(
            control, f"cut-{length}", comment, "oblivious-http.request.truncated", message[: 2 * length]
        )
    chunked = {**control.input, "form": str(Form.CHUNKED)}
    yield edited(control, "opened-as-chunked", "opened in the other form", code_of(control, chunked), form="chunked")


def _refused_hybrid_request() -> Iterator[Case]:
    """Faults in either part of a hybrid encapsulation; a bad Kyber part shows only when nothing can be opened."""
    case_id = "oblivious-http.open-request.deployed.whole"
    control = opened_request(sealed_request(case_id, "deployed", Form.UNCHUNKED), case_id)
    yield control
    message = control.input["encapsulated_request"]
    for fault, position in {"enc-x25519-byte": 7, "enc-kyber-byte": 39, "enc-last-byte": 1126, "last-byte": -1}.items():
        comment = f"one bit differs: {fault.replace('-', ' ')}"
        yield _refused_request(control, fault, comment, "oblivious-http.request.open", flipped(message, position))
    zero = message[:14] + "00" * 32 + message[14 + 64 :]
    code = "oblivious-http.request.decapsulation"
    yield _refused_request(control, "enc-x25519-zero", "X25519 key in enc is zero", code, zero)
    code = "oblivious-http.request.truncated"
    yield _refused_request(control, "cut-1126", "last byte of enc missing", code, message[: 2 * 1126])


def _refused_request(control: Case, fault: str, comment: str, code: str, message: str) -> Case:
    return edited(control, fault, comment, code, ("OHT-062",), encapsulated_request=message)


def _refused_whole_response(name: str) -> Iterator[Case]:
    case_id = f"oblivious-http.open-response.{name}.whole"
    request = opened_request(sealed_request(case_id, name, Form.UNCHUNKED), case_id)
    other = sealed_request(f"{case_id}.other", name, Form.UNCHUNKED)
    value = {**other.input, "key_config": request.input["keys"][0]["key_config"]}
    other_request = operations()[other.operation](value)["encapsulated_request"]
    control = opened_response(sealed_response(request, f"{case_id}.response", Form.UNCHUNKED), case_id)
    yield control
    message = control.input["encapsulated_response"]
    nonce_length = len(message) // 2 - 30 - 16
    code = "oblivious-http.response.open"
    for fault, (octets, comment) in {
        "nonce-first-byte": (flipped(message, 0), "first byte of the response nonce"),
        "nonce-last-byte": (flipped(message, nonce_length - 1), "last byte of the response nonce"),
        "first-byte": (flipped(message, nonce_length), "first byte of the ciphertext"),
        "last-byte": (flipped(message, -1), "last byte of the tag"),
        "one-byte-short": (message[:-2], "last byte missing"),
        "one-byte-more": (message + "00", "a byte behind the tag"),
        "nonce-alone": (message[: 2 * nonce_length], "nothing behind the response nonce"),
    }.items():
        yield edited(control, fault, comment, code, encapsulated_response=octets)
    comment = "response to another request to the same key"
    yield edited(control, "other-request", comment, code, encapsulated_request=other_request)
    for length in (0, nonce_length - 1):
        octets = message[: 2 * length]
        comment = f"{length} bytes of the response nonce"
        yield edited(
            control, f"cut-{length}", comment, "oblivious-http.response.truncated", encapsulated_response=octets
        )
    chunked = {**control.input, "form": str(Form.CHUNKED)}
    yield edited(control, "opened-as-chunked", "opened in the other form", code_of(control, chunked), form="chunked")


def _resealed(sealed: Case, label: str, *, header: bool = True, aad: bytes = b"") -> str:
    """Return the request of a case with another info or AAD."""
    kem_id, kdf_id, aead_id = (sealed.input["key_config"][2:6], sealed.input["kdf_id"], sealed.input["aead_id"])
    head = bytes.fromhex(f"01{kem_id}{kdf_id:04x}{aead_id:04x}")
    value = {
        "kem_id": int(kem_id, 16),
        "kdf_id": kdf_id,
        "aead_id": aead_id,
        "public_key": sealed.input["key_config"][6 : 6 + 2 * kem(KemId(int(kem_id, 16))).npk],
        "info": (label.encode() + (head if header else b"")).hex(),
        "randomness": sealed.input["randomness"],
        "messages": [{"plaintext": sealed.input["final"], "aad": aad.hex()}],
        "exports": [],
    }
    answer = operations()["hpke.seal"](value)
    return head.hex() + str(answer["enc"]) + str(answer["ciphertexts"][0])


def _other_algorithm(message: str, algorithm: Json) -> str:
    other = AES_128 if algorithm != AES_128 else CHACHA20
    return f"{message[:6]}{other['kdf_id']:04x}{other['aead_id']:04x}{message[14:]}"
