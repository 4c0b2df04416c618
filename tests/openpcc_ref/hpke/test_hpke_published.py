"""Values published elsewhere come first: nothing here was made by this project."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from conformance.operations import operations
from conformance.vectors import files
from conformance.vectors.case import Case
from conformance.vectors.play import play
from openpcc_ref.hpke import AeadId, HpkeRejected, KdfId, KemId, Suite, kem, nonce_at, setup_base_sender
from openpcc_ref.hpke.x25519_kyber768 import X25519Kyber768Draft00

PUBLISHED = [case for case in files.load("hpke") if case.source]

# Wycheproof, x25519_test.json: the public keys of all cases flagged ZeroSharedSecret.
ZERO_SHARED_SECRET = """
0000000000000000000000000000000000000000000000000000000000000000
0000000000000000000000000000000000000000000000000000000000000080
0100000000000000000000000000000000000000000000000000000000000000
0100000000000000000000000000000000000000000000000000000000000080
5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157
5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f11d7
e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800
e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b880
ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f
ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff
edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f
edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff
eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f
eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff
""".split()

P, ZERO, ONE = "ffffffff00000001000000000000000000000000ffffffffffffffffffffffff", "00" * 32, "00" * 31 + "01"
P_MINUS_ONE = P[:-2] + "fe"

# Wycheproof, ecdh_secp256r1_ecpoint_test.json: all cases flagged InvalidCurveAttack, and those with other encodings.
OFF_CURVE = [f"04{x}{y}" for x in (ZERO, ONE, P_MINUS_ONE, P) for y in (ZERO, ONE, P_MINUS_ONE, P)]
COMPRESSED = [
    "0362d5bd3372af75fe85a040715d0f502428e07046868b0bfdfa61d731afe44f26",
    "02fd4bf61763b46581fd9174d623516cf3c81edd40e29ffa2777fb6cb0ae3ce535",
    "03efdde3b32872a9effcf3b94cbf73aa7b39f9683ece9121b9852167f4e3da609b",
    "0218f9bae7747cd844e98525b7ccd0daf6e1d20a818b2175a9a91e4eae5343bc98",
]


@pytest.mark.parametrize("case", PUBLISHED, ids=lambda case: case.id)
def test_published_value_holds(case: Case) -> None:
    play(case, operations())


def test_every_suite_with_a_published_example_is_there() -> None:
    sealed = {(case.input["kem_id"], case.input["kdf_id"], case.input["aead_id"])
              for case in PUBLISHED if case.operation == "hpke.seal"}  # fmt: skip
    dh = {(kem_id, kdf_id, aead_id) for kem_id in (0x10, 0x20) for kdf_id in (1, 3) for aead_id in (1, 2, 3)}
    assert sealed == dh | {(0x30, 1, 1)}


@pytest.mark.parametrize("public_key", ZERO_SHARED_SECRET)
def test_x25519_result_of_zero_is_refused_on_both_sides(public_key: str) -> None:
    mechanism = kem(KemId.DHKEM_X25519)
    pair = mechanism.derive_key_pair(bytes(32))
    with pytest.raises(HpkeRejected) as refused:
        mechanism.decapsulate(bytes.fromhex(public_key), pair.secret_key)
    assert refused.value.code == "hpke.enc.value"
    with pytest.raises(HpkeRejected) as refused:
        mechanism.encapsulate(bytes.fromhex(public_key), bytes)
    assert refused.value.code == "hpke.public-key.value"


@pytest.mark.parametrize("point", OFF_CURVE)
def test_p256_point_off_the_curve_is_refused(point: str) -> None:
    mechanism = kem(KemId.DHKEM_P256)
    pair = mechanism.derive_key_pair(bytes(32))
    assert not mechanism.is_public_key(bytes.fromhex(point))
    with pytest.raises(HpkeRejected) as refused:
        mechanism.decapsulate(bytes.fromhex(point), pair.secret_key)
    assert refused.value.code == "hpke.enc.value"


@pytest.mark.parametrize("point", COMPRESSED)
def test_p256_points_are_uncompressed_only(point: str) -> None:
    mechanism = kem(KemId.DHKEM_P256)
    pair = mechanism.derive_key_pair(bytes(32))
    assert not mechanism.is_public_key(bytes.fromhex(point))
    with pytest.raises(HpkeRejected) as refused:
        mechanism.decapsulate(bytes.fromhex(point), pair.secret_key)
    assert refused.value.code == "hpke.enc.length"
    with pytest.raises(HpkeRejected) as refused:
        mechanism.encapsulate(bytes.fromhex(point), bytes)
    assert refused.value.code == "hpke.public-key.length"


def ctr_drbg(seed: bytes) -> Callable[[int], bytes]:
    """Return AES-256-CTR-DRBG (NIST SP 800-90A) without derivation function or reseeding, as the KATs use it."""
    key, counter = bytes(32), 0

    def blocks(length: int) -> bytes:
        nonlocal counter
        encryptor = Cipher(algorithms.AES(key), modes.ECB()).encryptor()
        output = b""
        while len(output) < length:
            counter = (counter + 1) % 2**128
            output += encryptor.update(counter.to_bytes(16, "big"))
        return output[:length]

    def update(provided: bytes = bytes(48)) -> None:
        nonlocal key, counter
        mixed = bytes(left ^ right for left, right in zip(blocks(48), provided, strict=True))
        key, counter = mixed[:32], int.from_bytes(mixed[32:], "big")

    def draw(length: int) -> bytes:
        output = blocks(length)
        update()
        return output

    update(seed)
    return draw


def test_kyber768_reproduces_the_nist_answers() -> None:
    """The digest is that of PQCkemKAT_2400.rsp of round 3, as cloudflare/circl states it (kem/kyber/kat_test.go)."""
    from openpcc_ref.hpke.x25519_kyber768 import _kyber

    outer = ctr_drbg(bytes(range(48)))
    lines = ["# Kyber768", ""]
    for count in range(100):
        seed = outer(48)
        inner = ctr_drbg(seed)
        public_key, secret_key = _kyber(inner(32) + inner(32)).keygen()
        secret, ciphertext = _kyber(inner(32)).encaps(public_key)
        assert _kyber(b"").decaps(secret_key, ciphertext) == secret
        values = {"seed": seed, "pk": public_key, "sk": secret_key, "ct": ciphertext, "ss": secret}
        lines += [f"count = {count}", *(f"{name} = {value.hex().upper()}" for name, value in values.items()), ""]
    text = "\n".join(lines) + "\n"
    assert sha256(text.encode()).hexdigest() == "a1e122cad3c24bc51622e4c242d8b8acbcd3f618fee4220400605ca8f9ea02c2"


def test_published_seed_gives_the_published_key() -> None:
    """Intermediate values of the development gateway's key, to find the first difference."""
    from openpcc_ref.hpke import kdf

    seed = bytes.fromhex("0f4eda2e6c806018fb1082a6b0d8dc30c3aee556b41ac47cda7db81a57985997")
    prk = kdf.labeled_extract(KdfId.HKDF_SHA256, b"KEM\x00\x30", b"", b"dkp_prk", seed)
    assert prk.hex() == "52bb599c068a214439b4fcb6957896cf557913643056bcd159f4e27d0c8e4c09"
    okm = kdf.labeled_expand(KdfId.HKDF_SHA256, b"KEM\x00\x30", prk, b"sk", b"", 96)
    assert okm[:32].hex() == "b33f28693f7a1bbdb554b4b0c026b080119aaa1e00e2fee99af0e01a201ba4f6"
    pair = kem(KemId.X25519_KYBER768_DRAFT00).derive_key_pair(seed)
    assert pair.secret_key[:32].hex() == "71d6265267ff4b0fee3d796cc0e3314e0fe7a1b880e6567e2be5278cd6ad884e"
    assert pair.public_key[:32].hex() == "43f39b8b1a493650689ae718f0d2630b3cf5b63c660c6fcb5c49686d646e232d"
    assert sha256(pair.public_key).hexdigest() == "38af0313c7b3cccb33cc2c9294ad131d2599fe183ec5c07727cf07a3fd732659"
    assert sha256(pair.secret_key).hexdigest() == "ba6f1ab4e3628a09a36b04f8510784a4c08c676c2b2ad699fdca5dfc3db234eb"


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_seed_has_exactly_32_bytes(length: int) -> None:
    with pytest.raises(ValueError, match="exactly 32 bytes"):
        X25519Kyber768Draft00().derive_key_pair(bytes(length))


def test_sequence_beyond_the_last_nonce_overflows() -> None:
    assert nonce_at(bytes(12), 2**96 - 1) == b"\xff" * 12
    with pytest.raises(OverflowError):
        nonce_at(bytes(12), 2**96)


def test_hybrid_mechanism_takes_no_ephemeral_key() -> None:
    suite = Suite(KemId.X25519_KYBER768_DRAFT00, KdfId.HKDF_SHA256, AeadId.AES_128_GCM)
    with pytest.raises(ValueError, match="no ephemeral secret key"):
        setup_base_sender(suite, bytes(1216), b"", random=bytes, ephemeral_secret_key=bytes(32))
