"""Vectors of HPKE beyond the published ones. Chapter: ``spec/hpke.md``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from conformance.vectors.case import Case, Json
from conformance.vectors.coins import coins
from conformance.vectors.making import answered, edited, flipped
from openpcc_ref.hpke import AeadId, KdfId, KemId, KeyPair, Suite, kem

NAMES = {
    KemId.DHKEM_P256: "p256",
    KemId.DHKEM_X25519: "x25519",
    KemId.X25519_KYBER768_DRAFT00: "x25519-kyber768",
}

DEPLOYED = Suite(KemId.X25519_KYBER768_DRAFT00, KdfId.HKDF_SHA256, AeadId.AES_128_GCM)

# Suites without a published example: HKDF-SHA384 has none at all, the hybrid KEM only the deployed one.
UNPUBLISHED = (
    *(Suite(kem_id, KdfId.HKDF_SHA384, aead) for kem_id in list(NAMES)[:2] for aead in AeadId),
    Suite(KemId.X25519_KYBER768_DRAFT00, KdfId.HKDF_SHA256, AeadId.CHACHA20_POLY1305),
    Suite(KemId.X25519_KYBER768_DRAFT00, KdfId.HKDF_SHA512, AeadId.AES_256_GCM),
)

# The u-coordinates of low order; Wycheproof's x25519_test.json lists them with and without the ignored top bit.
LOW_ORDER = {
    "zero": "00" * 32,
    "one": "01" + "00" * 31,
    "order-eight": "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "order-eight-twist": "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "minus-one": "ec" + "ff" * 30 + "7f",
    "prime": "ed" + "ff" * 30 + "7f",
    "prime-and-one": "ee" + "ff" * 30 + "7f",
}

OFF_CURVE = {
    "off-curve": "04" + "00" * 31 + "01" + "00" * 31 + "01",
    "coordinate-is-prime": "04" + "ffffffff00000001" + "00" * 12 + "ff" * 12 + "00" * 31 + "01",
    "all-zero": "00" * 65,
}


def cases() -> Iterator[Case]:
    """Yield every case that is not published elsewhere."""
    for suite in UNPUBLISHED:
        yield from _exchange(suite)
    yield from _long_exchange()
    yield from _nonces()
    yield from _hybrid_peculiarities()
    for kem_id in NAMES:
        yield from _unusable_enc(kem_id)
        yield from _unusable_public_key(kem_id)
    for suite in (
        Suite(KemId.DHKEM_P256, KdfId.HKDF_SHA256, AeadId.AES_128_GCM),
        Suite(KemId.DHKEM_X25519, KdfId.HKDF_SHA256, AeadId.CHACHA20_POLY1305),
        DEPLOYED,
    ):
        yield from _refused_messages(suite)


def _exchange(suite: Suite) -> Iterator[Case]:
    name = _suite_name(suite)
    sealed = _sealed(f"hpke.seal.{name}", suite, [(b"first", b"one"), (b"", b""), (b"third", b"")])
    yield sealed
    yield _opened(f"hpke.open.{name}", sealed, "the messages of the sender's case")


def _long_exchange() -> Iterator[Case]:
    """A message of several cipher blocks, and none at all with exports of unusual lengths."""
    case_id = f"hpke.seal.{_suite_name(DEPLOYED)}.long-message"
    sealed = _sealed(case_id, DEPLOYED, [(coins(case_id, "plaintext", 300), coins(case_id, "aad", 70))])
    yield replace(sealed, comment="300 bytes with an AAD of 70")
    case_id = f"hpke.seal.{_suite_name(DEPLOYED)}.export-only"
    exports = [{"exporter_context": "", "length": length} for length in (1, 33, 8160)]
    yield replace(_sealed(case_id, DEPLOYED, [], exports), comment="no message, exports of 1, 33 and 8160 bytes")


def _nonces() -> Iterator[Case]:
    for name, sequence in (("zero", 0), ("all-bits", 2**96 - 1), ("four-bytes", 0xFFFFFFFF)):
        case_id = f"hpke.compute-nonce.{name}"
        value = {"base_nonce": coins(case_id, "base nonce", 12).hex(), "sequence": sequence}
        yield _valid(case_id, f"sequence number {sequence:#x}", "hpke.compute-nonce", value, ("OHT-028",))


def _hybrid_peculiarities() -> Iterator[Case]:
    """What tells Kyber of round 3 from ML-KEM without an error: no check of keys, another secret on mismatch."""
    name, kem_id = "x25519-kyber768", KemId.X25519_KYBER768_DRAFT00
    control = _decapsulated(f"hpke.decapsulate.{name}.control", kem_id)
    yield control
    enc = control.input["enc"]
    yield _valid(
        f"hpke.decapsulate.{name}.implicit-rejection",
        "one bit of the Kyber ciphertext differs: another secret, no error",
        "hpke.decapsulate",
        {**control.input, "enc": flipped(enc, 1119)},
        ("OHT-002", "OHT-004"),
        ("ImplicitRejection",),
    )
    case_id = f"hpke.encapsulate.{name}.unreduced-public-key"
    public_key = _pair(case_id, kem_id).public_key
    unreduced = public_key[:32] + b"\xff\xff\xff" + public_key[35:]
    yield _valid(
        case_id,
        "two coefficients of the Kyber key are 4095: reduced, not refused",
        "hpke.encapsulate",
        {"kem_id": int(kem_id), "public_key": unreduced.hex(), "randomness": coins(case_id, "ephemeral", 64).hex()},
        ("OHT-002", "OHT-004"),
        ("UnreducedPublicKey",),
    )


def _unusable_enc(kem_id: KemId) -> Iterator[Case]:
    name = NAMES[kem_id]
    control = _decapsulated(f"hpke.decapsulate.{name}.good-enc", kem_id)
    yield control
    enc = control.input["enc"]
    yield edited(control, "truncated", "enc one byte short", "hpke.enc.length", enc=enc[:-2])
    yield edited(control, "extended", "one byte after enc", "hpke.enc.length", enc=enc + "00")
    yield edited(control, "empty", "enc without any byte", "hpke.enc.length", enc="")
    for fault, value in _unusable_values(kem_id):
        bad = value + enc[len(value) :]
        yield edited(control, fault, f"enc with a Diffie-Hellman key that is {fault}", "hpke.enc.value", enc=bad)


def _unusable_public_key(kem_id: KemId) -> Iterator[Case]:
    name = NAMES[kem_id]
    case_id = f"hpke.encapsulate.{name}.good-key"
    value = {
        "kem_id": int(kem_id),
        "public_key": _pair(case_id, kem_id).public_key.hex(),
        "randomness": coins(case_id, "ephemeral", kem(kem_id).nseed).hex(),
    }
    control = _valid(case_id, "a public key made from coins", "hpke.encapsulate", value, _requirements(kem_id))
    yield control
    key = control.input["public_key"]
    length_code = "hpke.public-key.length"
    yield edited(control, "truncated", "public key one byte short", length_code, public_key=key[:-2])
    yield edited(control, "extended", "one byte after the public key", length_code, public_key=key + "00")
    for fault, octets in _unusable_values(kem_id):
        bad = octets + key[len(octets) :]
        comment = f"a Diffie-Hellman public key that is {fault}"
        yield edited(control, fault, comment, "hpke.public-key.value", public_key=bad)


def _refused_messages(suite: Suite) -> Iterator[Case]:
    name = _suite_name(suite)
    sealed = _sealed(f"hpke.seal.{name}.three", suite, [(b"first", b"a"), (b"second", b"b"), (b"third", b"c")])
    control = _opened(f"hpke.open.{name}.three", sealed, "three messages in order")
    yield control
    first, second, third = control.input["messages"]
    rest = [second, third]
    bad_first = {
        "ciphertext-bit": {**first, "ciphertext": flipped(first["ciphertext"], 0)},
        "tag-bit": {**first, "ciphertext": flipped(first["ciphertext"], -1)},
        "truncated": {**first, "ciphertext": first["ciphertext"][:-2]},
        "extended": {**first, "ciphertext": first["ciphertext"] + "00"},
        "without-tag": {**first, "ciphertext": first["ciphertext"][:-32]},
        "empty": {**first, "ciphertext": ""},
        "other-aad": {**first, "aad": "7a"},
        "without-aad": {**first, "aad": ""},
    }
    lists = {fault: [bad, *rest] for fault, bad in bad_first.items()}
    lists |= {"swapped": [second, first, third], "repeated": [first, first, second], "dropped": [first, third]}
    for fault, messages in lists.items():
        yield edited(control, fault, f"messages with one fault: {fault}", "hpke.open", messages=messages)
    info, enc = control.input["info"], control.input["enc"]
    yield edited(control, "other-info", "info one bit away", "hpke.open", info=flipped(info, 0))
    yield edited(control, "other-kdf", "keys derived with HKDF-SHA512", "hpke.open", kdf_id=int(KdfId.HKDF_SHA512))
    yield edited(control, "other-aead", "keys of AES-256-GCM", "hpke.open", aead_id=int(AeadId.AES_256_GCM))
    other = _pair(f"{control.id}.other-key", suite.kem_id).secret_key.hex()
    yield edited(control, "other-key", "secret key of another recipient", "hpke.open", secret_key=other)
    if suite.kem_id is not KemId.DHKEM_P256:
        yield edited(control, "enc-first-bit", "X25519 key one bit away", "hpke.open", enc=flipped(enc, 0))
    if suite.kem_id is KemId.X25519_KYBER768_DRAFT00:
        yield edited(control, "enc-kyber-bit", "Kyber ciphertext one bit away", "hpke.open", enc=flipped(enc, 32))
        yield edited(control, "enc-last-bit", "Kyber ciphertext one bit away", "hpke.open", enc=flipped(enc, -1))


def _sealed(
    case_id: str, suite: Suite, messages: Iterable[tuple[bytes, bytes]], exports: list[Json] | None = None
) -> Case:
    """Return a sender's case; messages are (plaintext, AAD)."""
    value: Json = {
        **_suite_ids(suite),
        "public_key": _pair(case_id, suite.kem_id).public_key.hex(),
        "info": coins(case_id, "info", 20).hex(),
        "randomness": coins(case_id, "ephemeral", kem(suite.kem_id).nseed).hex(),
        "messages": [{"aad": aad.hex(), "plaintext": plaintext.hex()} for plaintext, aad in messages],
        "exports": exports or [{"exporter_context": b"context".hex(), "length": 32}],
    }
    return _valid(case_id, "messages sealed in order", "hpke.seal", value, _requirements(suite.kem_id))


