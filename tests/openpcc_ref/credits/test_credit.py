"""Credits on the wire: known answers, refusals, and the two kinds."""

from __future__ import annotations

from hashlib import sha256, sha512

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance.vectors.coins import coins
from conformance.vectors.currency_keys import DEPLOYED_1024, DRAFT_2048
from openpcc_ref.base64_text import to_text
from openpcc_ref.credits import (
    ATTESTATION,
    Credit,
    CreditRejected,
    CurrencyValue,
    Nonce,
    PrivateKey,
    UnblindedCredit,
    blind_rsa,
    credit,
    currency,
)
from openpcc_ref.protobuf.credit_pb2 import Credit as Message

HOUR = 1735689600
NONCE = Nonce(HOUR, bytes(range(16)))

credits = st.builds(
    Credit,
    st.builds(CurrencyValue, st.integers(0, currency.CODES - 1), st.booleans()),
    st.builds(Nonce, st.integers(-(1 << 63), (1 << 63) - 1), st.binary(min_size=16, max_size=16)),
    st.binary(min_size=1, max_size=600),
)


def known_factor(key: PrivateKey) -> int:
    """Return the blinding factor of the known answers: digests of numbered labels, one after another."""
    blocks = key.public_key.length // 64
    digests = b"".join(sha512(f"openpcc payments r {block}".encode()).digest() for block in range(blocks))
    return int.from_bytes(digests, "big") % key.public_key.modulus


def made(key: PrivateKey, value: CurrencyValue, nonce: Nonce = NONCE) -> Credit:
    """Return a credit, made with the blinding factor of the known answers."""
    state = blind_rsa.blind(key.public_key, nonce.blind_bytes, value.blind_bytes, blinding_factor=known_factor(key))
    blind_signature = blind_rsa.blind_sign(key, state.blinded_message, value.blind_bytes)
    return Credit(value, nonce, blind_rsa.finalize(state, blind_signature))


@pytest.mark.parametrize(
    ("key", "value", "size", "signature_begins", "digest"),
    [
        (DEPLOYED_1024, currency.exact(17), 165, "95a456fe7c6afb6b", None),
        (DEPLOYED_1024, ATTESTATION, 165, "789d971ae7f8e8a6", None),
        (
            DRAFT_2048,
            currency.exact(262144),
            293,
            "13b4a50b989e16c6",
            "fe9f396b55db48fa9caefde8bfddebd0995fe3502ed9f47f8d2cd2f3521482fc",
        ),
    ],
)
def test_credits_that_were_calculated_elsewhere(
    key: PrivateKey, value: CurrencyValue, size: int, signature_begins: str, digest: str | None
) -> None:
    """Calculated with another implementation of the same text, two of them also verified by OpenSSL."""
    paid = made(key, value)
    data = credit.encode_credit(paid)
    assert len(data) == size
    assert paid.signature.hex().startswith(signature_begins)
    assert digest in (None, sha256(data).hexdigest())
    credit.verify_credit(key.public_key, paid)


@given(paid=credits)
def test_a_credit_survives_all_its_forms(paid: Credit) -> None:
    assert credit.decode_credit(Credit, credit.encode_credit(paid)) == paid
    assert credit.decode_text(Credit, credit.encode_text(paid)) == paid


@given(paid=credits)
def test_the_two_kinds_are_equal_on_the_wire_and_nowhere_else(paid: Credit) -> None:
    unblinded = credit.decode_credit(UnblindedCredit, credit.encode_credit(paid))
    assert isinstance(unblinded, UnblindedCredit)
    assert credit.encode_credit(unblinded) == credit.encode_credit(paid)
    assert len({unblinded, paid}) == 2
    assert not isinstance(unblinded, Credit)


@given(data=st.binary(max_size=200))
def test_arbitrary_octets_are_a_credit_or_refused_in_one_way(data: bytes) -> None:
    try:
        credit.decode_credit(Credit, data)
    except CreditRejected as rejected:
        assert rejected.code.split(".")[0] in ("credit", "currency", "nonce")  # noqa: PT017 - either is fine


@settings(max_examples=300)
@given(data=st.data())
def test_damaged_credits_decode_or_are_refused_in_one_way(data: st.DataObject) -> None:
    octets = bytearray(credit.encode_credit(Credit(currency.exact(17), NONCE, b"\xaa" * 8)))
    for _ in range(data.draw(st.integers(1, 4))):
        position = data.draw(st.integers(0, len(octets) - 1))
        octets[position : position + data.draw(st.integers(0, 1))] = data.draw(st.binary(max_size=2))
    try:
        decoded = credit.decode_credit(Credit, bytes(octets))
    except CreditRejected:
        return
    assert credit.decode_credit(Credit, credit.encode_credit(decoded)) == decoded


