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
from openpcc_ref.hpke import Suite
from openpcc_ref.oblivious_http.media_types import Form
from openpcc_ref.oblivious_http.messages import MAX_UNCHUNKED, BodyOpener, NonceOpener, body_opener
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


class RequestOpener(NonceOpener):
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
        aead_id = request_aead(suite)
        super().__init__(aead_id.nn, "a nonce", part="compute-message.request", rejection=ComputeMessageRejected)
        self._dek, self.context = open_encapsulated_key(encapsulated_key, secret_key, form, suite=suite)
        self._form = form
        self._aead_id = aead_id
        self._limits = (max_chunk, max_whole)

    def open_body(self, nonce: bytes) -> BodyOpener:
        """Return what opens the request under the data encryption key. Requirements: MSG-055."""
        max_chunk, max_whole = self._limits
        return body_opener(
            self._form,
            self._aead_id,
            self._dek,
            nonce.ljust(self._aead_id.nn, b"\0"),  # shorter only with the check of its length off
            part="compute-message.request",
            max_chunk=max_chunk,
            max_whole=max_whole,
            rejection=ComputeMessageRejected,
        )
