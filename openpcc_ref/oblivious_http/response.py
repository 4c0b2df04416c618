"""Encapsulated responses: a nonce and a sealed body (RFC 9458 section 4.4, chunked OHTTP section 6.2)."""

from __future__ import annotations

from openpcc_ref.chunked_stream import MAX_CHUNK
from openpcc_ref.errors import require
from openpcc_ref.oblivious_http.media_types import Form, ObliviousHttpRejected
from openpcc_ref.oblivious_http.messages import BodyOpener, ResponseContext, body_opener, body_sealer
from openpcc_ref.sources import RandomSource


class ResponseSealer:
    """Seals one response under a fresh nonce, also when the same request is answered again.

    The form is free: keys follow it, whatever the form of the request. Requirements: OHT-023 to OHT-028, OHT-075.
    """

    def __init__(self, context: ResponseContext, form: Form = Form.CHUNKED, *, random: RandomSource) -> None:
        self.response_nonce = random(context.nonce_length)
        self.keys = context.response_keys(form, self.response_nonce)
        self._body = body_sealer(form, context.aead_id, self.keys.aead_key, self.keys.aead_nonce)

    def header(self) -> bytes:
        """Return the bytes in front of the sealed body."""
        return self.response_nonce

    def seal(self, data: bytes) -> bytes:
        """Return one framed chunk. Raises ValueError for an empty one, and in unchunked form."""
        return self._body.seal(data)

    def finish(self, data: bytes = b"") -> bytes:
        """Return the final chunk, or the whole message in unchunked form."""
        return self._body.seal_final(data)


def seal_response(context: ResponseContext, plaintext: bytes, *, random: RandomSource) -> bytes:
    """Return an unchunked encapsulated response. Requirements: OHT-023 to OHT-025."""
    sealer = ResponseSealer(context, Form.UNCHUNKED, random=random)
    return sealer.header() + sealer.finish(plaintext)


class ResponseOpener:
    """Opens one response as it arrives.

    The response is whole only when ``finish`` has returned; ``final_seen`` is then true. Raises
    :class:`ObliviousHttpRejected`, in chunked form also
    :class:`~openpcc_ref.chunked_stream.ChunkedStreamRejected`. Requirements: OHT-024, OHT-025, OHT-030 to OHT-036.
    """

    def __init__(self, context: ResponseContext, form: Form, max_chunk: int = MAX_CHUNK) -> None:
        self._context = context
        self._form = form
        self._max_chunk = max_chunk
        self._buffer = bytearray()
        self._body: BodyOpener | None = None

    @property
    def final_seen(self) -> bool:
        """Whether the end of the response was proven."""
        return self._body is not None and self._body.final_seen

    def feed(self, data: bytes) -> list[bytes]:
        """Take more bytes and return the plaintext of every chunk they complete; nothing in unchunked form."""
        if self._body is not None:
            return self._body.feed(data)
        self._buffer += data
        return self._start_body() if len(self._buffer) >= self._context.nonce_length else []

    def finish(self) -> list[bytes]:
        """Say that the content ends here and return the plaintext that only the end releases."""
        opened = []
        if self._body is None:
            require(
                False,
                ObliviousHttpRejected,
                "oblivious-http.response.truncated",
                where=f"offset {len(self._buffer)}",
                expected=f"a response nonce of {self._context.nonce_length} bytes",
            )
            opened = self._start_body()
        assert self._body is not None
        return [*opened, *filter(None, [self._body.finish()])]

    def _start_body(self) -> list[bytes]:
        context, length = self._context, self._context.nonce_length
        keys = context.response_keys(self._form, bytes(self._buffer[:length]))
        self._body = body_opener(
            self._form,
            context.aead_id,
            keys.aead_key,
            keys.aead_nonce,
            part="oblivious-http.response",
            max_chunk=self._max_chunk,
        )
        rest = bytes(self._buffer[length:])
        self._buffer.clear()
        return self._body.feed(rest)


def open_response(context: ResponseContext, data: bytes) -> bytes:
    """Return the plaintext of an unchunked response. Requirements: OHT-024, OHT-025."""
    opener = ResponseOpener(context, Form.UNCHUNKED)
    return b"".join([*opener.feed(data), *opener.finish()])