def _opened(case_id: str, sealed: Case, comment: str) -> Case:
    """Return the recipient's case for what a sender's case produced."""
    produced = {**sealed.steps, **(sealed.expected or {})}
    kem_id = KemId(sealed.input["kem_id"])
    value: Json = {
        **{name: sealed.input[name] for name in ("kem_id", "kdf_id", "aead_id")},
        "secret_key": _pair(sealed.id, kem_id).secret_key.hex(),
        "enc": produced["enc"],
        "info": sealed.input["info"],
        "messages": [
            {"aad": message["aad"], "ciphertext": ciphertext}
            for message, ciphertext in zip(sealed.input["messages"], produced["ciphertexts"], strict=True)
        ],
        "exports": sealed.input["exports"],
    }
    return _valid(case_id, comment, "hpke.open", value, sealed.requirements)


def _decapsulated(case_id: str, kem_id: KemId) -> Case:
    pair = _pair(case_id, kem_id)
    randomness = coins(case_id, "ephemeral", kem(kem_id).nseed)
    _, enc = kem(kem_id).encapsulate(pair.public_key, lambda _: randomness)
    value = {"kem_id": int(kem_id), "enc": enc.hex(), "secret_key": pair.secret_key.hex()}
    return _valid(case_id, "an encapsulation made from coins", "hpke.decapsulate", value, _requirements(kem_id))


