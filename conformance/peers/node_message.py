"""Sealed requests to a node with every part open to tampering, and the judgement of what comes back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from conformance.peers.envelope import Content
from conformance.verdicts import Violation, expect
from openpcc_ref.base64_text import to_text
from openpcc_ref.binary_http import Fields, Response, decode_response, field_value, field_values
from openpcc_ref.compute_messages import (
    COMPUTE_SUITE,
    ENCODED_CHUNK,
    REQUEST_MEDIA_TYPES,
    RESPONSE_MEDIA_TYPES,
    Form,
    ReceiverContext,
    ResponseOpener,
)
from openpcc_ref.compute_messages.encapsulated_key import DEK_LENGTH, KEY_ID, WRAP_AAD
from openpcc_ref.credits.currency import CurrencyValue, decode_text
from openpcc_ref.errors import Rejected
from openpcc_ref.hpke import SenderContext, setup_base_sender
from openpcc_ref.oblivious_http.messages import RequestHeader
from openpcc_ref.sources import RandomSource
from openpcc_ref.varint import encode_varint

MAX_CHUNK = 2**24
"""Plaintext bytes of a response chunk that are opened: more than a node may use, so that this can be judged."""

_NONCE = 12

HEADER = RequestHeader(KEY_ID, COMPUTE_SUITE.kem_id, COMPUTE_SUITE.kdf_id, COMPUTE_SUITE.aead_id).encode()
"""Key identifier and suite as every encapsulated key states them. Requirements: MSG-070."""


class SealedRequest:
    """One request sealed for one node. What is not given is what the standard says.

    ``bound_form`` is the form whose media type is bound into the encapsulated key; ``header`` what it states and is
    bound to; ``info`` replaces what it is bound to; ``wrap_aad`` is the AAD of the data encryption key ``dek``;
    ``encapsulation`` replaces ``enc`` and context as a whole.
    """

    def __init__(
        self,
        public_key: bytes,
        form: Form,
        *,
        random: RandomSource,
        bound_form: Form | None = None,
        header: bytes = HEADER,
        info: bytes | None = None,
        wrap_aad: bytes = WRAP_AAD,
        dek: bytes | None = None,
        encapsulation: tuple[bytes, SenderContext] | None = None,
    ) -> None:
        self.form = form
        self.dek = random(DEK_LENGTH) if dek is None else dek
        self.nonce = random(_NONCE)
        bound = REQUEST_MEDIA_TYPES[bound_form or form] + b"\0" + header if info is None else info
        enc, hpke = encapsulation or setup_base_sender(COMPUTE_SUITE, public_key, bound, random=random)
        self.encapsulated_key = header + enc + hpke.seal(self.dek, wrap_aad)
        self.context = ReceiverContext(enc, hpke)
        self._count = 0

    @property
    def key_text(self) -> bytes:
        """The value of ``X-Encapsulated-Key``."""
        return to_text(self.encapsulated_key).encode()

    def whole(self, plaintext: bytes) -> bytes:
        """Return the unchunked form."""
        return self.nonce + AESGCM(self.dek).encrypt(self.nonce, plaintext, b"")

    def chunk(self, plaintext: bytes, *, aad: bytes = b"") -> bytes:
        """Return the next data chunk."""
        sealed = self._seal(plaintext, aad)
        return encode_varint(len(sealed)) + sealed

    def final(self, plaintext: bytes = b"", *, aad: bytes = b"final") -> bytes:
        """Return the final chunk."""
        return b"\0" + self._seal(plaintext, aad)

    def chunked(self, plaintext: bytes, size: int = ENCODED_CHUNK) -> list[bytes]:
        """Return the chunked form as an honest client cuts it: nonce, chunks, empty final chunk."""
        pieces = [plaintext[offset : offset + size] for offset in range(0, len(plaintext), size)]
        return [self.nonce, *map(self.chunk, pieces), self.final()]

    def sealed(self, plaintext: bytes) -> Content:
        """Return the whole request in its form."""
        return self.whole(plaintext) if self.form is Form.UNCHUNKED else self.chunked(plaintext)

    def _seal(self, plaintext: bytes, aad: bytes) -> bytes:
        counted = (int.from_bytes(self.nonce, "big") ^ self._count).to_bytes(_NONCE, "big")
        self._count += 1
        return AESGCM(self.dek).encrypt(counted, plaintext, aad)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a node answered, as far as it came."""

    status: int
    fields: Fields
    content: bytes
    trailers: Fields
    complete: bool
    """Whether it ended as its framing says it must."""

    @property
    def media_type(self) -> bytes:
        return field_value(self.fields, b"content-type") or b""

    @property
    def form(self) -> Form | None:
        """The form of the sealed response that its media type announces, or None."""
        return next((form for form in Form if RESPONSE_MEDIA_TYPES[form] == self.media_type), None)

    @property
    def refund(self) -> CurrencyValue | None:
        """The reported refund. A violation, if it cannot be read. Requirements: NODE-010."""
        values = field_values(self.trailers, b"x-refund-amount")
        if not values:
            return None
        try:
            if len(values) == 1:
                return decode_text(values[0].decode("latin-1"))
        except Rejected:
            pass
        seen = b", ".join(values)[:100].decode("latin-1")
        raise Violation("a trailer X-Refund-Amount with one Currency in base64", f"X-Refund-Amount: {seen}")

    def __str__(self) -> str:
        media_type = self.media_type.decode("latin-1") or "no media type"
        cut = "" if self.complete else ", cut off"
        said = "".join(filter(str.isprintable, self.content[:80].decode("latin-1"))) if self.status >= 400 else ""
        return f"outer status {self.status} with {media_type} and {len(self.content)} bytes{cut}{said and f': {said}'}"


