"""An encapsulated response on its way out: Binary HTTP cut into chunks, sealed, and sent as they fill."""

from __future__ import annotations

from openpcc_ref.binary_http import Fields, ResponseEncoder
from openpcc_ref.http1 import Responder
from openpcc_ref.oblivious_http import Form, ResponseSealer

PAD_TO = 532
"""Plaintext bytes of every chunk sent, and the multiple that messages are padded to. Requirements: OHT-038."""


class SealedResponse:
    """Writes one response. In unchunked form everything is held until the end; in chunked form less than a chunk is.

    ``chunk_length`` is the plaintext of one chunk in bytes; ``outer_fields`` go in front, besides the framing.
    """

    def __init__(
        self,
        responder: Responder,
        sealer: ResponseSealer,
        form: Form,
        encoder: ResponseEncoder,
        outer_fields: Fields,
        *,
        chunk_length: int = PAD_TO,
    ) -> None:
        self._responder = responder
        self.sealer = sealer
        self._form = form
        self._encoder = encoder
        self._outer_fields = outer_fields
        self._chunk_length = chunk_length
        self._waiting = bytearray()

    async def start(self) -> None:
        """Send what can be sent of the heads."""
        self._waiting += self._encoder.start()
        if self._form is Form.CHUNKED:
            await self._responder.send_head(200, self._outer_fields)
            await self._responder.send(self.sealer.header())
            await self._send_full_chunks()

    async def content(self, data: bytes) -> None:
        """Take content and send the chunks it fills."""
        self._waiting += self._encoder.content(data)
        if self._form is Form.CHUNKED:
            await self._send_full_chunks()

    async def finish(self, trailers: Fields = ()) -> None:
        """Send the rest, padded."""
        self._waiting += self._encoder.finish(trailers)
        if self._form is Form.UNCHUNKED:
            await self._send_whole()
            return
        await self._send_full_chunks()
        if self._waiting:  # only when the chunk length does not divide the padded length
            await self._responder.send(self.sealer.seal(self._take(len(self._waiting))))
        await self.send_final_chunk()
        await self._responder.finish()

    async def send_final_chunk(self) -> None:
        """Prove to the client that the response is whole. Requirements: OHT-027."""
        await self._responder.send(self.sealer.finish())

    async def _send_full_chunks(self) -> None:
        sealed = bytearray()
        while len(self._waiting) >= self._chunk_length:
            sealed += self.seal_chunk(self._take(self._chunk_length))
        if sealed:
            await self._responder.send(bytes(sealed))

    def seal_chunk(self, plaintext: bytes) -> bytes:
        """Return one sealed chunk with its length. Requirements: OHT-026."""
        return self.sealer.seal(plaintext)

    async def _send_whole(self) -> None:
        body = self.sealer.header() + self.sealer.finish(self._take(len(self._waiting)))
        length = (b"content-length", str(len(body)).encode())
        await self._responder.send_head(200, (*self._outer_fields, length))
        await self._responder.send(body)
        await self._responder.finish()

    def _take(self, length: int) -> bytes:
        taken = bytes(self._waiting[:length])
        del self._waiting[:length]
        return taken
