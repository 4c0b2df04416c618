"""Encapsulated requests with every part open to tampering, and the judgement of what comes back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from conformance.verdicts import Violation, expect
from openpcc_ref.binary_http import Fields, Response, decode_response, field_value
from openpcc_ref.errors import Rejected
from openpcc_ref.hpke import AeadId, KdfId, KemId, SenderContext, Suite, kdf, setup_base_sender
from openpcc_ref.oblivious_http import Form, KeyConfig, RequestHeader, ResponseContext, ResponseOpener
from openpcc_ref.oblivious_http import SymmetricAlgorithm as Algorithm
from openpcc_ref.sources import RandomSource
from openpcc_ref.varint import encode_varint

Content = bytes | Sequence[bytes]
"""Outer content: bytes go with their length, a sequence as one HTTP chunk each."""

MAX_CHUNK = 2**24
"""Plaintext bytes of a response chunk that are opened: more than a sender should use, so that this can be judged."""


def raw_request(
    method: bytes,
    authority: bytes,
    path: bytes,
    content: bytes = b"",
    fields: Fields = (),
    trailers: Fields = (),
    *,
    indeterminate: bool = False,
) -> bytes:
    """Encode a request, by default of known length, without looking at it, to say what an encoder refuses to say."""
    parts = b"".join(_sized(part) for part in (method, b"http", authority, path))
    sections = [b"".join(_sized(name) + _sized(value) for name, value in section) for section in (fields, trailers)]
    if indeterminate:
        pieces = _sized(content) if content else b""
        return encode_varint(2) + parts + sections[0] + b"\0" + pieces + b"\0" + sections[1] + b"\0"
    return encode_varint(0) + parts + _sized(sections[0]) + _sized(content) + _sized(sections[1])


def _sized(data: bytes) -> bytes:
    return encode_varint(len(data)) + data


class Envelope:
    """One encapsulation to a key of the gateway. What is not given is what the standard says.

    ``algorithm`` is the pair of KDF and AEAD; ``header`` replaces what is said about key and suite without changing
    what is used; ``info`` replaces what the sealing is bound to; ``encapsulation`` the key encapsulation (``enc`` and
    context) as a whole.
    """

    def __init__(
        self,
        key: KeyConfig,
        form: Form,
        *,
        random: RandomSource,
        algorithm: Algorithm | None = None,
        header: RequestHeader | None = None,
        info: bytes | None = None,
        encapsulation: tuple[bytes, SenderContext] | None = None,
    ) -> None:
        self.form = form
        pair = algorithm or key.algorithms[0]
        self.header = header or RequestHeader(key.key_id, key.kem_id, pair.kdf_id, pair.aead_id)
        suite = Suite(KemId(key.kem_id), KdfId(pair.kdf_id), AeadId(pair.aead_id))
        self.enc, self.hpke = encapsulation or setup_base_sender(
            suite, key.public_key, self.header.info(form) if info is None else info, random=random
        )

    @property
    def start(self) -> bytes:
        """Header and encapsulated key."""
        return self.header.encode() + self.enc

    @property
    def context(self) -> ResponseContext:
        """What opens the response."""
        return ResponseContext(self.header, self.enc, self.hpke)

    def whole(self, plaintext: bytes, *, aad: bytes = b"") -> bytes:
        """Return an unchunked encapsulated request."""
        return self.start + self.hpke.seal(plaintext, aad)

    def chunk(self, plaintext: bytes, *, aad: bytes = b"") -> bytes:
        """Return the next non-final chunk."""
        sealed = self.hpke.seal(plaintext, aad)
        return encode_varint(len(sealed)) + sealed

    def final(self, plaintext: bytes = b"", *, aad: bytes = b"final") -> bytes:
        """Return the final chunk."""
        return b"\0" + self.hpke.seal(plaintext, aad)

    def chunked(self, plaintext: bytes, size: int = 532) -> list[bytes]:
        """Return a chunked encapsulated request as an honest client cuts it: start, chunks, empty final chunk."""
        pieces = [plaintext[offset : offset + size] for offset in range(0, len(plaintext), size)]
        return [self.start, *map(self.chunk, pieces), self.final()]

    def sealed(self, plaintext: bytes) -> Content:
        """Return the whole request in the form of this envelope."""
        return self.whole(plaintext) if self.form is Form.UNCHUNKED else self.chunked(plaintext)


def zero_shared_secret(public_key: bytes) -> bytes:
    """Return the DHKEM(X25519) secret of an all-zero ``enc``, which everyone knows (RFC 9180 section 7.1.4)."""
    suite_id = b"KEM" + KemId.DHKEM_X25519.to_bytes(2, "big")
    prk = kdf.labeled_extract(KdfId.HKDF_SHA256, suite_id, b"", b"eae_prk", bytes(32))
    return kdf.labeled_expand(KdfId.HKDF_SHA256, suite_id, prk, b"shared_secret", bytes(32) + public_key, 32)


@dataclass(frozen=True, slots=True)
class Outer:
    """The outer response as far as it came."""

    status: int
    fields: Fields
    content: bytes
    complete: bool
    """Whether it ended as its framing says it must."""

    @property
    def media_type(self) -> bytes:
        return field_value(self.fields, b"content-type") or b""

    @property
    def form(self) -> Form | None:
        """The form its media type announces, or None."""
        return next((form for form in Form if form.response_media_type == self.media_type), None)

    def __str__(self) -> str:
        media_type = self.media_type.decode("latin-1") or "no media type"
        cut = "" if self.complete else ", cut off"
        said = "" if self.form else _said(self.status, self.content)
        return f"outer status {self.status} with {media_type} and {len(self.content)} bytes{cut}{said}"


@dataclass(frozen=True, slots=True)
class Opened:
    """An encapsulated response that was opened to its proven end."""

    form: Form
    nonce: bytes
    chunks: tuple[bytes, ...]
    """Plaintext of each chunk but an empty final one; the whole message in unchunked form."""
    response: Response

    def __str__(self) -> str:
        status, content = self.response.head.status, self.response.content
        return f"inner status {status} with {len(content)} bytes{_said(status, content)}"


def _said(status: int, content: bytes) -> str:
    """Return the beginning of what an error says, if it is text: it may name the reason."""
    text = content[:80].decode("ascii", "replace").strip()
    return f": {text!r}" if status >= 400 and text.isprintable() and text else ""


def expect_encapsulated(outer: Outer, *, deployed: str | None = None) -> bool:
    """Require an encapsulated response; return False where there is none and the profile excuses that.

    ``deployed`` names the divergence that excuses an unencapsulated 400 of type ``about:blank``.
    """
    blank = outer.status == 400 and b'"about:blank"' in outer.content
    return expect(
        outer.status == 200 and outer.form is not None,
        expected="outer status 200 with an encapsulated response",
        observed=str(outer),
        deployed=deployed if blank else None,
    )


def open_outer(outer: Outer, context: ResponseContext) -> Opened:
    """Open an outer response. A violation, if it is not a whole encapsulated response."""
    expect_encapsulated(outer)
    assert outer.form is not None
    expect(outer.complete, expected="an encapsulated response with an end", observed=str(outer))
    opener = ResponseOpener(context, outer.form, MAX_CHUNK)
    try:
        chunks = [*opener.feed(outer.content), *opener.finish()]
    except Rejected as rejected:
        raise Violation("an encapsulated response that opens", f"{rejected}; {outer}") from rejected
    try:
        response = decode_response(b"".join(chunks))
    except Rejected as rejected:
        raise Violation("a Binary HTTP response inside", str(rejected)) from rejected
    return Opened(outer.form, outer.content[: context.nonce_length], tuple(chunks), response)


def expect_refused(outer: Outer, what: str) -> None:
    """Require an unencapsulated 4xx. Requirements: OHT-062, OHT-063."""
    expect(
        400 <= outer.status <= 499 and outer.form is None,
        expected=f"an unencapsulated 4xx for {what}",
        observed=str(outer),
    )