@dataclass(frozen=True, slots=True)
class Opened:
    """A sealed response that was opened to its proven end."""

    form: Form
    nonce: bytes
    chunks: tuple[bytes, ...]
    """Plaintext of each chunk but an empty final one; the whole message in unchunked form."""
    response: Response
    answer: Answer

    @property
    def refund(self) -> CurrencyValue | None:
        """The reported refund. A violation, if it cannot be read, for those who ask. Requirements: NODE-010."""
        return self.answer.refund

    @property
    def status(self) -> int:
        return self.response.head.status

    def __str__(self) -> str:
        code = self.response.content[:80].decode("latin-1") if self.status >= 400 else ""
        return f"inner status {self.status} with {len(self.response.content)} bytes{code and f': {code}'}"


def open_answer(answer: Answer, context: ReceiverContext, what: str = "") -> Opened:
    """Open the answer to ``what``. A violation, if it is not a whole sealed response. Requirements: NODE-008, MSG-052,
    MSG-060.
    """
    to = what and f" to {what}"
    sealed = answer.status == 200 and answer.form is not None
    expect(sealed, expected=f"outer status 200 with a sealed response{to}", observed=str(answer))
    assert answer.form is not None
    expect(answer.complete, expected=f"a sealed response with an end{to}", observed=str(answer))
    opener = ResponseOpener(context, answer.form, max_chunk=MAX_CHUNK, max_whole=MAX_CHUNK)
    try:
        chunks = [*opener.feed(answer.content), *opener.finish()]
    except Rejected as rejected:
        raise Violation(f"a sealed response{to} that opens", f"{rejected}; {answer}") from rejected
    try:
        response = decode_response(b"".join(chunks))
    except Rejected as rejected:
        raise Violation(f"a Binary HTTP response{to} inside", str(rejected)) from rejected
    return Opened(answer.form, answer.content[: context.nonce_length], tuple(chunks), response, answer)


def expect_refused(answer: Answer, what: str) -> None:
    """Require the 400 in clear of requests that are not opened. Requirements: NODE-003 to NODE-006, MSG-082."""
    expect(
        answer.status == 400 and answer.form is None,
        expected=f"status 400 in clear for {what}",
        observed=str(answer),
    )


def joined(content: Content) -> bytes:
    """Return content as bytes, whatever the HTTP chunks it is sent in."""
    return content if isinstance(content, bytes) else b"".join(content)


def altered(data: bytes, position: int) -> bytes:
    """Return a copy of which one bit is different."""
    changed = bytearray(data)
    changed[position] ^= 0x01
    return bytes(changed)


def without(pieces: Sequence[bytes], index: int) -> list[bytes]:
    """Return the pieces but one."""
    return [piece for position, piece in enumerate(pieces) if position != index]
