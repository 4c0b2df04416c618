"""The configuration that the AuthBank gives to clients, octet by octet."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openpcc_ref.banking.client_config import (
    ClientConfig,
    IdentityPolicy,
    decode_client_config,
    encode_client_config,
)
from openpcc_ref.banking.errors import BankingRejected
from openpcc_ref.errors import Rejected

CONFIG = ClientConfig("http://r.test", "http://b.test", ("http://1.test", "https://2.test/x"), b"\xaa\xbb", b"\xcc")


def text(tag: int, value: str) -> bytes:
    return bytes([tag, len(value)]) + value.encode()


PARTS = (
    text(0x12, "http://r.test"),
    text(0x1A, "http://b.test"),
    b"\x2a\x0f" + text(0x0A, "http://1.test"),
    b"\x2a\x12" + text(0x0A, "https://2.test/x"),
    b"\x3a\x02\xaa\xbb",
    b"\x42\x01\xcc",
)


def test_every_octet() -> None:
    assert encode_client_config(CONFIG) == b"".join(PARTS)
    assert decode_client_config(b"".join(PARTS)) == CONFIG


@pytest.mark.parametrize(
    ("policy", "octets"),
    [
        (IdentityPolicy(), b"\x4a\x00"),
        (IdentityPolicy("i", "j", "s", "t"), b"\x4a\x0c" + b"".join(map(text, (0x0A, 0x12, 0x1A, 0x22), "ijst"))),
        (IdentityPolicy(oidc_issuer="", oidc_subject_regex="t"), b"\x4a\x05\x0a\x00\x22\x01t"),
    ],
)
def test_the_identity_policy(policy: IdentityPolicy, octets: bytes) -> None:
    config = replace(CONFIG, identity_policy=policy)
    assert encode_client_config(config) == b"".join(PARTS) + octets
    assert decode_client_config(b"".join(PARTS) + octets) == config


def without(*numbers: int) -> bytes:
    return b"".join(part for number, part in enumerate(PARTS) if number not in numbers)


def test_any_order_of_fields_and_unknown_ones() -> None:
    assert decode_client_config(b"".join(reversed(PARTS[:2] + PARTS[4:])) + PARTS[2] + PARTS[3]) == CONFIG
    assert decode_client_config(b"".join(PARTS) + b"\x32\x01x\xa2\x06\x01x") == CONFIG


def test_addresses_that_clients_do_not_use_may_be_empty() -> None:
    assert decode_client_config(without(0, 1)) == replace(CONFIG, router_url="", bank_url="")


@pytest.mark.parametrize(
    ("data", "code", "where"),
    [
        (without(2, 3), "config.no-relay", "relays"),
        (without(4), "config.no-bundle", "ohttp_key_configs_bundle"),
        (without(5), "config.no-bundle", "currency_key_bundle"),
        (without(5) + b"\x42\x00", "config.no-bundle", "currency_key_bundle"),
        (without() + b"\x2a\x00", "config.url", "relays[2].url"),
        (without() + b"\x2a\x05" + text(0x0A, "x.y"), "config.url", "relays[2].url"),
        (without() + text(0x12, "ftp://r.test"), "config.url", "router_url"),
        (without() + text(0x1A, "http://["), "config.url", "bank_url"),
        (without() + b"\x12\x02\xff\xff", "message.malformed", ""),
        (without()[:-1], "message.malformed", ""),
        (b"", "config.no-relay", "relays"),
    ],
)
def test_refusals(data: bytes, code: str, where: str) -> None:
    with pytest.raises(BankingRejected) as rejected:
        decode_client_config(data)
    assert rejected.value.code == code
    assert rejected.value.where.startswith(where)


@given(st.binary(max_size=200))
def test_any_octets_give_a_configuration_or_one_refusal(data: bytes) -> None:
    try:
        config = decode_client_config(data)
    except Rejected:
        return
    assert decode_client_config(encode_client_config(config)) == config
