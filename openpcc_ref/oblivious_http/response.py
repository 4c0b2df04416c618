"""Encapsulated responses: a nonce and a sealed body (RFC 9458 section 4.4, chunked OHTTP section 6.2)."""

from __future__ import annotations

from openpcc_ref.chunked_stream import MAX_CHUNK
from openpcc_ref.oblivious_http.media_types import Form, ObliviousHttpRejected
from openpcc_ref.oblivious_http.messages import BodyOpener, NonceOpener, ResponseContext, body_opener, body_sealer
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


class ResponseOpener(NonceOpener):
    """Opens one response as it arrives.

    The response is whole only when ``finish`` has returned; ``final_seen`` is then true. Raises
    :class:`ObliviousHttpRejected`, in chunked form also
    :class:`~openpcc_ref.chunked_stream.ChunkedStreamRejected`. Requirements: OHT-024, OHT-025, OHT-030 to OHT-036.
    """

    def __init__(self, context: ResponseContext, form: Form, max_chunk: int = MAX_CHUNK) -> None:
        super().__init__(
            context.nonce_length, "a response nonce", part="oblivious-http.response", rejection=ObliviousHttpRejected
        )
        self._context = context
        self._form = form
        self._max_chunk = max_chunk

    def open_body(self, nonce: bytes) -> BodyOpener:
        """Derive the keys of the response and return what opens it. Requirements: OHT-024, OHT-025."""
        keys = self._context.response_keys(self._form, nonce)
        return body_opener(
            self._form,
            self._context.aead_id,
            keys.aead_key,
            keys.aead_nonce,
            part="oblivious-http.response",
            max_chunk=self._max_chunk,
        )


def open_response(context: ResponseContext, data: bytes) -> bytes:
    """Return the plaintext of an unchunked response. Requirements: OHT-024, OHT-025."""
    opener = ResponseOpener(context, Form.UNCHUNKED)
    return b"".join([*opener.feed(data), *opener.finish()])
