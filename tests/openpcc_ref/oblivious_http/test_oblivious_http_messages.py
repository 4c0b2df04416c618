"""Requests and responses in both forms: every split, every cut, every spoiled byte."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from typing import Protocol

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openpcc_ref.chunked_stream import ChunkedStreamRejected
from openpcc_ref.errors import Rejected
from openpcc_ref.hpke import AeadId, KdfId, KemId
from openpcc_ref.oblivious_http import (
    MAX_UNCHUNKED,
    Form,
    GatewayKey,
    ObliviousHttpRejected,
    RequestOpener,
    RequestSealer,
    ResponseContext,
    ResponseOpener,
    ResponseSealer,
    SymmetricAlgorithm,
    derive_gateway_key,
    open_request,
    open_response,
    seal_request,
    seal_response,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ALGORITHMS = tuple(SymmetricAlgorithm(kdf_id, aead_id) for kdf_id, aead_id in itertools.product(KdfId, AeadId))
KEYS = {kem_id: derive_gateway_key(5, kem_id, bytes(range(32)), ALGORITHMS) for kem_id in KemId}
KEY = KEYS[KemId.DHKEM_X25519]

forms = st.sampled_from(Form)
keys = st.sampled_from(list(KEYS.values()))
algorithms = st.sampled_from(ALGORITHMS)
chunk_lists = st.lists(st.binary(min_size=1, max_size=40), max_size=4)


class Sealer(Protocol):
    def header(self) -> bytes: ...
    def seal(self, data: bytes) -> bytes: ...
    def finish(self, data: bytes = b"") -> bytes: ...


class Opener(Protocol):
    @property
    def final_seen(self) -> bool: ...
    def feed(self, data: bytes) -> list[bytes]: ...
    def finish(self) -> list[bytes]: ...


def written(sealer: Sealer, form: Form, chunks: list[bytes]) -> bytes:
    """Return a whole message with these chunks, or with all of them in one."""
    if form is Form.UNCHUNKED:
        return sealer.header() + sealer.finish(b"".join(chunks))
    return b"".join([sealer.header(), *map(sealer.seal, chunks), sealer.finish()])


def read(opener: Opener, *pieces: bytes) -> bytes:
    """Return the plaintext of a message that arrives in these pieces."""
    opened = [chunk for piece in pieces for chunk in opener.feed(piece)]
    assert not opener.final_seen
    opened += opener.finish()
    assert opener.final_seen
    return b"".join(opened)


def request(form: Form, chunks: list[bytes], key: GatewayKey = KEY) -> tuple[bytes, ResponseContext]:
    sealer = RequestSealer(key.config, form, random=lambda n: bytes(range(n)))
    return written(sealer, form, chunks), sealer.context


def response(context: ResponseContext, form: Form, chunks: list[bytes]) -> bytes:
    return written(ResponseSealer(context, form, random=bytes), form, chunks)


@given(
    key=keys,
    algorithm=algorithms,
    form=forms,
    back=forms,
    chunks=chunk_lists,
    answer=chunk_lists,
    seed=st.binary(max_size=64),
)
def test_exchange_in_every_suite_and_form(
    key: GatewayKey,
    algorithm: SymmetricAlgorithm,
    form: Form,
    back: Form,
    chunks: list[bytes],
    answer: list[bytes],
    seed: bytes,
) -> None:
    sealer = RequestSealer(key.config, form, random=lambda n: seed.ljust(64, b"\1")[:n], algorithm=algorithm)
    opener = RequestOpener([key], form, NOW)
    assert read(opener, written(sealer, form, chunks)) == b"".join(chunks)
    assert opener.context is not None
    sealed = written(ResponseSealer(opener.context, back, random=lambda n: seed.ljust(64, b"\2")[:n]), back, answer)
    assert opener.context.nonce_length == max(AeadId(algorithm.aead_id).nk, 12)
    assert read(ResponseOpener(sealer.context, back), sealed) == b"".join(answer)


@pytest.mark.parametrize("form", Form)
def test_every_split_in_two_and_byte_by_byte(form: Form) -> None:
    chunks = [b"first", b"x", bytes(70)]
    sealed, client = request(form, chunks)
    answer = response(client, form, chunks)
    for cut in range(len(sealed) + 1):
        assert read(RequestOpener([KEY], form, NOW), sealed[:cut], sealed[cut:]) == b"".join(chunks)
    for cut in range(len(answer) + 1):
        assert read(ResponseOpener(client, form), answer[:cut], answer[cut:]) == b"".join(chunks)
    assert read(RequestOpener([KEY], form, NOW), *(sealed[i : i + 1] for i in range(len(sealed)))) == b"".join(chunks)
    assert read(ResponseOpener(client, form), *(answer[i : i + 1] for i in range(len(answer)))) == b"".join(chunks)


@pytest.mark.parametrize("form", Form)
@pytest.mark.parametrize("kem_id", [KemId.DHKEM_P256, KemId.DHKEM_X25519])
def test_request_cut_at_every_byte_is_refused(form: Form, kem_id: KemId) -> None:
    key = KEYS[kem_id]
    sealed, _ = request(form, [b"first", b"second"], key)
    body = 7 + len(sealed[7:]) - len(request(form, [b"first", b"second"], key)[0][7 + _nenc(key) :])
    for cut in range(len(sealed)):
        opener = RequestOpener([key], form, NOW)
        with pytest.raises(Rejected) as refused:
            read(opener, sealed[:cut])
        assert not opener.final_seen
        if cut < 7:
            assert refused.value.code == "oblivious-http.header.truncated"
        elif cut < body:
            assert refused.value.code == "oblivious-http.request.truncated"
        else:
            assert refused.value.code.startswith(("oblivious-http.request.open", "chunked-stream."))


def _nenc(key: GatewayKey) -> int:
    return {KemId.DHKEM_P256: 65, KemId.DHKEM_X25519: 32, KemId.X25519_KYBER768_DRAFT00: 1120}[KemId(key.config.kem_id)]


@pytest.mark.parametrize("form", Form)
def test_response_cut_at_every_byte_is_refused(form: Form) -> None:
    _, client = request(form, [b"request"])
    sealed = response(client, form, [b"first", b"second"])
    for cut in range(len(sealed)):
        opener = ResponseOpener(client, form)
        with pytest.raises(Rejected) as refused:
            read(opener, sealed[:cut])
        assert not opener.final_seen
        if cut < client.nonce_length:
            assert refused.value.code == "oblivious-http.response.truncated"


@pytest.mark.slow
@pytest.mark.parametrize("form", Form)
@pytest.mark.parametrize("kem_id", KemId)
def test_one_bit_of_any_byte_of_a_request_spoils_it(form: Form, kem_id: KemId) -> None:
    key = KEYS[kem_id]
    sealed, _ = request(form, [b"first", b"second"], key)
    for position in range(len(sealed)):
        spoiled = bytearray(sealed)
        spoiled[position] ^= 1
        opener = RequestOpener([key], form, NOW)
        with pytest.raises((ObliviousHttpRejected, ChunkedStreamRejected)):
            read(opener, bytes(spoiled))
        assert not opener.final_seen


@pytest.mark.parametrize("form", Form)
def test_one_bit_of_any_byte_of_a_response_spoils_it(form: Form) -> None:
    _, client = request(form, [b"request"])
    sealed = response(client, form, [b"first", b"second"])
    for position, bit in itertools.product(range(len(sealed)), range(8)):
        spoiled = bytearray(sealed)
        spoiled[position] ^= 1 << bit
        with pytest.raises((ObliviousHttpRejected, ChunkedStreamRejected)):
            read(ResponseOpener(client, form), bytes(spoiled))


@given(form=forms, data=st.binary(max_size=200), known=st.booleans())
def test_arbitrary_bytes_are_refused(form: Form, data: bytes, known: bool) -> None:
    _, client = request(form, [b"request"])
    header = bytes.fromhex("05002000010001") if known else b""
    with pytest.raises((ObliviousHttpRejected, ChunkedStreamRejected)):
        read(RequestOpener([KEY], form, NOW), header + data)
    with pytest.raises((ObliviousHttpRejected, ChunkedStreamRejected)):
        read(ResponseOpener(client, form), data)


@pytest.mark.parametrize(("sealed_as", "opened_as"), list(itertools.permutations(Form)))
def test_neither_form_can_be_read_as_the_other(sealed_as: Form, opened_as: Form) -> None:
    sealed, client = request(sealed_as, [b"first", b"second"])
    with pytest.raises(Rejected):
        read(RequestOpener([KEY], opened_as, NOW), sealed)
    with pytest.raises(Rejected):
        read(ResponseOpener(client, opened_as), response(client, sealed_as, [b"first", b"second"]))


@pytest.mark.parametrize("form", Form)
def test_response_belongs_to_its_request(form: Form) -> None:
    first = RequestSealer(KEY.config, form, random=bytes)
    second = RequestSealer(KEY.config, form, random=lambda n: b"\1" * n)
    sealed = response(first.context, form, [b"answer"])
    assert read(ResponseOpener(first.context, form), sealed) == b"answer"
    with pytest.raises(Rejected):
        read(ResponseOpener(second.context, form), sealed)


def test_header_is_bound_to_the_key() -> None:
    """The same key pair under two identifiers: only the info differs."""
    other = derive_gateway_key(6, KemId.DHKEM_X25519, bytes(range(32)), ALGORITHMS)
    sealed, _ = request(Form.UNCHUNKED, [b"request"])
    for position, value in ((0, 6), (4, KdfId.HKDF_SHA384), (6, AeadId.CHACHA20_POLY1305)):
        moved = sealed[:position] + bytes([value]) + sealed[position + 1 :]
        with pytest.raises(ObliviousHttpRejected) as refused:
            open_request([KEY, other], moved, NOW)
        assert refused.value.code == "oblivious-http.request.open"


def test_zero_x25519_key_is_refused() -> None:
    for key in (KEY, KEYS[KemId.X25519_KYBER768_DRAFT00]):
        sealed, _ = request(Form.UNCHUNKED, [b"request"], key)
        with pytest.raises(ObliviousHttpRejected) as refused:
            open_request([key], sealed[:7] + bytes(32) + sealed[39:], NOW)
        assert refused.value.code == "oblivious-http.request.decapsulation"


def test_unusable_public_key_is_refused_by_the_client() -> None:
    config = derive_gateway_key(1, KemId.DHKEM_X25519, bytes(32)).config
    unusable = type(config)(config.key_id, config.kem_id, bytes(32), config.algorithms)
    with pytest.raises(ObliviousHttpRejected) as refused:
        seal_request(unusable, b"request", random=bytes)
    assert refused.value.code == "oblivious-http.request.public-key"


def test_unchunked_message_is_bounded() -> None:
    start, client = request(Form.UNCHUNKED, [])
    openers: dict[str, tuple[Opener, bytes]] = {
        "request": (RequestOpener([KEY], Form.UNCHUNKED, NOW), start[:39]),
        "response": (ResponseOpener(client, Form.UNCHUNKED), bytes(client.nonce_length)),
    }
    for part, (opener, head) in openers.items():
        assert opener.feed(head + bytes(MAX_UNCHUNKED)) == []
        with pytest.raises(ObliviousHttpRejected) as refused:
            opener.feed(b"\0")
        assert refused.value.code == f"oblivious-http.{part}.long"


def test_fresh_randomness_makes_every_message_different() -> None:
    drawn = iter(range(1, 100))
    first, client = seal_request(KEY.config, b"request", random=lambda n: bytes([next(drawn)]) * n)
    second, _ = seal_request(KEY.config, b"request", random=lambda n: bytes([next(drawn)]) * n)
    assert first[7:39] != second[7:39]
    _, gateway = open_request([KEY], first, NOW)
    answers = [seal_response(gateway, b"answer", random=lambda n: bytes([next(drawn)]) * n) for _ in range(2)]
    assert answers[0] != answers[1]
    assert [open_response(client, answer) for answer in answers] == [b"answer", b"answer"]


def test_chunk_limit_of_a_gateway() -> None:
    sealed, _ = request(Form.CHUNKED, [bytes(4096)])
    assert read(RequestOpener([KEY], Form.CHUNKED, NOW, max_chunk=4096), sealed) == bytes(4096)
    with pytest.raises(ChunkedStreamRejected) as refused:
        read(RequestOpener([KEY], Form.CHUNKED, NOW, max_chunk=4095), sealed)
    assert refused.value.code == "chunked-stream.chunk.long"


def test_misuse_is_no_refusal() -> None:
    config = KEY.config
    with pytest.raises(ValueError, match="does not offer"):
        RequestSealer(config, Form.CHUNKED, random=bytes, algorithm=SymmetricAlgorithm(9, 9))
    unreadable = type(config)(1, 0x0021, bytes(56), config.algorithms)
    with pytest.raises(ValueError, match="not implemented"):
        RequestSealer(unreadable, Form.CHUNKED, random=bytes)
    sealer = RequestSealer(config, Form.UNCHUNKED, random=bytes)
    with pytest.raises(ValueError, match="in one piece"):
        sealer.seal(b"chunk")
    sealer.finish(b"message")
    with pytest.raises(ValueError, match="has been sealed"):
        sealer.finish(b"again")


def test_no_secret_is_printed() -> None:
    _, client = request(Form.UNCHUNKED, [b"request"])
    keys = client.response_keys(Form.UNCHUNKED, bytes(16))
    shown = repr(client) + repr(keys) + repr(KEY)
    for secret in (client.hpke.key, client.hpke.exporter_secret, keys.aead_key, keys.secret, keys.prk, KEY.secret_key):
        assert repr(secret) not in shown
