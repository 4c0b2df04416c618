"""Streams of sealed chunks: order, end, bounds, and every way to be cut or spoiled."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openpcc_ref import chunked_stream
from openpcc_ref.chunked_stream import FINAL_AAD, MAX_CHUNK, ChunkedStreamRejected, ChunkOpener, ChunkSealer
from openpcc_ref.hpke import AeadId, aead, nonce_at
from openpcc_ref.varint import encode_varint

NONCE = bytes(range(12))

aeads = st.sampled_from(AeadId)
plaintexts = st.lists(st.binary(min_size=1, max_size=60), max_size=6)


def key_of(aead_id: AeadId) -> bytes:
    return bytes(range(aead_id.nk))


def sealed(aead_id: AeadId, chunks: list[bytes], final: bytes = b"") -> list[bytes]:
    """Return each chunk framed, the final one last."""
    sealer = ChunkSealer(aead_id, key_of(aead_id), NONCE)
    return [*(sealer.seal(chunk) for chunk in chunks), sealer.seal_final(final)]


def opened(aead_id: AeadId, *pieces: bytes, max_plaintext: int = MAX_CHUNK) -> list[bytes]:
    """Return the plaintexts of a whole stream that arrives in these pieces."""
    opener = ChunkOpener(aead_id, key_of(aead_id), NONCE, max_plaintext)
    chunks = [chunk for piece in pieces for chunk in opener.feed(piece)]
    assert not opener.final_seen
    final = opener.finish()
    assert opener.final_seen
    return [*chunks, final]


def refusal(aead_id: AeadId, *pieces: bytes, max_plaintext: int = MAX_CHUNK) -> str:
    """Return the code with which a stream is refused."""
    with pytest.raises(ChunkedStreamRejected) as refused:
        opened(aead_id, *pieces, max_plaintext=max_plaintext)
    return refused.value.code.removeprefix("chunked-stream.")


@given(aead_id=aeads, chunks=plaintexts, final=st.binary(max_size=40), data=st.data())
def test_stream_opens_however_it_is_split(
    aead_id: AeadId, chunks: list[bytes], final: bytes, data: st.DataObject
) -> None:
    stream = b"".join(sealed(aead_id, chunks, final))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    pieces = [stream[a:b] for a, b in itertools.pairwise([0, *cuts, len(stream)])]
    assert opened(aead_id, *pieces) == [*chunks, final]


@pytest.mark.parametrize("aead_id", AeadId)
def test_every_split_in_two_and_byte_by_byte(aead_id: AeadId) -> None:
    chunks = [b"first chunk", b"x", bytes(100)]
    stream = b"".join(sealed(aead_id, chunks, b"end"))
    for cut in range(len(stream) + 1):
        assert opened(aead_id, stream[:cut], stream[cut:]) == [*chunks, b"end"]
    assert opened(aead_id, *(stream[i : i + 1] for i in range(len(stream)))) == [*chunks, b"end"]


def test_chunk_is_released_with_its_last_byte() -> None:
    first, second, final = sealed(AeadId.AES_128_GCM, [b"first", b"second"])
    opener = ChunkOpener(AeadId.AES_128_GCM, key_of(AeadId.AES_128_GCM), NONCE)
    assert opener.feed(first[:-1]) == []
    assert opener.feed(first[-1:] + second[:3]) == [b"first"]
    assert opener.feed(second[3:] + final) == [b"second"]
    assert opener.finish() == b""


@pytest.mark.parametrize("aead_id", AeadId)
def test_cut_at_every_byte_is_reported_as_what_is_missing(aead_id: AeadId) -> None:
    pieces = sealed(aead_id, [b"first", bytes(100)], b"end")
    stream = b"".join(pieces)
    borders = set(itertools.accumulate(map(len, pieces), initial=0))
    final_start = len(stream) - len(pieces[-1])
    for cut in range(len(stream)):
        code = refusal(aead_id, stream[:cut])
        if cut > final_start:
            assert code == "chunk.open"
        elif cut in borders:
            assert code == "final.missing"
        else:
            # The 100-byte chunk has a length of two bytes, of which only the first may have arrived.
            assert code == ("length.truncated" if cut == len(pieces[0]) + 1 else "chunk.truncated")


@pytest.mark.parametrize("aead_id", AeadId)
def test_one_bit_of_any_byte_spoils_the_stream(aead_id: AeadId) -> None:
    stream = b"".join(sealed(aead_id, [b"first", bytes(70)], b"end"))
    for position, bit in itertools.product(range(len(stream)), range(8)):
        spoiled = bytearray(stream)
        spoiled[position] ^= 1 << bit
        refusal(aead_id, bytes(spoiled))


@given(aead_id=aeads, chunks=st.lists(st.binary(min_size=1, max_size=20), min_size=1, max_size=4), data=st.data())
def test_any_other_sequence_of_the_same_chunks_is_refused(
    aead_id: AeadId, chunks: list[bytes], data: st.DataObject
) -> None:
    pieces = sealed(aead_id, chunks)
    indices = list(range(len(pieces)))
    order = data.draw(
        st.lists(st.sampled_from(indices), max_size=len(pieces) + 2).filter(lambda drawn: drawn != indices)
    )
    assert refusal(aead_id, *(pieces[index] for index in order)) in ("chunk.open", "final.missing")


@given(aead_id=aeads, data=st.binary(max_size=200))
def test_arbitrary_bytes_are_refused(aead_id: AeadId, data: bytes) -> None:
    refusal(aead_id, data)


@given(chunks=plaintexts, tail=st.binary(min_size=1, max_size=30))
def test_nothing_may_follow_the_final_chunk(chunks: list[bytes], tail: bytes) -> None:
    assert refusal(AeadId.AES_128_GCM, b"".join(sealed(AeadId.AES_128_GCM, chunks)) + tail) == "chunk.open"


def frame(sequence: int, plaintext: bytes, aad: bytes, length: bytes | None = None) -> bytes:
    """Return a chunk of a faulty sender."""
    body = aead.seal(AeadId.AES_128_GCM, key_of(AeadId.AES_128_GCM), nonce_at(NONCE, sequence), aad, plaintext)
    return (encode_varint(len(body)) if length is None else length) + body


def test_aad_tells_the_end_from_the_rest() -> None:
    aead_id = AeadId.AES_128_GCM
    assert opened(aead_id, frame(0, b"a", b""), frame(1, b"", FINAL_AAD, b"\0")) == [b"a", b""]
    assert refusal(aead_id, frame(0, b"a", b""), frame(1, b"", b"", b"\0")) == "chunk.open"
    assert refusal(aead_id, frame(0, b"a", FINAL_AAD), frame(1, b"", FINAL_AAD, b"\0")) == "chunk.open"


def test_empty_chunk_before_the_end_is_refused_and_never_sealed() -> None:
    aead_id = AeadId.AES_128_GCM
    assert refusal(aead_id, frame(0, b"", b""), frame(1, b"", FINAL_AAD, b"\0")) == "chunk.empty"
    with pytest.raises(ValueError, match="only the final chunk may be empty"):
        ChunkSealer(aead_id, key_of(aead_id), NONCE).seal(b"")


@pytest.mark.parametrize("width", [2, 4, 8])
def test_longer_varints_than_necessary_are_accepted(width: int) -> None:
    prefix = (width.bit_length() - 1) << (8 * width - 2)
    chunk = frame(0, b"data", b"", (20 | prefix).to_bytes(width, "big"))
    final = frame(1, b"end", FINAL_AAD, prefix.to_bytes(width, "big"))
    for stream in ([chunk + final], [bytes([byte]) for byte in chunk + final]):
        assert opened(AeadId.AES_128_GCM, *stream) == [b"data", b"end"]


@pytest.mark.parametrize("length", range(1, 16))
def test_length_below_a_tag_is_refused_at_once(length: int) -> None:
    opener = ChunkOpener(AeadId.AES_128_GCM, key_of(AeadId.AES_128_GCM), NONCE)
    with pytest.raises(ChunkedStreamRejected) as refused:
        opener.feed(bytes([length]))
    assert refused.value.code == "chunked-stream.chunk.short"


@pytest.mark.parametrize("length", [MAX_CHUNK + 17, 2**20, 2**40, 2**62 - 1])
def test_length_above_the_limit_is_refused_before_a_byte_of_the_chunk(length: int) -> None:
    opener = ChunkOpener(AeadId.AES_128_GCM, key_of(AeadId.AES_128_GCM), NONCE)
    with pytest.raises(ChunkedStreamRejected) as refused:
        opener.feed(encode_varint(length))
    assert refused.value.code == "chunked-stream.chunk.long"


@pytest.mark.parametrize("size", [1, 47, 48, 4096, 16367, 16368, MAX_CHUNK])
def test_chunks_up_to_the_limit_are_accepted(size: int) -> None:
    data = bytes(size)
    first, final = sealed(AeadId.AES_128_GCM, [data])
    assert opened(AeadId.AES_128_GCM, first, final) == [data, b""]
    assert opened(AeadId.AES_128_GCM, *sealed(AeadId.AES_128_GCM, [], data)) == [data]
    assert refusal(AeadId.AES_128_GCM, first, final, max_plaintext=size - 1) == "chunk.long"
    assert refusal(AeadId.AES_128_GCM, *sealed(AeadId.AES_128_GCM, [], data), max_plaintext=size - 1) == "chunk.long"


def test_final_chunk_beyond_the_limit_is_refused_while_it_arrives() -> None:
    opener = ChunkOpener(AeadId.AES_128_GCM, key_of(AeadId.AES_128_GCM), NONCE, 100)
    opener.feed(b"\0" + bytes(116))
    with pytest.raises(ChunkedStreamRejected) as refused:
        opener.feed(b"\0")
    assert refused.value.code == "chunked-stream.chunk.long"


def test_thousand_chunks_use_consecutive_nonces() -> None:
    chunks = [bytes([index % 256]) for index in range(1000)]
    pieces = sealed(AeadId.CHACHA20_POLY1305, chunks)
    assert opened(AeadId.CHACHA20_POLY1305, *pieces) == [*chunks, b""]
    key = key_of(AeadId.CHACHA20_POLY1305)
    for sequence in (0, 255, 256, 999):
        body = pieces[sequence][1:]
        assert aead.open_sealed(AeadId.CHACHA20_POLY1305, key, nonce_at(NONCE, sequence), b"", body) == chunks[sequence]


def test_counter_does_not_wrap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunked_stream, "MAX_CHUNKS", 2)
    sealer = ChunkSealer(AeadId.AES_128_GCM, bytes(16), NONCE)
    sealer.seal(b"a")
    sealer.seal(b"b")
    with pytest.raises(OverflowError, match="would wrap"):
        sealer.seal_final()


def test_finished_streams_take_nothing_more() -> None:
    sealer = ChunkSealer(AeadId.AES_128_GCM, key_of(AeadId.AES_128_GCM), NONCE)
    final = sealer.seal_final()
    with pytest.raises(ValueError, match="final chunk has been sealed"):
        sealer.seal(b"more")
    with pytest.raises(ValueError, match="final chunk has been sealed"):
        sealer.seal_final()
    opener = ChunkOpener(AeadId.AES_128_GCM, key_of(AeadId.AES_128_GCM), NONCE)
    opener.feed(final)
    opener.finish()
    with pytest.raises(ValueError, match="already been finished"):
        opener.feed(b"")
    with pytest.raises(ValueError, match="already been finished"):
        opener.finish()


def test_refusal_names_the_chunk() -> None:
    first, second, final = sealed(AeadId.AES_128_GCM, [b"first", b"second"])
    with pytest.raises(ChunkedStreamRejected) as refused:
        opened(AeadId.AES_128_GCM, first, final, second)
    assert refused.value.where == "chunk 1"
    assert "first" not in str(refused.value)
