"""Badges: encoding, signature and refusal."""

from __future__ import annotations

import itertools

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from openpcc_ref import badges
from openpcc_ref.badges import BadgeRejected
from openpcc_ref.base64_text import to_text

SECRET_KEY = bytes(range(32))
PUBLIC_KEY = Ed25519PrivateKey.from_private_bytes(SECRET_KEY).public_key().public_bytes_raw()

names = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=40)
lists = st.lists(names, max_size=8, unique=True)


@given(models=lists)
def test_a_signed_badge_survives_its_text_form(models: list[str]) -> None:
    badge = badges.sign_badge(models, SECRET_KEY)
    assert badges.decode_text(badges.encode_text(badge)) == badge
    assert badge.models == tuple(sorted(models))
    badges.require_signature(badge, PUBLIC_KEY)
    for model in models:
        badges.require_model(badge, model)


@given(models=st.permutations(["a", "B", "a b", "ab", "~"]))
def test_equal_lists_give_equal_badges(models: list[str]) -> None:
    assert badges.sign_badge(models, SECRET_KEY) == badges.sign_badge(sorted(models), SECRET_KEY)


@given(data=st.binary(max_size=100))
def test_arbitrary_octets_decode_canonically_or_are_refused(data: bytes) -> None:
    try:
        models = badges.decode_models(data)
    except BadgeRejected:
        return
    assert badges.encode_models(models) == data


@given(text=st.text(max_size=60))
def test_arbitrary_text_is_refused_in_one_way(text: str) -> None:
    try:
        badge = badges.decode_text(text)
    except BadgeRejected:
        return
    with pytest.raises(BadgeRejected, match=r"badge\.signature"):
        badges.require_signature(badge, PUBLIC_KEY)


def test_every_truncation_of_the_models_is_refused() -> None:
    data = badges.encode_models(["gemma3:1b", "llama3.2:1b"])
    boundary = 4 + len("gemma3:1b")
    for length in set(range(1, len(data))) - {boundary}:
        with pytest.raises(BadgeRejected, match=r"badge\.models\.truncated"):
            badges.decode_models(data[:length])
    assert badges.decode_models(data[:boundary]) == ("gemma3:1b",)


def test_no_bit_of_a_badge_can_be_changed() -> None:
    data = badges.encode_badge(badges.sign_badge(["gemma3:1b"], SECRET_KEY))
    for offset, bit in itertools.product(range(len(data)), range(8)):
        changed = data[:offset] + bytes([data[offset] ^ 1 << bit]) + data[offset + 1 :]
        with pytest.raises(BadgeRejected):
            badges.require_signature(badges.decode_text(to_text(changed)), PUBLIC_KEY)


def test_a_claimed_length_is_never_allocated() -> None:
    with pytest.raises(BadgeRejected, match=r"at most 1 bytes of name"):
        badges.decode_models(b"\xff\xff\xff\xffa")


@pytest.mark.parametrize("models", [[""], ["a\tb"], ["é"], ["\x7f"], ["😀"]])
def test_other_names_are_not_encoded(models: list[str]) -> None:
    with pytest.raises(ValueError, match="printable ASCII"):
        badges.encode_models(models)


def test_a_name_is_not_encoded_twice() -> None:
    with pytest.raises(ValueError, match="each model once"):
        badges.sign_badge(["a", "b", "a"], SECRET_KEY)


def test_the_largest_badge_that_fits_into_its_field() -> None:
    """46 names of eleven bytes fit, 47 do not."""
    for count, fits in ((46, True), (47, False)):
        badge = badges.sign_badge([f"model-{number:05}" for number in range(count)], SECRET_KEY)
        assert (len(badges.encode_badge(badge)) <= badges.MAX_BADGE) is fits
        assert (len(badges.encode_text(badge)) <= 1024) is fits
