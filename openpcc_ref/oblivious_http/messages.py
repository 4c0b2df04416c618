"""What requests and responses share: the request header, the two kinds of body, and the response keys."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from openpcc_ref.chunked_stream import ChunkOpener, ChunkSealer
from openpcc_ref.errors import Rejected, require
from openpcc_ref.hpke import AeadId, RecipientContext, SenderContext, aead, kdf
from openpcc_ref.oblivious_http.key_config import AEADS, KDFS, PUBLIC_KEY_LENGTH
from openpcc_ref.oblivious_http.media_types import Form, ObliviousHttpRejected

HEADER_LENGTH = 7

MAX_UNCHUNKED = 2**24
"""Sealed bytes of an unchunked message that are buffered before it is refused. Requirements: OHT-079."""


@dataclass(frozen=True, slots=True)
class RequestHeader:
    """The clear start of an encapsulated request: key identifier and suite (RFC 9458 section 4.1)."""

    key_id: int
    kem_id: int
    kdf_id: int
    aead_id: int

    def encode(self) -> bytes:
        """Return the seven bytes. Requirements: OHT-019."""
        codes = (self.kem_id, self.kdf_id, self.aead_id)
        return bytes([self.key_id]) + b"".join(code.to_bytes(2, "big") for code in codes)

    @staticmethod
    def decode(data: bytes) -> RequestHeader:
        """Decode the first seven bytes of ``data``. Requirements: OHT-019, OHT-062, OHT-063."""
        require(
            len(data) >= HEADER_LENGTH,
            ObliviousHttpRejected,
            "oblivious-http.header.truncated",
            where="offset 0",
            expected=f"{HEADER_LENGTH} bytes, {len(data)} present",
        )
        kem_id, kdf_id, aead_id = (int.from_bytes(data[start : start + 2], "big") for start in (1, 3, 5))
        require(
            kem_id in PUBLIC_KEY_LENGTH and kdf_id in KDFS and aead_id in AEADS,
            ObliviousHttpRejected,
            "oblivious-http.header.algorithm",
            where="offset 1",
            expected="registered code points of a KEM, a KDF and an AEAD",
        )
        return RequestHeader(int.from_bytes(data[:1], "big"), kem_id, kdf_id, aead_id)

    def info(self, form: Form) -> bytes:
        """Return the HPKE info of a request: label, zero byte, header. Requirements: OHT-020."""
        return form.request_label + b"\0" + self.encode()


@dataclass(frozen=True, slots=True)
class ResponseContext:
    """What client and gateway keep of a request until its response is over."""

    header: RequestHeader
    enc: bytes
    hpke: SenderContext | RecipientContext = field(repr=False)

    @property
    def aead_id(self) -> AeadId:
        """The AEAD of the exchange."""
        return self.hpke.suite.aead_id

    @property
    def nonce_length(self) -> int:
        """Bytes of the response nonce: max(Nk, Nn). Requirements: OHT-023."""
        return max(self.aead_id.nk, self.aead_id.nn)

    def response_keys(self, form: Form, response_nonce: bytes) -> ResponseKeys:
        """Derive the keys of a response with plain HKDF (RFC 9458 section 4.4). Requirements: OHT-024, OHT-025."""
        return derive_response_keys(self.hpke, self.enc, form.response_label, response_nonce)


@dataclass(frozen=True, slots=True)
class ResponseKeys:
    """The exported secret, the pseudo-random key, and what seals the response."""

    secret: bytes = field(repr=False)
    prk: bytes = field(repr=False)
    aead_key: bytes = field(repr=False)
    aead_nonce: bytes = field(repr=False)


def derive_response_keys(
    hpke: SenderContext | RecipientContext, enc: bytes, label: bytes, response_nonce: bytes
) -> ResponseKeys:
    """Derive the keys of a response from the context of its request. Requirements: OHT-024, MSG-052."""
    suite = hpke.suite
    secret = hpke.export(label, max(suite.aead_id.nk, suite.aead_id.nn))
    prk = kdf.extract(suite.kdf_id, enc + response_nonce, secret)
    return ResponseKeys(
        secret,
        prk,
        kdf.expand(suite.kdf_id, prk, b"key", suite.aead_id.nk),
        kdf.expand(suite.kdf_id, prk, b"nonce", suite.aead_id.nn),
    )


class BodySealer(Protocol):
    """Seals the part behind header and ``enc``, or behind the response nonce."""

    def seal(self, plaintext: bytes) -> bytes: ...
    def seal_final(self, plaintext: bytes = b"") -> bytes: ...


class BodyOpener(Protocol):
    """Opens that part as it arrives; ``final_seen`` says that its end was proven."""

    final_seen: bool

    @property
    def opened(self) -> bool:
        """Whether any of it was opened."""

    def feed(self, data: bytes) -> list[bytes]: ...
    def finish(self) -> bytes: ...


def body_sealer(form: Form, aead_id: AeadId, key: bytes, nonce: bytes) -> BodySealer:
    """Return what seals a message of this form."""
    return (ChunkSealer if form is Form.CHUNKED else _WholeSealer)(aead_id, key, nonce)


def body_opener(
    form: Form,
    aead_id: AeadId,
    key: bytes,
    nonce: bytes,
    *,
    part: str,
    max_chunk: int,
    max_whole: int = MAX_UNCHUNKED,
    rejection: type[Rejected] = ObliviousHttpRejected,
) -> BodyOpener:
    """Return what opens a message of this form; ``part`` is the code before ``.open`` and ``.long`` in refusals."""
    if form is Form.CHUNKED:
        return ChunkOpener(aead_id, key, nonce, max_chunk)
    return _WholeOpener((aead_id, key, nonce), part, max_whole, rejection)


class NonceOpener:
    """Opens a message that is a nonce and a body, as it arrives; subclasses say what body follows from the nonce.

    The message is whole only when ``finish`` has returned; ``final_seen`` is then true. ``part`` is the code before
    ``.truncated`` in the refusal of a message that ends inside its nonce.
    """

    def __init__(self, nonce_length: int, nonce_name: str, *, part: str, rejection: type[Rejected]) -> None:
        self._nonce_length = nonce_length
        self._nonce_name = nonce_name
        self._part = part
        self._rejection = rejection
        self._buffer = bytearray()
        self._body: BodyOpener | None = None

    def open_body(self, nonce: bytes) -> BodyOpener:
        """Return what opens the rest of the message."""
        raise NotImplementedError

    @property
    def final_seen(self) -> bool:
        """Whether the end of the message was proven."""
        return self._body is not None and self._body.final_seen

    def feed(self, data: bytes) -> list[bytes]:
        """Take more bytes and return the plaintext of every chunk they complete; nothing in unchunked form."""
        if self._body is not None:
            return self._body.feed(data)
        self._buffer += data
        return self._start_body()[1] if len(self._buffer) >= self._nonce_length else []

    def finish(self) -> list[bytes]:
        """Say that the content ends here and return the plaintext that only the end releases."""
        body, opened = self._body, list[bytes]()
        if body is None:
            require(
                False,
                self._rejection,
                f"{self._part}.truncated",
                where=f"offset {len(self._buffer)}",
                expected=f"{self._nonce_name} of {self._nonce_length} bytes",
            )
            body, opened = self._start_body()
        return [*opened, *filter(None, [body.finish()])]

    def _start_body(self) -> tuple[BodyOpener, list[bytes]]:
        nonce, rest = (bytes(part) for part in (self._buffer[: self._nonce_length], self._buffer[self._nonce_length :]))
        self._buffer.clear()
        self._body = self.open_body(nonce)
        return self._body, self._body.feed(rest)


class _WholeSealer:
    """Seals one message with an empty AAD. Requirements: OHT-021."""

    def __init__(self, aead_id: AeadId, key: bytes, nonce: bytes) -> None:
        self._parameters = (aead_id, key, nonce)
        self._closed = False

    def seal(self, plaintext: bytes) -> bytes:
        raise ValueError("an unchunked message is sealed in one piece, by finish")

    def seal_final(self, plaintext: bytes = b"") -> bytes:
        if self._closed:
            raise ValueError("the message has been sealed")
        self._closed = True
        return aead.seal(*self._parameters, b"", plaintext)


class _WholeOpener:
    """Opens one message with an empty AAD, buffering up to ``limit`` bytes of it. Requirements: OHT-021, OHT-079."""

    def __init__(
        self, parameters: tuple[AeadId, bytes, bytes], part: str, limit: int, rejection: type[Rejected]
    ) -> None:
        self._parameters = parameters
        self._part = part
        self._limit = limit
        self._rejection = rejection
        self._buffer = bytearray()
        self.final_seen = False

    @property
    def opened(self) -> bool:
        return self.final_seen

    def feed(self, data: bytes) -> list[bytes]:
        self._buffer += data
        require(
            len(self._buffer) <= self._limit,
            self._rejection,
            f"{self._part}.long",
            where="ciphertext",
            expected=f"at most {self._limit} bytes",
        )
        return []

    def finish(self) -> bytes:
        plaintext = aead.open_sealed(*self._parameters, b"", bytes(self._buffer))
        require(
            plaintext is not None,
            self._rejection,
            f"{self._part}.open",
            where="ciphertext",
            expected="a ciphertext sealed to this key in this form",
        )
        self.final_seen = True
        return plaintext or b""
