"""Sealed requests: a nonce and a body under one data encryption key, which goes encapsulated to every candidate."""

from __future__ import annotations

from openpcc_ref.compute_messages.encapsulated_key import (
    COMPUTE_SUITE,
    DEK_LENGTH,
    ReceiverContext,
    encapsulate_key,
    open_encapsulated_key,
    request_aead,
)
from openpcc_ref.compute_messages.filling import FillingSealer
from openpcc_ref.compute_messages.media_types import ENCODED_CHUNK, ComputeMessageRejected
from openpcc_ref.errors import require
from openpcc_ref.hpke import Suite
from openpcc_ref.oblivious_http.media_types import Form
from openpcc_ref.oblivious_http.messages import MAX_UNCHUNKED, BodyOpener, body_opener
from openpcc_ref.sources import RandomSource


class RequestSealer:
    """Seals one request, once, for any number of nodes. Draws 32 bytes for the key, then 12 for the nonce.

    A retry is a new request and takes a new sealer. Requirements: MSG-054, MSG-055, MSG-078.
    """

    def __init__(self, form: Form, *, random: RandomSource, suite: Suite = COMPUTE_SUITE) -> None:
        self._form = form
        self._suite = suite
        self._random = random
        self._dek = random(DEK_LENGTH)
        aead_id = request_aead(suite)
        self._nonce = random(aead_id.nn)
        self._body = FillingSealer(form, aead_id, self._dek, self._nonce)

    def encapsulate_key(self, public_key: bytes) -> tuple[bytes, ReceiverContext]:
        """Return the encapsulated key for one node, and the context that opens this node's response.

        Draws fresh randomness each time. Requirements: MSG-057 to MSG-059. Raises
        :class:`~openpcc_ref.hpke.HpkeRejected` for a bad public key.
        """
        return encapsulate_key(public_key, self._dek, self._form, random=self._random, suite=self._suite)

    def header(self) -> bytes:
        """Return the bytes in front of the sealed body."""
        return self._nonce

    def seal(self, data: bytes) -> bytes:
        """Take a piece of the request and return the chunks that it fills."""
        return self._body.seal(data)

    def flush(self) -> bytes:
        """Return what is pending as a chunk; nothing in unchunked form."""
        return self._body.flush()

    def finish(self) -> bytes:
        """Return the end of the message: all of its body in unchunked form."""
        return self._body.finish()


class RequestOpener:
    """Opens one request as it arrives, under the encapsulated key that came beside it.

    ``context`` seals the response. The request is whole only when ``finish`` has returned; ``final_seen`` is then
    true. ``max_chunk`` and ``max_whole`` bound what is held, in bytes. Requirements: MSG-043 to MSG-050, MSG-055 to
    MSG-061, MSG-074, MSG-077, MSG-086. Raises :class:`ComputeMessageRejected`, in chunked form also
    :class:`~openpcc_ref.chunked_stream.ChunkedStreamRejected`, and as :func:`open_encapsulated_key` does.
    """

    def __init__(
        self,
        encapsulated_key: bytes,
        secret_key: bytes,
        form: Form,
        *,
        suite: Suite = COMPUTE_SUITE,
        max_chunk: int = ENCODED_CHUNK,
        max_whole: int = MAX_UNCHUNKED,
    ) -> None:
        self._dek, self.context = open_encapsulated_key(encapsulated_key, secret_key, form, suite=suite)
        self._form = form
        self._aead_id = request_aead(suite)
        self._limits = (max_chunk, max_whole)
        self._buffer = bytearray()
        self._body: BodyOpener | None = None

    @property
    def final_seen(self) -> bool:
        """Whether the end of the request was proven."""
        return self._body is not None and self._body.final_seen

    def feed(self, data: bytes) -> list[bytes]:
        """Take more bytes and return the plaintext of every chunk they complete; nothing in unchunked form."""
        if self._body is not None:
            return self._body.feed(data)
        self._buffer += data
        return self._start_body() if len(self._buffer) >= self._aead_id.nn else []

    def finish(self) -> list[bytes]:
        """Say that the content ends here and return the plaintext that only the end releases."""
        opened = []
        if self._body is None:
            require(
                False,
                ComputeMessageRejected,
                "compute-message.request.truncated",
                where=f"offset {len(self._buffer)}",
                expected=f"a nonce of {self._aead_id.nn} bytes",
            )
            opened = self._start_body()
        assert self._body is not None
        return [*opened, *filter(None, [self._body.finish()])]

    def _start_body(self) -> list[bytes]:
        length = self._aead_id.nn
        max_chunk, max_whole = self._limits
        self._body = body_opener(
            self._form,
            self._aead_id,
            self._dek,
            bytes(self._buffer[:length]).ljust(length, b"\0"),
            part="compute-message.request",
            max_chunk=max_chunk,
            max_whole=max_whole,
            rejection=ComputeMessageRejected,
        )
        rest = bytes(self._buffer[length:])
        self._buffer.clear()
        return self._body.feed(rest)
