"""A sequence of sealed chunks with an explicit end: the one place with the nonce counter and the final-chunk rule.

Chunked Oblivious HTTP and compute messages both use it (draft-ietf-ohai-chunked-ohttp sections 4 to 6). A
non-final chunk is ``varint(length) || sealed``; the final one is ``varint(0) || sealed`` to the end of the content,
sealed with the AAD ``final``. Chunk ``i`` uses the nonce ``base_nonce XOR i``. Requirements: OHT-026 to OHT-036.
"""

from __future__ import annotations

from openpcc_ref.errors import Rejected, require
from openpcc_ref.hpke import aead
from openpcc_ref.hpke.context import nonce_at
from openpcc_ref.hpke.suites import AeadId
from openpcc_ref.varint import encode_varint, varint_length

FINAL_AAD = b"final"

MAX_CHUNK = 16384
"""Plaintext bytes every receiver accepts in one chunk, and no sender should exceed. Requirements: OHT-030, OHT-031."""

MAX_CHUNKS = 2**32
"""How many chunks one stream carries here, far below the 256^Nn that would repeat a nonce. Requirements: OHT-029."""


class ChunkedStreamRejected(Rejected):
    """A chunk is not what the sender sealed at this place of the stream."""


class ChunkSealer:
    """Seals chunks; after the final one the stream is closed."""

    def __init__(self, aead_id: AeadId, key: bytes, base_nonce: bytes) -> None:
        self._cipher = aead.cipher(aead_id, key)
        self._base_nonce = base_nonce
        self._sequence = 0
        self._closed = False

    def seal(self, plaintext: bytes) -> bytes:
        """Return one framed non-final chunk. Raises ValueError for an empty one. Requirements: OHT-026, OHT-032."""
        if not plaintext:
            raise ValueError("only the final chunk may be empty")
        sealed = self._seal(plaintext, b"")
        return encode_varint(len(sealed)) + sealed

    def seal_final(self, plaintext: bytes = b"") -> bytes:
        """Return the framed final chunk and close the stream. Requirements: OHT-027."""
        sealed = self._seal(plaintext, FINAL_AAD)
        self._closed = True
        return encode_varint(0) + sealed

    def _seal(self, plaintext: bytes, aad: bytes) -> bytes:
        if self._closed:
            raise ValueError("the final chunk has been sealed")
        if self._sequence >= MAX_CHUNKS:
            raise OverflowError("the chunk counter would wrap")
        nonce = nonce_at(self._base_nonce, self._sequence)
        self._sequence += 1
        return self._cipher.encrypt(nonce, plaintext, aad)


class ChunkOpener:
    """Opens chunks as they arrive, holding at most one. ``max_plaintext`` bounds each in bytes.

    Nothing of a chunk is released before its tag has verified. The stream is complete only when ``finish`` has
    returned: ``final_seen`` is then true. Requirements: OHT-035, OHT-036.
    """

    def __init__(self, aead_id: AeadId, key: bytes, base_nonce: bytes, max_plaintext: int = MAX_CHUNK) -> None:
        self._cipher = aead.cipher(aead_id, key)
        self._nt = aead_id.nt
        self._base_nonce = base_nonce
        self._max_sealed = max_plaintext + aead_id.nt
        self._buffer = bytearray()
        self._sequence = 0
        self._length: int | None = None
        """Declared length of the chunk being received; 0 is the final chunk; None is not yet known."""
        self.final_seen = False

    def feed(self, data: bytes) -> list[bytes]:
        """Take more bytes and return the plaintext of every non-final chunk they complete."""
        if self.final_seen:
            raise ValueError("the stream has already been finished")
        self._buffer += data
        opened = []
        while self._next_length():
            length = self._length or 0
            if length == 0 or len(self._buffer) < length:
                break
            opened.append(self._open(length, b""))
        if self._length == 0:
            self._require_size(len(self._buffer), "final chunk")
        return opened

    def finish(self) -> bytes:
        """Say that the content ends here and return the data of the final chunk.

        Raises :class:`ChunkedStreamRejected` when the content was cut anywhere before its end.
        """
        if self.final_seen:
            raise ValueError("the stream has already been finished")
        require(
            self._length is not None or not self._buffer,
            ChunkedStreamRejected,
            "chunked-stream.length.truncated",
            where=self._where,
            expected="a whole chunk length",
        )
        require(
            not self._length,
            ChunkedStreamRejected,
            "chunked-stream.chunk.truncated",
            where=self._where,
            expected=f"{self._length} bytes, {len(self._buffer)} present",
        )
        require(
            self._length is not None,
            ChunkedStreamRejected,
            "chunked-stream.final.missing",
            where=self._where,
            expected="a final chunk before the end of the content",
        )
        plaintext = self._open(len(self._buffer), FINAL_AAD) if self._length == 0 else b""
        self.final_seen = True
        return plaintext

    @property
    def opened(self) -> bool:
        """Whether any chunk was opened: the sender knew the key."""
        return self._sequence > 0

    @property
    def _where(self) -> str:
        return f"chunk {self._sequence}"

    def _next_length(self) -> bool:
        """Make sure that the length of the current chunk is known; say whether it is."""
        if self._length is not None:
            return True
        if not self._buffer or len(self._buffer) < varint_length(self._buffer[0]):
            return False
        size = varint_length(self._buffer[0])
        self._length = int.from_bytes(self._buffer[:size], "big") & (1 << (8 * size - 2)) - 1
        del self._buffer[:size]
        if self._length:
            self._require_size(self._length, "declared length")
            require(
                self._length >= self._nt,
                ChunkedStreamRejected,
                "chunked-stream.chunk.short",
                where=self._where,
                expected=f"at least the {self._nt} bytes of a tag",
            )
        return True

    def _require_size(self, length: int, what: str) -> None:
        require(
            length <= self._max_sealed,
            ChunkedStreamRejected,
            "chunked-stream.chunk.long",
            where=f"{self._where}, {what}",
            expected=f"at most {self._max_sealed} bytes",
        )

    def _open(self, length: int, aad: bytes) -> bytes:
        sealed = bytes(self._buffer[:length])
        del self._buffer[:length]
        nonce = nonce_at(self._base_nonce, self._sequence)
        plaintext = aead.open_with(self._cipher, nonce, aad, sealed)
        require(
            plaintext is not None,
            ChunkedStreamRejected,
            "chunked-stream.chunk.open",
            where=self._where,
            expected=f"a chunk sealed at this place as {'the final one' if aad else 'a non-final one'}",
        )
        require(
            bool(plaintext) or plaintext is None or aad == FINAL_AAD,
            ChunkedStreamRejected,
            "chunked-stream.chunk.empty",
            where=self._where,
            expected="data in a non-final chunk",
        )
        self._sequence += 1
        self._length = None if aad != FINAL_AAD else 0
        return plaintext or b""
