"""Published examples of both forms, and answers that independent code computed for the deployed suite."""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import sha256

import pytest

from conformance.operations import operations
from conformance.vectors import files
from conformance.vectors.case import Case
from conformance.vectors.play import play
from openpcc_ref.hpke import KemId
from openpcc_ref.oblivious_http import (
    Form,
    RequestSealer,
    ResponseContext,
    ResponseSealer,
    derive_gateway_key,
    open_request,
    open_response,
    seal_request,
    seal_response,
)

PUBLISHED = [case for case in files.load("oblivious_http") if case.source]

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SEED = bytes.fromhex("0f4eda2e6c806018fb1082a6b0d8dc30c3aee556b41ac47cda7db81a57985997")
RANDOMNESS = bytes(range(64))
RESPONSE_NONCE = bytes(range(0xA0, 0xB0))

PING = bytes.fromhex(
    "0003474554046874747016636f6e667365632d726f757465722e696e76616c6964052f70696e67"
    "1e0a757365722d6167656e7412476f2d687474702d636c69656e742f312e310000"
).ljust(532, b"\0")

PONG = bytes.fromhex(
    "0140c8405b0e636f6e74656e742d6c656e67746801340c636f6e74656e742d7479706519746578742f706c61696e3b"
    "20636861727365743d7574662d3804646174651d5468752c203031204a616e20323032362030303a30303a303020474d54"
    "04706f6e6700"
).ljust(532, b"\0")


def digest(data: bytes) -> str:
    return sha256(data).hexdigest()


@pytest.mark.parametrize("case", PUBLISHED, ids=lambda case: case.id)
def test_published_value_holds(case: Case) -> None:
    play(case, operations())


def test_unchunked_exchange_of_the_deployed_suite() -> None:
    key = derive_gateway_key(1, KemId.X25519_KYBER768_DRAFT00, SEED)
    request, client = seal_request(key.config, PING, random=lambda _: RANDOMNESS)
    assert digest(client.enc) == "42f7958c4a1fb8243a5393f4ba8a1750ce706da1afb65164da3c2b47ea0c22b4"
    assert client.hpke.key.hex() == "8e5ecb31c24d4a72d1adba9011fa7a1f"
    assert client.hpke.base_nonce.hex() == "72485146894dff33571d9555"
    assert (len(request), digest(request)) == (
        1675,
        "9ea93c7bcd927a102815cdd4c106ae727c1b727f8f368e1186c9d9f1e8863eb4",
    )
    plaintext, gateway = open_request([key], request, NOW)
    assert plaintext == PING
    response = seal_response(gateway, PONG, random=lambda _: RESPONSE_NONCE)
    keys = client.response_keys(Form.UNCHUNKED, RESPONSE_NONCE)
    assert keys.secret.hex() == "a8653468288801c2bb64499a4d8350ca"
    assert keys.prk.hex() == "1da75188eae045d2ab19c157ab2ea5977c5832db113f9e89f28d96373008d1cc"
    assert (keys.aead_key.hex(), keys.aead_nonce.hex()) == (
        "16b86856c3efda42b2ddb34dac9831a0",
        "be027a89ed69d62b3bcdea71",
    )
    assert (len(response), digest(response)) == (
        564,
        "9e795c26b79fb4936f0ee262a7a70179adc5b17f120c6f010f10c366c09ed9ee",
    )
    assert open_response(client, response) == PONG


def test_chunked_exchange_of_the_deployed_suite() -> None:
    key = derive_gateway_key(1, KemId.X25519_KYBER768_DRAFT00, SEED)
    plaintext = bytes((7 * index + 3) % 256 for index in range(1064))
    sealer = RequestSealer(key.config, Form.CHUNKED, random=lambda _: RANDOMNESS)
    pieces = [sealer.header(), sealer.seal(plaintext[:532]), sealer.seal(plaintext[532:]), sealer.finish()]
    assert sealer.context.hpke.key.hex() == "17d0eca577d60ebdceb545e46f934731"
    assert pieces[1].hex().startswith("422468bf131cfc48012d3c9eb3698d9cba2a")
    assert pieces[3].hex() == "00840b54c8f303ecde7c73e9ab48f8e947"
    assert (len(b"".join(pieces)), digest(b"".join(pieces))) == (
        2244,
        "5460f7f5cc726eb55110e34ebd84968d6458a9110ae355f8879b50bce319a0cf",
    )
    answer = bytes((5 * index + 1) % 256 for index in range(532))
    response = sealed_response(sealer.context, answer)
    assert response[-17:].hex() == "00442ec591d5b3167c24f44e0519b7a3a8"
    assert (len(response), digest(response)) == (
        583,
        "074907b85a53eea89f585075db45d38d0d071794b3e97abac5f34dd85950d368",
    )


def sealed_response(context: ResponseContext, plaintext: bytes) -> bytes:
    sealer = ResponseSealer(context, Form.CHUNKED, random=lambda _: RESPONSE_NONCE)
    return sealer.header() + sealer.seal(plaintext) + sealer.finish()
