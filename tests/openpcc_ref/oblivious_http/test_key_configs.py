"""Key configurations and lists of them: one encoding, and nothing salvaged from a faulty one."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openpcc_ref.hpke import KemId, kem
from openpcc_ref.oblivious_http import (
    KeyConfig,
    ObliviousHttpRejected,
    SymmetricAlgorithm,
    decode_key_config,
    decode_key_configs,
    encode_key_config,
    encode_key_configs,
)
from openpcc_ref.oblivious_http.key_config import PUBLIC_KEY_LENGTH

PUBLIC_KEYS = {kem_id: kem(kem_id).derive_key_pair(bytes(32)).public_key for kem_id in KemId}

algorithms = st.builds(SymmetricAlgorithm, st.integers(1, 3), st.integers(1, 3))


@st.composite
def key_configs(draw: st.DrawFn) -> KeyConfig:
    kem_id = draw(st.sampled_from(sorted(PUBLIC_KEY_LENGTH)))
    public_key = PUBLIC_KEYS[KemId(kem_id)] if kem_id in set(KemId) else bytes(PUBLIC_KEY_LENGTH[kem_id])
    pairs = draw(st.lists(algorithms, min_size=1, max_size=9))
    return KeyConfig(draw(st.integers(0, 255)), kem_id, public_key, tuple(pairs))


CONFIG = KeyConfig(7, 0x0020, PUBLIC_KEYS[KemId.DHKEM_X25519], (SymmetricAlgorithm(1, 1), SymmetricAlgorithm(1, 3)))


def refusal(data: bytes) -> str:
    """Return the code with which a list is refused."""
    with pytest.raises(ObliviousHttpRejected) as refused:
        decode_key_configs(data)
    return refused.value.code.removeprefix("oblivious-http.")


@given(configs=st.lists(key_configs(), max_size=4))
def test_what_is_encoded_is_decoded(configs: list[KeyConfig]) -> None:
    assert decode_key_configs(encode_key_configs(configs)) == tuple(configs)


@given(data=st.binary(max_size=100))
def test_arbitrary_bytes_are_refused_or_canonical(data: bytes) -> None:
    code = ""
    try:
        assert encode_key_configs(decode_key_configs(data)) == data
    except ObliviousHttpRejected as rejected:
        code = rejected.code
    assert not code or code.startswith("oblivious-http.key-config")


@given(
    configs=st.lists(key_configs(), min_size=1, max_size=3), position=st.integers(0, 10**6), byte=st.integers(0, 255)
)
def test_one_changed_byte_gives_another_list_or_none(configs: list[KeyConfig], position: int, byte: int) -> None:
    data = bytearray(encode_key_configs(configs))
    data[position % len(data)] = byte
    try:
        decoded = decode_key_configs(bytes(data))
    except ObliviousHttpRejected:
        return
    assert encode_key_configs(decoded) == bytes(data)


def test_list_cut_at_any_byte_is_refused_whole() -> None:
    data = encode_key_configs([CONFIG, replace(CONFIG, key_id=8)])
    entry = len(data) // 2
    for cut in range(len(data)):
        if cut in (0, entry):
            assert len(decode_key_configs(data[:cut])) == cut // entry
        else:
            assert refusal(data[:cut]) == "key-configs.truncated"


def test_configuration_cut_at_any_byte_is_refused() -> None:
    data = encode_key_config(CONFIG)
    for cut in range(len(data)):
        with pytest.raises(ObliviousHttpRejected) as refused:
            decode_key_config(data[:cut])
        fault = "truncated" if cut < len(data) - 8 else "algorithms-length"
        assert refused.value.code == f"oblivious-http.key-config.{fault}"


@pytest.mark.parametrize("extra", [1, 4, 100])
def test_bytes_left_over_discard_the_whole_list(extra: int) -> None:
    entry = encode_key_config(CONFIG) + bytes(extra)
    good = encode_key_configs([CONFIG])
    bad = len(entry).to_bytes(2, "big") + entry
    for data in (bad, good + bad, bad + good):
        assert refusal(data) == "key-config.trailing"


@pytest.mark.parametrize("length", [n for n in range(1, 13) if n not in (4, 8)])
def test_length_of_algorithms_fits_whole_pairs(length: int) -> None:
    data = encode_key_config(CONFIG)
    changed = data[:35] + length.to_bytes(2, "big") + data[37:].ljust(length, b"\0")[:length]
    if length == 12:
        changed = data[:35] + length.to_bytes(2, "big") + data[37:]
    with pytest.raises(ObliviousHttpRejected) as refused:
        decode_key_config(changed)
    assert refused.value.code == "oblivious-http.key-config.algorithms-length"


def test_most_algorithms_a_configuration_can_carry() -> None:
    most = replace(CONFIG, algorithms=CONFIG.algorithms[:1] * (65532 // 4))
    assert decode_key_config(encode_key_config(most)) == most
    with pytest.raises((ValueError, OverflowError)):
        encode_key_config(replace(CONFIG, algorithms=CONFIG.algorithms[:1] * (65532 // 4 + 1)))


@pytest.mark.parametrize(("kdf_id", "aead_id"), list(itertools.product((0, 4, 0xFFFF), (1, 0, 4, 0xFFFF))))
def test_unknown_algorithm_anywhere_discards_the_list(kdf_id: int, aead_id: int) -> None:
    data = encode_key_configs(
        [CONFIG, replace(CONFIG, algorithms=(*CONFIG.algorithms, SymmetricAlgorithm(kdf_id, aead_id)))]
    )
    assert refusal(data) == "key-config.algorithm"


@pytest.mark.parametrize("kem_id", [0, 0x0022, 0x0031, 0xFFFF])
def test_unknown_mechanism_discards_the_list(kem_id: int) -> None:
    data = encode_key_config(CONFIG)
    entry = data[:1] + kem_id.to_bytes(2, "big") + data[3:]
    assert refusal(encode_key_configs([CONFIG]) + len(entry).to_bytes(2, "big") + entry) == "key-config.kem"


@pytest.mark.parametrize(
    "config",
    [
        replace(CONFIG, algorithms=()),
        replace(CONFIG, public_key=bytes(31)),
        replace(CONFIG, kem_id=0x0031),
        replace(CONFIG, key_id=256),
        replace(CONFIG, key_id=-1),
    ],
)
def test_what_the_format_cannot_carry_is_not_encoded(config: KeyConfig) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        encode_key_config(config)


def test_p256_key_has_to_be_on_the_curve() -> None:
    config = replace(CONFIG, kem_id=0x0010, public_key=b"\x04" + bytes(63) + b"\1")
    assert refusal(encode_key_configs([config])) == "key-config.public-key"
