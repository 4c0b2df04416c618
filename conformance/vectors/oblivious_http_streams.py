"""Vectors of chunked messages: what a stream may look like, and each way in which it must not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from conformance.vectors.case import Case
from conformance.vectors.coins import coins
from conformance.vectors.making import accepted_by_deployed_code, edited, flipped
from conformance.vectors.oblivious_http_exchanges import (
    CHUNK_RULES,
    answered_case,
    code_of,
    opened_request,
    opened_response,
    sealed_request,
    sealed_response,
)
from openpcc_ref.chunked_stream import FINAL_AAD
from openpcc_ref.hpke import AeadId, aead, nonce_at
from openpcc_ref.oblivious_http import Form
from openpcc_ref.varint import encode_varint


@dataclass(frozen=True, slots=True)
class _Chunk:
    """A chunk as a sender frames and seals it, with everything that a faulty sender may do differently."""

    plaintext: bytes
    aad: bytes = b""
    final: bool = False
    width: int | None = None
    """Bytes of the length field; None is the shortest."""
    sequence: int | None = None


def _final(plaintext: bytes = b"", aad: bytes = FINAL_AAD, width: int | None = None) -> _Chunk:
    return _Chunk(plaintext, aad, True, width)


class RequestStream:
    """Requests to one key under one encapsulation, so that two streams differ in their chunks only."""

    member = "encapsulated_request"
    part = "open-request"
    rule = "OHT-062"

    def __init__(self, name: str) -> None:
        self.name = f"oblivious-http.{self.part}.{name}"
        sealed = sealed_request(f"{self.name}.stream", name, Form.CHUNKED)
        opened = opened_request(sealed, self.name)
        self.aead_id = AeadId(sealed.input["aead_id"])
        self.key, self.base_nonce = (bytes.fromhex(opened.steps[step]) for step in ("key", "base_nonce"))
        self.value = opened.input
        self.start = opened.input[self.member][: 2 * (7 + len(opened.steps["enc"]) // 2)]

    def sealed(self, chunks: Sequence[_Chunk]) -> list[str]:
        """Return each chunk, framed and sealed at its place."""
        return [
            self._frame(index if chunk.sequence is None else chunk.sequence, chunk)
            for index, chunk in enumerate(chunks)
        ]

    def case(self, fact: str, comment: str, requirements: tuple[str, ...], *framed: str) -> Case:
        """Return the accepted case of a stream."""
        value = {**self.value, self.member: self.start + "".join(framed)}
        return answered_case(f"{self.name}.{fact}", comment, self.part, value, requirements)

    def _frame(self, sequence: int, chunk: _Chunk) -> str:
        nonce = nonce_at(self.base_nonce, sequence)
        sealed = aead.seal(self.aead_id, self.key, nonce, chunk.aad, chunk.plaintext)
        length = 0 if chunk.final else len(sealed)
        return (wide_varint(length, chunk.width) if chunk.width else encode_varint(length)).hex() + sealed.hex()


class ResponseStream(RequestStream):
    """Responses to one request under one response nonce."""

    member = "encapsulated_response"
    part = "open-response"
    rule = "OHT-024"

    def __init__(self, name: str) -> None:
        self.name = f"oblivious-http.{self.part}.{name}"
        request = opened_request(sealed_request(f"{self.name}.request", name, Form.UNCHUNKED), self.name)
        opened = opened_response(sealed_response(request, f"{self.name}.stream", Form.CHUNKED), self.name)
        self.aead_id = AeadId(int(request.input["encapsulated_request"][10:14], 16))
        self.key, self.base_nonce = (bytes.fromhex(opened.steps[step]) for step in ("aead_key", "aead_nonce"))
        self.value = opened.input
        self.start = opened.input[self.member][: 2 * max(self.aead_id.nk, self.aead_id.nn)]


def wide_varint(value: int, width: int) -> bytes:
    """Return ``value`` as a QUIC integer of 1, 2, 4 or 8 bytes, also where fewer would do."""
    return (value | (width.bit_length() - 1) << (8 * width - 2)).to_bytes(width, "big")


def cases(name: str) -> Iterator[Case]:
    """Yield accepted and refused streams in both directions, under one suite."""
    for stream in (RequestStream(name), ResponseStream(name)):
        yield from _accepted_streams(stream)
        yield from _refused_streams(stream)


def _accepted_streams(stream: RequestStream) -> Iterator[Case]:
    text = coins(stream.name, "plaintext", 40)
    streams: dict[str, tuple[str, tuple[str, ...], list[_Chunk]]] = {
        "final-alone": ("all data in the final chunk", ("OHT-034",), [_final(text)]),
        "chunk-and-data-in-final": (
            "data in a chunk and the final one",
            ("OHT-034",),
            [_Chunk(text[:9]), _final(text[9:])],
        ),
        "empty": ("no data at all", ("OHT-027",), [_final()]),
        "one-byte-chunks": ("300 chunks of one byte", ("OHT-028",), [*[_Chunk(b"x")] * 300, _final()]),
        "length-63": ("the longest length of one byte", ("OHT-026",), [_Chunk(bytes(47)), _final()]),
        "length-64": ("the shortest length of two bytes", ("OHT-026",), [_Chunk(bytes(48)), _final()]),
        "length-16384": ("the shortest length of four bytes", ("OHT-026", "OHT-030"), [_Chunk(bytes(16368)), _final()]),
        "largest-chunk": ("16384 plaintext bytes", ("OHT-030",), [_Chunk(bytes(16384)), _final()]),
        "largest-final-chunk": ("16384 plaintext bytes at the end", ("OHT-030", "OHT-034"), [_final(bytes(16384))]),
    }
    for width in (2, 4, 8):
        chunks = [_Chunk(text[:20], width=width), _Chunk(text[20:]), _final()]
        streams[f"length-in-{width}-bytes"] = (f"a chunk length in {width} bytes", ("OHT-033",), chunks)
        chunks = [_Chunk(text), _final(width=width)]
        streams[f"final-marker-in-{width}-bytes"] = (f"a final marker in {width} bytes", ("OHT-033",), chunks)
    for fact, (comment, requirements, chunks) in streams.items():
        yield stream.case(fact, comment, requirements, *stream.sealed(chunks))


def _refused_streams(stream: RequestStream) -> Iterator[Case]:
    text = coins(stream.name, "plaintext", 40)
    chunks = [_Chunk(text[:12]), _Chunk(text[12:]), _final()]
    first, second, last = stream.sealed(chunks)
    control = stream.case("stream", "two chunks and an empty final one", CHUNK_RULES, first, second, last)
    yield control

    def refused(fault: str, comment: str, code: str, requirements: tuple[str, ...], *framed: str) -> Case:
        message = {stream.member: stream.start + "".join(framed)}
        return edited(control, fault, comment, f"chunked-stream.{code}", requirements, **message)

    order = ("OHT-028", stream.rule)
    yield refused("swapped", "two chunks swapped", "chunk.open", order, second, first, last)
    yield refused("repeated", "first chunk twice", "chunk.open", order, first, first, second, last)
    yield refused("first-dropped", "first chunk missing", "chunk.open", order, second, last)
    yield refused("second-dropped", "second chunk missing", "chunk.open", order, first, last)
    yield refused("final-first", "final chunk in front", "chunk.open", order, last, first, second)
    touched = ("OHT-026", stream.rule)
    yield refused("first-byte", "first byte of the first chunk", "chunk.open", touched, flipped(first, 1), second, last)
    yield refused("first-tag", "tag of the first chunk", "chunk.open", touched, flipped(first, -1), second, last)
    yield refused("second-tag", "tag of the second chunk", "chunk.open", touched, first, flipped(second, -1), last)
    yield refused("final-tag", "tag of the final chunk", "chunk.open", touched, first, second, flipped(last, -1))
    end = ("OHT-027", "OHT-035")
    yield refused("final-missing", "ends behind the second chunk", "final.missing", end, first, second)
    yield refused("final-missing-early", "ends behind the first chunk", "final.missing", end, first)
    yield refused("no-chunk", "no chunk at all", "final.missing", end)
    yield refused("cut-in-chunk", "ends inside the second chunk", "chunk.truncated", end, first, second[:-2])
    yield refused("cut-behind-length", "ends behind a length", "chunk.truncated", end, first, second[:2])
    yield refused("cut-in-length", "ends inside a length of two bytes", "length.truncated", end, first, second, "40")
    yield refused("cut-in-final", "last byte missing", "chunk.open", end, first, second, last[:-2])
    yield refused("final-marker-alone", "a final marker without a tag", "chunk.open", end, first, second, "00")
    yield refused("trailing-byte", "a byte behind the final chunk", "chunk.open", end, first, second, last, "00")
    yield refused("trailing-chunk", "a chunk behind the final one", "chunk.open", end, first, last, second)
    plain_end = stream.sealed([*chunks[:2], _final(aad=b"")])
    yield refused("final-without-aad", "final chunk sealed with empty AAD", "chunk.open", end, *plain_end)
    marked = stream.sealed([_Chunk(text[:12], FINAL_AAD), *chunks[1:]])
    yield refused("chunk-with-final-aad", "a chunk sealed with the AAD of the end", "chunk.open", end, *marked)
    promoted = "00" + second[2:]
    yield refused("chunk-as-final", "a chunk reframed as the final one", "chunk.open", end, first, promoted)
    empty = stream.sealed([chunks[0], _Chunk(b""), replace(chunks[1], sequence=2), replace(chunks[2], sequence=3)])
    yield accepted_by_deployed_code(
        refused("empty-chunk", "an empty chunk before the end", "chunk.empty", ("OHT-032",), *empty)
    )
    for length in (1, 15):
        short = f"{length:02x}" + "00" * length
        yield refused(f"length-{length}", f"a chunk of {length} bytes", "chunk.short", touched, first, short, last)
    for name, length in {"2-40": 2**40, "2-62": 2**62 - 1}.items():
        long = encode_varint(length).hex()
        yield refused(
            f"length-{name}", f"a chunk of {length} bytes is announced", "chunk.long", ("OHT-036",), first, long
        )
    whole = {**control.input, "form": str(Form.UNCHUNKED)}
    comment = "opened in the other form"
    yield edited(control, "opened-as-unchunked", comment, code_of(control, whole), (stream.rule,), form="unchunked")
