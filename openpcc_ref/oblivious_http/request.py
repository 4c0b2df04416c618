"""Encapsulated requests: a header, an encapsulated key, and a sealed body.

RFC 9458 section 4.3; draft-ietf-ohai-chunked-ohttp section 6.1.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from openpcc_ref.chunked_stream import MAX_CHUNK
from openpcc_ref.errors import require
from openpcc_ref.hpke import (
    AeadId,
    HpkeRejected,
    KdfId,
    KemId,
    RecipientContext,
    Suite,
    kem,
    setup_base_recipient,
    setup_base_sender,
)
from openpcc_ref.oblivious_http.key_config import KeyConfig, SymmetricAlgorithm
from openpcc_ref.oblivious_http.key_rotation import GatewayKey
from openpcc_ref.oblivious_http.media_types import Form, ObliviousHttpRejected
from openpcc_ref.oblivious_http.messages import (
    HEADER_LENGTH,
    BodyOpener,
    RequestHeader,
    ResponseContext,
    body_opener,
    body_sealer,
)
from openpcc_ref.sources import RandomSource


class RequestSealer:
    """Seals one request to a key configuration; a new one, with fresh randomness, for every attempt.

    ``algorithm`` is the pair to use, by default the first that the configuration offers. ``context`` opens the
    response. ``ephemeral_secret_key`` is for published examples, never for real messages. Raises
    :class:`ObliviousHttpRejected` when the configuration cannot be used.
    Requirements: OHT-019 to OHT-022, OHT-026 to OHT-028.
    """

    def __init__(
        self,
        config: KeyConfig,
        form: Form,
        *,
        random: RandomSource,
        algorithm: SymmetricAlgorithm | None = None,
        ephemeral_secret_key: bytes | None = None,
    ) -> None:
        pair = algorithm or config.algorithms[0]
        if pair not in config.algorithms:
            raise ValueError("the key configuration does not offer this algorithm")
        if config.kem_id not in set(KemId):
            raise ValueError(f"KEM {config.kem_id:#06x} is not implemented here")
        header = RequestHeader(config.key_id, config.kem_id, pair.kdf_id, pair.aead_id)
        suite = Suite(KemId(config.kem_id), KdfId(pair.kdf_id), AeadId(pair.aead_id))
        try:
            enc, context = setup_base_sender(
                suite, config.public_key, header.info(form), random=random, ephemeral_secret_key=ephemeral_secret_key
            )
        except HpkeRejected as rejected:
            code = "oblivious-http.request.public-key"
            raise ObliviousHttpRejected(code, where="public key", expected=rejected.expected) from rejected
        self.context = ResponseContext(header, enc, context)
        self._body = body_sealer(form, suite.aead_id, context.key, context.base_nonce)

    def header(self) -> bytes:
        """Return the bytes in front of the sealed body."""
        return self.context.header.encode() + self.context.enc

    def seal(self, data: bytes) -> bytes:
        """Return one framed chunk. Raises ValueError for an empty one, and in unchunked form."""
        return self._body.seal(data)

    def finish(self, data: bytes = b"") -> bytes:
        """Return the final chunk, or the whole message in unchunked form."""
        return self._body.seal_final(data)


def seal_request(
    config: KeyConfig, plaintext: bytes, *, random: RandomSource, algorithm: SymmetricAlgorithm | None = None
) -> tuple[bytes, ResponseContext]:
    """Return an unchunked encapsulated request and the context of its response. Requirements: OHT-019 to OHT-022."""
    sealer = RequestSealer(config, Form.UNCHUNKED, random=random, algorithm=algorithm)
    return sealer.header() + sealer.finish(plaintext), sealer.context


class RequestOpener:
    """Opens one request as it arrives. ``keys`` in order of preference; ``now`` decides which are active.

    ``context`` is there as soon as header and encapsulated key have arrived. The request is whole only when
    ``finish`` has returned; ``final_seen`` is then true. Raises :class:`ObliviousHttpRejected`, in chunked form also
    :class:`~openpcc_ref.chunked_stream.ChunkedStreamRejected`. Requirements: OHT-014, OHT-030 to OHT-036, OHT-062.
    """

    def __init__(self, keys: Sequence[GatewayKey], form: Form, now: datetime, max_chunk: int = MAX_CHUNK) -> None:
        self._keys = keys
        self._form = form
        self._now = now
        self._max_chunk = max_chunk
        self._buffer = bytearray()
        self._header: RequestHeader | None = None
        self._key: GatewayKey | None = None
        self._body: BodyOpener | None = None
        self.context: ResponseContext | None = None

    @property
    def final_seen(self) -> bool:
        """Whether the end of the request was proven."""
        return self._body is not None and self._body.final_seen

    @property
    def opened(self) -> bool:
        """Whether any chunk was opened: from here on errors are for the client alone. Requirements: OHT-064."""
        return self._body is not None and self._body.opened

    def feed(self, data: bytes) -> list[bytes]:
        """Take more bytes and return the plaintext of every chunk they complete; nothing in unchunked form."""
        if self._body is not None:
            return self._body.feed(data)
        self._buffer += data
        if self._header is None and len(self._buffer) >= HEADER_LENGTH:
            self._header = RequestHeader.decode(bytes(self._buffer))
            self._key = find_key(self._keys, self._header, self._now)
        if self._header is None or self._key is None or len(self._buffer) < self._body_start:
            return []
        return self._start_body(self._header, self._key)

    def finish(self) -> list[bytes]:
        """Say that the content ends here and return the plaintext that only the end releases."""
        if self._header is None or self._key is None:
            self._header = RequestHeader.decode(bytes(self._buffer))
            self._key = find_key(self._keys, self._header, self._now)
        opened = []
        if self._body is None:
            require(
                len(self._buffer) >= self._body_start,
                ObliviousHttpRejected,
                "oblivious-http.request.truncated",
                where=f"offset {len(self._buffer)}",
                expected=f"{self._body_start} bytes of header and encapsulated key",
            )
            opened = self._start_body(self._header, self._key)
        assert self._body is not None
        return [*opened, *filter(None, [self._body.finish()])]

    @property
    def _body_start(self) -> int:
        assert self._key is not None
        return HEADER_LENGTH + kem(KemId(self._key.config.kem_id)).nenc

    def _start_body(self, header: RequestHeader, key: GatewayKey) -> list[bytes]:
        enc = bytes(self._buffer[HEADER_LENGTH : self._body_start]).ljust(self._body_start - HEADER_LENGTH, b"\0")
        context = self.decapsulate(header, key, enc)
        self.context = ResponseContext(header, enc, context)
        self._body = body_opener(
            self._form,
            context.suite.aead_id,
            context.key,
            context.base_nonce,
            part="oblivious-http.request",
            max_chunk=self._max_chunk,
        )
        rest = bytes(self._buffer[self._body_start :])
        self._buffer.clear()
        return self._body.feed(rest)

    def decapsulate(self, header: RequestHeader, key: GatewayKey, enc: bytes) -> RecipientContext:
        """Return the HPKE context of a request, in the suite that its header names. Requirements: OHT-020, OHT-062."""
        suite = Suite(KemId(key.config.kem_id), KdfId(header.kdf_id), AeadId(header.aead_id))
        try:
            return setup_base_recipient(suite, enc, key.secret_key, header.info(self._form))
        except HpkeRejected as rejected:
            code = "oblivious-http.request.decapsulation"
            raise ObliviousHttpRejected(code, where="enc", expected=rejected.expected) from rejected


def open_request(keys: Sequence[GatewayKey], data: bytes, now: datetime) -> tuple[bytes, ResponseContext]:
    """Return the plaintext of an unchunked request and the context for its response. Requirements: OHT-014, OHT-062."""
    opener = RequestOpener(keys, Form.UNCHUNKED, now)
    plaintext = b"".join([*opener.feed(data), *opener.finish()])
    assert opener.context is not None
    return plaintext, opener.context


def find_key(keys: Sequence[GatewayKey], header: RequestHeader, now: datetime) -> GatewayKey:
    """Return the first key that matches the header and is active. Requirements: OHT-014, OHT-062.

    Whether the identifier, the algorithm or the time is wrong has its own code here; on the wire the three must look
    alike. Raises ValueError when there is no key at all.
    """
    if not keys:
        raise ValueError("a gateway needs at least one key")
    named = [key for key in keys if (key.config.key_id, key.config.kem_id) == (header.key_id, header.kem_id)]
    _require_key(named, "key-unknown", "a configured key identifier and its KEM")
    pair = SymmetricAlgorithm(header.kdf_id, header.aead_id)
    offering = [key for key in named or keys if pair in key.config.algorithms]
    _require_key(offering, "algorithm", "an algorithm that the key offers")
    active = [key for key in offering or named or keys if key.is_active(now)]
    _require_key(active, "key-inactive", "a key within its period")
    return (active or offering or named or keys)[0]


def _require_key(found: Sequence[GatewayKey], fault: str, expected: str) -> None:
    require(bool(found), ObliviousHttpRejected, f"oblivious-http.request.{fault}", where="header", expected=expected)
