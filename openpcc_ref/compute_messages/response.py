"""Sealed responses: keyed from the context of the one node that answers."""

from __future__ import annotations

from openpcc_ref.compute_messages.encapsulated_key import ReceiverContext
from openpcc_ref.compute_messages.filling import FillingSealer
from openpcc_ref.compute_messages.media_types import ENCODED_CHUNK, ComputeMessageRejected
from openpcc_ref.oblivious_http.media_types import Form
from openpcc_ref.oblivious_http.messages import MAX_UNCHUNKED, BodyOpener, NonceOpener, body_opener
from openpcc_ref.sources import RandomSource


class ResponseSealer:
    """Seals one response under a fresh nonce. Its form is free, whatever the form of the request.

    Requirements: MSG-044 to MSG-046, MSG-052, MSG-060, MSG-074, MSG-076.
    """

    def __init__(self, context: ReceiverContext, form: Form, *, random: RandomSource) -> None:
        self.response_nonce = random(context.nonce_length)
        self.keys = context.response_keys(form, self.response_nonce)
        self._body = FillingSealer(form, context.aead_id, self.keys.aead_key, self.keys.aead_nonce)

    def header(self) -> bytes:
        """Return the bytes in front of the sealed body."""
        return self.response_nonce

    def seal(self, data: bytes) -> bytes:
        """Take a piece of the response and return the chunks that it fills."""
        return self._body.seal(data)

    def flush(self) -> bytes:
        """Return what is pending as a chunk, so that a reader sees it now; nothing in unchunked form."""
        return self._body.flush()

    def finish(self) -> bytes:
        """Return the end of the message: all of its body in unchunked form."""
        return self._body.finish()


class ResponseOpener(NonceOpener):
    """Opens one response as it arrives, with the context of the node that sent it.

    The response is whole only when ``finish`` has returned; ``final_seen`` is then true. Requirements: MSG-044 to
    MSG-053, MSG-074, MSG-077, MSG-080, MSG-086. Raises :class:`ComputeMessageRejected`, in chunked form also
    :class:`~openpcc_ref.chunked_stream.ChunkedStreamRejected`.
    """

    def __init__(
        self,
        context: ReceiverContext,
        form: Form,
        *,
        max_chunk: int = ENCODED_CHUNK,
        max_whole: int = MAX_UNCHUNKED,
    ) -> None:
        super().__init__(
            context.nonce_length, "a response nonce", part="compute-message.response", rejection=ComputeMessageRejected
        )
        self._context = context
        self._form = form
        self._limits = (max_chunk, max_whole)

    def open_body(self, nonce: bytes) -> BodyOpener:
        """Derive the keys of the response and return what opens it. Requirements: MSG-052."""
        keys = self._context.response_keys(self._form, nonce)
        max_chunk, max_whole = self._limits
        return body_opener(
            self._form,
            self._context.aead_id,
            keys.aead_key,
            keys.aead_nonce,
            part="compute-message.response",
            max_chunk=max_chunk,
            max_whole=max_whole,
            rejection=ComputeMessageRejected,
        )