def _valid(
    case_id: str, comment: str, operation: str, value: Json, requirements: tuple[str, ...], flags: tuple[str, ...] = ()
) -> Case:
    return answered(case_id, comment, operation, value, requirements, steps=_STEPS, flags=flags)


def _unusable_values(kem_id: KemId) -> Iterable[tuple[str, str]]:
    return (OFF_CURVE if kem_id is KemId.DHKEM_P256 else LOW_ORDER).items()


def _pair(case_id: str, kem_id: KemId) -> KeyPair:
    return kem(kem_id).derive_key_pair(coins(case_id, "recipient", 32))


def _requirements(kem_id: KemId) -> tuple[str, ...]:
    return ("OHT-002", "OHT-004") if kem_id is KemId.X25519_KYBER768_DRAFT00 else ("OHT-003",)


def _suite_ids(suite: Suite) -> Json:
    return {"kem_id": int(suite.kem_id), "kdf_id": int(suite.kdf_id), "aead_id": int(suite.aead_id)}


def _suite_name(suite: Suite) -> str:
    names = (suite.kdf_id.name, suite.aead_id.name)
    return ".".join([NAMES[suite.kem_id], *(name.lower().replace("_", "-") for name in names)])


_STEPS = ("key", "base_nonce", "exporter_secret", "enc")
