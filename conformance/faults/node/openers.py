"""What nodes are made of that open what they must not: openers that try further keys, or do without the tag."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from openpcc_ref.compute_messages import (
    COMPUTE_SUITE,
    ENCODED_CHUNK,
    REQUEST_MEDIA_TYPES,
    ComputeMessageRejected,
    Form,
    ReceiverContext,
    RequestOpener,
    open_encapsulated_key,
)
from openpcc_ref.compute_messages.encapsulated_key import DEK_LENGTH, HEADER_LENGTH, KEY_ID, WRAP_AAD
from openpcc_ref.errors import Rejected
from openpcc_ref.hpke import AeadId, KdfId, RecipientContext, kdf, kem, key_schedule, setup_base_recipient
from openpcc_ref.oblivious_http.messages import BodyOpener, NonceOpener, RequestHeader, body_opener
from openpcc_ref.services.node_worker import Worker

HEADER = RequestHeader(KEY_ID, COMPUTE_SUITE.kem_id, COMPUTE_SUITE.kdf_id, COMPUTE_SUITE.aead_id).encode()
"""What every encapsulated key begins with. Requirements: MSG-070."""

ENC_END = HEADER_LENGTH + kem(COMPUTE_SUITE.kem_id).nenc

OpenedKey = tuple[bytes, ReceiverContext]
"""The data encryption key and the context for the response."""


class DekOpener(NonceOpener):
    """Opens a request under a data encryption key that was opened somehow; its length selects the cipher."""

    def __init__(self, dek: bytes, context: ReceiverContext, form: Form) -> None:
        super().__init__(12, "a nonce", part="compute-message.request", rejection=ComputeMessageRejected)
        self._dek = dek
        self.context = context
        self._form = form

    def open_body(self, nonce: bytes) -> BodyOpener:
        aead_id = AeadId.AES_256_GCM if len(self._dek) == DEK_LENGTH else AeadId.AES_128_GCM
        return body_opener(
            self._form,
            aead_id,
            self._dek,
            nonce,
            part="compute-message.request",
            max_chunk=ENCODED_CHUNK,
            rejection=ComputeMessageRejected,
        )


class SecondTry(Worker):
    """Opens what the reference opens, and what any of ``keys`` opens."""

    def keys(self, encapsulated_key: bytes, form: Form) -> Iterator[OpenedKey]:
        """Yield what further ways of opening the key give; one may raise :class:`Rejected`."""
        raise NotImplementedError

    def opener(self) -> Any:
        try:
            return super().opener()
        except Rejected:
            for dek, context in self.keys(self.parameters.encapsulated_key, self.parameters.form):
                return DekOpener(dek, context, self.parameters.form)
            raise


class OtherBindings(SecondTry):
    """Tries other infos and AADs: the pairs that ``bindings`` names."""

    wrapped_length = DEK_LENGTH + COMPUTE_SUITE.aead_id.nt
    """Bytes of a sealed data encryption key."""

    def bindings(self, header: bytes, form: Form) -> Iterator[tuple[bytes, bytes]]:
        """Yield info and AAD of the data encryption key."""
        raise NotImplementedError

    def keys(self, encapsulated_key: bytes, form: Form) -> Iterator[OpenedKey]:
        enc = encapsulated_key[HEADER_LENGTH:ENC_END]
        if len(encapsulated_key) != ENC_END + self.wrapped_length:
            return
        for info, aad in self.bindings(encapsulated_key[:HEADER_LENGTH], form):
            with suppress(Rejected):
                context = setup_base_recipient(COMPUTE_SUITE, enc, self.settings.secret_key, info)
                yield context.open(encapsulated_key[ENC_END:], aad), ReceiverContext(enc, context)


def info_of(form: Form, header: bytes = HEADER) -> bytes:
    """Return the info that an encapsulated key is bound to. Requirements: MSG-041."""
    return REQUEST_MEDIA_TYPES[form] + b"\0" + header


class WholeOpener:
    """Opens an unchunked request at its end; of one that does not open, ``otherwise`` says what is in it."""

    def __init__(self, opener: RequestOpener, dek: bytes) -> None:
        self._opener = opener
        self._dek = dek
        self._message = bytearray()

    @property
    def context(self) -> ReceiverContext:
        return self._opener.context

    def feed(self, data: bytes) -> list[bytes]:
        self._message += data
        return []

    def finish(self) -> list[bytes]:
        try:
            return [*self._opener.feed(bytes(self._message)), *self._opener.finish()]
        except Rejected:
            if len(self._message) < 12 + COMPUTE_SUITE.aead_id.nt:
                raise
            return [self.otherwise(self._dek, bytes(self._message[:12]), bytes(self._message[12:]))]

    def otherwise(self, dek: bytes, nonce: bytes, sealed: bytes) -> bytes:
        """Return the plaintext. Raises :class:`Rejected`."""
        raise NotImplementedError


class LaterTry(Worker):
    """Opens unchunked requests with ``whole_opener``."""

    whole_opener: type[WholeOpener]

    def opener(self) -> Any:
        opener = super().opener()
        if self.parameters.form is Form.CHUNKED:
            return opener
        key, secret_key = self.parameters.encapsulated_key, self.settings.secret_key
        return self.whole_opener(opener, open_encapsulated_key(key, secret_key, Form.UNCHUNKED)[0])


def unauthenticated(key: bytes, nonce: bytes, sealed: bytes) -> bytes:
    """Decrypt AES-GCM without a look at its tag."""
    counter = nonce + (2).to_bytes(4, "big")
    decryptor = Cipher(algorithms.AES(key), modes.CTR(counter)).decryptor()
    return decryptor.update(sealed[: -COMPUTE_SUITE.aead_id.nt]) + decryptor.finalize()


def x_coordinate(secret_key: bytes, point: bytes) -> bytes:
    """Return the x-coordinate of the shared point. Raises ValueError for what is no point of P-256."""
    curve = ec.SECP256R1()
    public_key = ec.EllipticCurvePublicKey.from_encoded_point(curve, point)
    return ec.derive_private_key(int.from_bytes(secret_key, "big"), curve).exchange(ec.ECDH(), public_key)


def context_of(dh: bytes, enc: bytes, secret_key: bytes, form: Form) -> RecipientContext:
    """Return the context that follows from a Diffie-Hellman value (RFC 9180 section 4.1)."""
    curve = ec.SECP256R1()
    numbers = ec.derive_private_key(int.from_bytes(secret_key, "big"), curve).public_key().public_numbers()
    public_key = b"\4" + numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big")
    suite_id = b"KEM" + COMPUTE_SUITE.kem_id.to_bytes(2, "big")
    prk = kdf.labeled_extract(KdfId.HKDF_SHA256, suite_id, b"", b"eae_prk", dh)
    secret = kdf.labeled_expand(KdfId.HKDF_SHA256, suite_id, prk, b"shared_secret", enc + public_key, 32)
    return RecipientContext(COMPUTE_SUITE, *key_schedule(COMPUTE_SUITE, secret, info_of(form)))


def wrapped_key(context: RecipientContext, wrapped: bytes, enc: bytes) -> OpenedKey:
    """Open a data encryption key. Raises :class:`Rejected`."""
    return context.open(wrapped, WRAP_AAD), ReceiverContext(enc, context)
