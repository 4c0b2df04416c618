"""What holds for every suite, key, message and fault."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openpcc_ref.hpke import (
    AeadId,
    HpkeRejected,
    KdfId,
    KemId,
    RecipientContext,
    SenderContext,
    Suite,
    kem,
    setup_base_recipient,
    setup_base_sender,
)

SUITES = [Suite(*ids) for ids in itertools.product(KemId, KdfId, AeadId)]
KEYS = {kem_id: kem(kem_id).derive_key_pair(bytes(range(32))) for kem_id in KemId}

suites = st.sampled_from(SUITES)
octets = st.binary(max_size=80)


def contexts(suite: Suite, randomness: bytes, info: bytes = b"info") -> tuple[bytes, SenderContext, RecipientContext]:
    """Return (enc, sender, recipient) from up to 64 random bytes."""
    pair = KEYS[suite.kem_id]
    enc, sender = setup_base_sender(suite, pair.public_key, info, random=lambda n: randomness.ljust(64, b"\1")[:n])
    return enc, sender, setup_base_recipient(suite, enc, pair.secret_key, info)


@given(suite=suites, randomness=octets, info=octets, messages=st.lists(st.tuples(octets, octets), max_size=5))
def test_messages_open_in_the_order_of_sealing(
    suite: Suite, randomness: bytes, info: bytes, messages: list[tuple[bytes, bytes]]
) -> None:
    enc, sender, recipient = contexts(suite, randomness, info)
    assert len(enc) == kem(suite.kem_id).nenc
    for plaintext, aad in messages:
        sealed = sender.seal(plaintext, aad)
        assert len(sealed) == len(plaintext) + suite.aead_id.nt
        assert recipient.open(sealed, aad) == plaintext
    assert sender.export(info, 40) == recipient.export(info, 40)


@given(suite=suites, randomness=octets, position=st.integers(0, 10**6), bit=st.integers(0, 7))
def test_one_bit_of_a_message_spoils_it_and_nothing_else(
    suite: Suite, randomness: bytes, position: int, bit: int
) -> None:
    _, sender, recipient = contexts(suite, randomness)
    sealed = sender.seal(b"a message", b"aad")
    spoiled = bytearray(sealed)
    spoiled[position % len(sealed)] ^= 1 << bit
    with pytest.raises(HpkeRejected) as refused:
        recipient.open(bytes(spoiled), b"aad")
    assert refused.value.code == "hpke.open"
    assert recipient.open(sealed, b"aad") == b"a message"


@given(suite=suites, randomness=octets)
def test_another_info_aad_or_key_opens_nothing(suite: Suite, randomness: bytes) -> None:
    enc, sender, recipient = contexts(suite, randomness)
    sealed = sender.seal(b"a message", b"aad")
    other_key = kem(suite.kem_id).derive_key_pair(bytes(32)).secret_key
    for context, aad in (
        (recipient, b""),
        (setup_base_recipient(suite, enc, KEYS[suite.kem_id].secret_key, b"other info"), b"aad"),
        (setup_base_recipient(suite, enc, other_key, b"info"), b"aad"),
    ):
        with pytest.raises(HpkeRejected):
            context.open(sealed, aad)


@pytest.mark.slow
@pytest.mark.parametrize("kem_id", KemId)
def test_one_bit_of_any_byte_of_enc_spoils_the_secret(kem_id: KemId) -> None:
    mechanism, pair = kem(kem_id), KEYS[kem_id]
    secret, enc = mechanism.encapsulate(pair.public_key, bytes)
    refused = set()
    for position in range(len(enc)):
        spoiled = bytearray(enc)
        spoiled[position] ^= 1
        try:
            assert mechanism.decapsulate(bytes(spoiled), pair.secret_key) != secret
        except HpkeRejected as rejected:
            refused.add(rejected.code)
    # Only P-256 can tell at once: few strings are points. X25519 takes nearly any bytes, and Kyber never refuses.
    assert refused == ({"hpke.enc.value"} if kem_id is KemId.DHKEM_P256 else set())


@pytest.mark.parametrize("kem_id", KemId)
def test_enc_of_any_other_length_is_refused(kem_id: KemId) -> None:
    mechanism, pair = kem(kem_id), KEYS[kem_id]
    _, enc = mechanism.encapsulate(pair.public_key, bytes)
    for length in [*range(len(enc)), len(enc) + 1, 2 * len(enc)]:
        with pytest.raises(HpkeRejected) as refused:
            mechanism.decapsulate((enc + enc)[:length], pair.secret_key)
        assert refused.value.code == "hpke.enc.length"


@given(kem_id=st.sampled_from(KemId), data=st.binary(max_size=1300))
def test_arbitrary_bytes_are_refused_or_used_as_keys(kem_id: KemId, data: bytes) -> None:
    mechanism, pair = kem(kem_id), KEYS[kem_id]
    codes = set()
    for act in (
        lambda: mechanism.decapsulate(data, pair.secret_key),
        lambda: mechanism.encapsulate(data, bytes),
    ):
        try:
            act()
        except HpkeRejected as rejected:
            codes.add(rejected.code)
    assert codes <= {f"hpke.{part}.{fault}" for part in ("enc", "public-key") for fault in ("length", "value")}
    assert bool(codes) or len(data) == mechanism.npk
    assert len(data) == mechanism.npk or not mechanism.is_public_key(data)


@given(data=st.binary(min_size=1184, max_size=1184))
def test_kyber_takes_any_bytes_for_a_public_key(data: bytes) -> None:
    """Round 3 reduces coefficients instead of refusing them, unlike ML-KEM. Requirements: OHT-004."""
    mechanism = kem(KemId.X25519_KYBER768_DRAFT00)
    public_key = KEYS[KemId.X25519_KYBER768_DRAFT00].public_key[:32] + data
    assert mechanism.is_public_key(public_key)
    secret, enc = mechanism.encapsulate(public_key, bytes)
    assert (len(secret), len(enc)) == (64, 1120)


@pytest.mark.parametrize("kem_id", KemId)
def test_randomness_is_drawn_once_and_decides_everything(kem_id: KemId) -> None:
    mechanism, pair = kem(kem_id), KEYS[kem_id]
    drawn = []

    def random(length: int) -> bytes:
        drawn.append(length)
        return bytes([7]) * length

    first, second = mechanism.encapsulate(pair.public_key, random), mechanism.encapsulate(pair.public_key, random)
    assert first == second
    assert drawn == [mechanism.nseed, mechanism.nseed]
    assert mechanism.encapsulate(pair.public_key, bytes) != first


@pytest.mark.parametrize("suite", SUITES, ids=str)
def test_no_secret_is_printed(suite: Suite) -> None:
    _, sender, recipient = contexts(suite, b"")
    for shown in (repr(sender), repr(recipient), repr(KEYS[suite.kem_id])):
        for secret in (sender.key, sender.exporter_secret, sender.base_nonce, KEYS[suite.kem_id].secret_key):
            assert repr(secret) not in shown
            assert secret.hex() not in shown