@given(text=st.text(max_size=80))
def test_arbitrary_text_is_refused_in_one_way(text: str) -> None:
    with pytest.raises(CreditRejected):
        credit.decode_text(Credit, text)


def test_every_truncation_is_refused_except_inside_the_signature_s_end() -> None:
    data = credit.encode_credit(Credit(currency.exact(17), NONCE, b"\xaa" * 8))
    for length in range(len(data)):
        with pytest.raises(CreditRejected, match=r"^credit\."):
            credit.decode_credit(Credit, data[:length])


@pytest.mark.parametrize("member", ["value", "nonce", "signature"])
def test_a_missing_part_is_named(member: str) -> None:
    message = credit.to_message(Credit(currency.exact(17), NONCE, b"\xaa"))
    message.ClearField(member)
    with pytest.raises(CreditRejected, match=rf"credit\.{member}\.absent at credit\.{member}"):
        credit.from_message(Credit, message)


def test_a_signature_of_a_mebibyte_is_decoded_and_then_refused() -> None:
    message = credit.to_message(Credit(currency.exact(17), NONCE, bytes(1 << 20)))
    paid = credit.decode_credit(Credit, message.SerializeToString())
    with pytest.raises(CreditRejected, match=r"blind-rsa\.signature\.length"):
        credit.verify_credit(DEPLOYED_1024.public_key, paid)


@pytest.mark.parametrize("text", ["=", "A", "CgQ", "CgQ=", "\u00e9", "CgIC_g==", "CgIC/g==\n"])
def test_other_base64_is_refused(text: str) -> None:
    with pytest.raises(CreditRejected):
        credit.decode_text(Credit, text)
    paid = credit.encode_text(Credit(currency.exact(17), NONCE, b"\xfb" * 130))
    for edit in (
        paid.replace("+", "-").replace("/", "_"),
        paid.rstrip("="),
        paid + "\n",
        " " + paid,
        paid[:40] + "\n" + paid[40:],
    ):
        assert edit == paid or _refuses(edit, "credit.text.base64")


def _refuses(text: str, code: str) -> bool:
    with pytest.raises(CreditRejected) as refusal:
        credit.decode_text(Credit, text)
    return refusal.value.code == code


def test_each_changed_part_makes_verification_fail() -> None:
    paid = made(DEPLOYED_1024, currency.exact(17))
    key = DEPLOYED_1024.public_key
    credit.verify_credit(key, paid)
    for other in (
        Credit(currency.exact(18), paid.nonce, paid.signature),
        Credit(CurrencyValue(paid.value.code, special=True), paid.nonce, paid.signature),
        Credit(CurrencyValue(511), paid.nonce, paid.signature),
        Credit(paid.value, Nonce(HOUR + 3600, paid.nonce.random), paid.signature),
        Credit(paid.value, Nonce(HOUR + 1, paid.nonce.random), paid.signature),
        Credit(paid.value, Nonce(HOUR, coins("credit", "other", 16)), paid.signature),
        Credit(paid.value, paid.nonce, made(DEPLOYED_1024, currency.exact(18)).signature),
    ):
        with pytest.raises(CreditRejected, match=r"blind-rsa\.signature\.invalid"):
            credit.verify_credit(key, other)


def test_the_clock_plays_no_part_in_verification() -> None:
    for timestamp in (0, -3600, 1 << 50, 17):
        paid = made(DEPLOYED_1024, currency.exact(17), Nonce(timestamp, bytes(16)))
        credit.verify_credit(DEPLOYED_1024.public_key, paid)


def test_fields_with_unknown_numbers_are_ignored() -> None:
    paid = Credit(currency.exact(17), NONCE, b"\xaa")
    assert credit.decode_credit(Credit, credit.encode_credit(paid) + bytes.fromhex("2001" + "f23f03616263")) == paid


def test_of_a_part_that_is_there_twice_the_last_counts() -> None:
    first, second = (Message(signature=signature).SerializeToString() for signature in (b"\xaa", b"\xbb"))
    whole = credit.encode_credit(Credit(currency.exact(17), NONCE, b"\xcc"))
    assert credit.decode_credit(Credit, whole + first + second).signature == b"\xbb"


def test_a_credit_never_shows_what_makes_it_money() -> None:
    paid = made(DEPLOYED_1024, currency.exact(17))
    shown = repr(paid)
    assert paid.signature.hex() not in shown
    assert repr(paid.signature)[2:20] not in shown
    with pytest.raises(CreditRejected) as refusal:
        credit.verify_credit(DRAFT_2048.public_key, paid)
    assert to_text(paid.signature)[:8] not in str(refusal.value)
