"""Requests and responses from coins: the material of the vectors of Oblivious HTTP."""

from __future__ import annotations

from collections.abc import Iterator

from conformance.operations import operations
from conformance.vectors.case import Case, Json
from conformance.vectors.coins import coins
from conformance.vectors.making import answered
from conformance.vectors.oblivious_http_keys import AES_128, CHACHA20, config_of
from openpcc_ref.errors import Rejected
from openpcc_ref.hpke import AeadId, KdfId, KemId, kem
from openpcc_ref.oblivious_http import Form

_STEPS = ("enc", "info", "key", "base_nonce", "exporter_secret", "secret", "prk", "aead_key", "aead_nonce")

AES_256_SHA512: Json = {"kdf_id": int(KdfId.HKDF_SHA512), "aead_id": int(AeadId.AES_256_GCM)}

EXCHANGES = {
    "p256-aes-128-gcm": (KemId.DHKEM_P256, AES_128),
    "x25519-chacha20-poly1305": (KemId.DHKEM_X25519, CHACHA20),
    "x25519-sha512-aes-256-gcm": (KemId.DHKEM_X25519, AES_256_SHA512),
    "deployed": (KemId.X25519_KYBER768_DRAFT00, AES_128),
}

CHUNK_RULES = ("OHT-026", "OHT-027", "OHT-028")


def exchange(name: str) -> Iterator[Case]:
    """A request and its response, in all four combinations of forms."""
    for form in Form:
        sealed = sealed_request(f"oblivious-http.seal-request.{name}.{form}", name, form)
        yield sealed
        opened = opened_request(sealed, f"oblivious-http.open-request.{name}.{form}")
        yield opened
        for response_form in Form:
            case = sealed_response(opened, f"oblivious-http.seal-response.{name}.{form}-{response_form}", response_form)
            yield case
            yield opened_response(case, f"oblivious-http.open-response.{name}.{form}-{response_form}")


def sealed_request(case_id: str, name: str, form: Form) -> Case:
    kem_id, algorithm = EXCHANGES[name]
    plaintext = coins(case_id, "plaintext", 40).hex()
    value: Json = {
        "key_config": config_of(case_id, kem_id, 1, AES_128, CHACHA20, AES_256_SHA512)[0],
        **algorithm,
        "form": str(form),
        "randomness": coins(case_id, "ephemeral", kem(kem_id).nseed).hex(),
        **_divided(plaintext, form),
    }
    requirements = (
        "OHT-019",
        "OHT-020",
        *(CHUNK_RULES if form is Form.CHUNKED else ("OHT-021",)),
        *_suite_rules(kem_id),
    )
    return answered_case(case_id, f"a request in {form} form", "seal-request", value, requirements)


def opened_request(sealed: Case, case_id: str) -> Case:
    kem_id = KemId(int(sealed.input["key_config"][2:6], 16))
    config, secret_key = config_of(sealed.id, kem_id, 1, AES_128, CHACHA20, AES_256_SHA512)
    value: Json = {
        "keys": [{"key_config": config, "secret_key": secret_key}],
        "form": sealed.input["form"],
        "encapsulated_request": (sealed.expected or {})["encapsulated_request"],
    }
    requirements = ("OHT-014", *(rule for rule in sealed.requirements if rule != "OHT-019"))
    return answered_case(case_id, sealed.comment, "open-request", value, requirements)


def sealed_response(request: Case, case_id: str, form: Form) -> Case:
    aead_id = AeadId(int(request.input["encapsulated_request"][10:14], 16))
    value: Json = {
        "keys": request.input["keys"],
        "request_form": request.input["form"],
        "encapsulated_request": request.input["encapsulated_request"],
        "form": str(form),
        "response_nonce": coins(case_id, "response nonce", max(aead_id.nk, aead_id.nn)).hex(),
        **_divided(coins(case_id, "plaintext", 30).hex(), form),
    }
    requirements = ("OHT-023", "OHT-024", "OHT-025", *(CHUNK_RULES if form is Form.CHUNKED else ()))
    comment = f"a response in {form} form to a request in {request.input['form']} form"
    return answered_case(case_id, comment, "seal-response", value, requirements)


def opened_response(sealed: Case, case_id: str) -> Case:
    value = {name: sealed.input[name] for name in ("keys", "request_form", "encapsulated_request", "form")}
    value["encapsulated_response"] = (sealed.expected or {})["encapsulated_response"]
    return answered_case(case_id, sealed.comment, "open-response", value, sealed.requirements)


def answered_case(case_id: str, comment: str, verb: str, value: Json, requirements: tuple[str, ...]) -> Case:
    """Return an accepted case of an operation of this chapter."""
    return answered(case_id, comment, f"oblivious-http.{verb}", value, requirements, steps=_STEPS)


def code_of(control: Case, value: Json) -> str:
    """Return the code of a refusal that depends on what the ciphertext happens to look like as a length."""
    try:
        operations()[control.operation](value)
    except Rejected as rejected:
        return rejected.code
    raise ValueError(f"{control.id} is accepted in the other form")


def _divided(plaintext: str, form: Form) -> Json:
    if form is Form.UNCHUNKED:
        return {"chunks": [], "final": plaintext}
    return {"chunks": [plaintext[:24], plaintext[24:]], "final": ""}


def _suite_rules(kem_id: KemId) -> tuple[str, ...]:
    return ("OHT-002", "OHT-004") if kem_id is KemId.X25519_KYBER768_DRAFT00 else ("OHT-003",)
