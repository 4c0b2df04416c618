"""Cutting a message into sealed chunks that say nothing about its structure."""

from __future__ import annotations

from openpcc_ref.compute_messages.media_types import ENCODED_CHUNK
from openpcc_ref.hpke import AeadId
from openpcc_ref.oblivious_http.media_types import Form
from openpcc_ref.oblivious_http.messages import body_sealer


class FillingSealer:
    """Seals a body given in pieces of any size.

    In chunked form every chunk is filled to 514 bytes, wherever the pieces were cut, unless ``flush`` asks for the
    rest now; in unchunked form everything waits for ``finish``. Requirements: MSG-074, MSG-076.
    """

    def __init__(self, form: Form, aead_id: AeadId, key: bytes, nonce: bytes) -> None:
        self._form = form
        self._body = body_sealer(form, aead_id, key, nonce)
        self._pending = bytearray()

    def seal(self, data: bytes) -> bytes:
        """Take a piece and return the chunks that it fills."""
        self._pending += data
        return b"".join(iter(self._next_full, b""))

    def flush(self) -> bytes:
        """Return what is pending as a chunk, so that it can be read now; nothing in unchunked form."""
        if self._form is Form.UNCHUNKED or not self._pending:
            return b""
        return self._body.seal(self._take(len(self._pending)))

    def finish(self) -> bytes:
        """Return the rest: the last data chunk and an empty final chunk, or the whole message in unchunked form.

        Requirements: MSG-045, MSG-048.
        """
        if self._form is Form.UNCHUNKED:
            return self._body.seal_final(self._take(len(self._pending)))
        return self.flush() + self._body.seal_final()

    def _next_full(self) -> bytes:
        if self._form is Form.UNCHUNKED or len(self._pending) < ENCODED_CHUNK:
            return b""
        return self._body.seal(self._take(ENCODED_CHUNK))

    def _take(self, length: int) -> bytes:
        taken = bytes(self._pending[:length])
        del self._pending[:length]
        return taken
