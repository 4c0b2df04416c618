"""One data encryption key, encapsulated for each node that may answer.

``header || enc || wrapped``: the suite in the clear, the HPKE encapsulation, and the data encryption key (DEK) sealed
with it. Every receiver has its own HPKE context, from which the keys of its response follow.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from openpcc_ref.compute_messages.media_types import (
    REQUEST_MEDIA_TYPES,
    RESPONSE_MEDIA_TYPES,
    ComputeMessageRejected,
)
from openpcc_ref.errors import require
from openpcc_ref.hpke import (
    AeadId,
    KdfId,
    KemId,
    RecipientContext,
    SenderContext,
    Suite,
    kem,
    setup_base_recipient,
    setup_base_sender,
)
from openpcc_ref.oblivious_http.media_types import Form
from openpcc_ref.oblivious_http.messages import RequestHeader, ResponseKeys, derive_response_keys
from openpcc_ref.sources import RandomSource

COMPUTE_SUITE = Suite(KemId.DHKEM_P256, KdfId.HKDF_SHA256, AeadId.AES_128_GCM)
"""The suite between client and node. Requirements: MSG-070."""

KEY_ID = 0
"""The key identifier in every header. Requirements: MSG-070."""

DEK_LENGTH = 32
"""Bytes of the data encryption key, whatever the AEAD of the suite is. Requirements: MSG-054, MSG-056."""

WRAP_AAD = b"multi-encap-key"
"""The AAD under which the data encryption key is sealed. Requirements: MSG-057."""

HEADER_LENGTH = 7


def request_aead(suite: Suite) -> AeadId:
    """Return the AEAD that seals the request: a 256-bit one, also where the suite names AES-128. Requirements: MSG-055.

    The data encryption key is the AEAD key itself, so its 32 bytes decide. Responses use the suite's AEAD.
    """
    return AeadId.AES_256_GCM if suite.aead_id is AeadId.AES_128_GCM else suite.aead_id


def encapsulated_key_length(suite: Suite = COMPUTE_SUITE) -> int:
    """Return the length of an encapsulated key in bytes: 120 for the suite in use. Requirements: MSG-057."""
    return HEADER_LENGTH + kem(suite.kem_id).nenc + DEK_LENGTH + suite.aead_id.nt


@dataclass(frozen=True, slots=True)
class ReceiverContext:
    """What the two ends of one encapsulated key share: it keys the response of that node and of no other.

    Requirements: MSG-059, MSG-060.
    """

    enc: bytes
    hpke: SenderContext | RecipientContext = field(repr=False)

    @property
    def aead_id(self) -> AeadId:
        """The AEAD of the response."""
        return self.hpke.suite.aead_id

    @property
    def nonce_length(self) -> int:
        """Bytes of the response nonce: max(Nk, Nn). Requirements: MSG-052."""
        return max(self.aead_id.nk, self.aead_id.nn)

    def response_keys(self, form: Form, response_nonce: bytes) -> ResponseKeys:
        """Derive the keys of a response. Requirements: MSG-052."""
        return derive_response_keys(self.hpke, self.enc, RESPONSE_MEDIA_TYPES[form], response_nonce)


def encapsulate_key(
    public_key: bytes, dek: bytes, form: Form, *, random: RandomSource, suite: Suite = COMPUTE_SUITE
) -> tuple[bytes, ReceiverContext]:
    """Return the encapsulated key for one node and the context of that node's response.

    ``form`` is that of the request: its media type is bound in. Requirements: MSG-040 to MSG-042, MSG-057 to MSG-059.
    Raises :class:`~openpcc_ref.hpke.HpkeRejected` for a bad public key.
    """
    header = _header(suite)
    enc, context = setup_base_sender(suite, public_key, _info(form, header), random=random)
    return header + enc + context.seal(dek, WRAP_AAD), ReceiverContext(enc, context)


def open_encapsulated_key(
    encapsulated_key: bytes, secret_key: bytes, form: Form, *, suite: Suite = COMPUTE_SUITE
) -> tuple[bytes, ReceiverContext]:
    """Return the data encryption key and the context for the response.

    The clear part is checked before the secret key is used. Requirements: MSG-040, MSG-043, MSG-056 to MSG-058. Raises
    :class:`ComputeMessageRejected` with ``compute-message.encapsulated-key.length`` or ``….header``, and
    :class:`~openpcc_ref.hpke.HpkeRejected` with ``hpke.enc.value`` or ``hpke.open``. On the wire all of them must look
    alike (MSG-082).
    """
    length, header = encapsulated_key_length(suite), _header(suite)
    require(
        len(encapsulated_key) == length,
        ComputeMessageRejected,
        "compute-message.encapsulated-key.length",
        where="encapsulated key",
        expected=f"{length} bytes, {len(encapsulated_key)} given",
    )
    require(
        encapsulated_key[:HEADER_LENGTH] == header,
        ComputeMessageRejected,
        "compute-message.encapsulated-key.header",
        where="offset 0",
        expected=f"key identifier and suite of this node, {header.hex()}",
    )
    wrapped_start = HEADER_LENGTH + kem(suite.kem_id).nenc
    enc = encapsulated_key[HEADER_LENGTH:wrapped_start].ljust(wrapped_start - HEADER_LENGTH, b"\0")
    context = setup_base_recipient(suite, enc, secret_key, _info(form, header))
    dek = context.open(encapsulated_key[wrapped_start:length], WRAP_AAD)
    return dek.ljust(DEK_LENGTH, b"\0"), ReceiverContext(enc, context)


def _header(suite: Suite) -> bytes:
    return RequestHeader(KEY_ID, suite.kem_id, suite.kdf_id, suite.aead_id).encode()


def _info(form: Form, header: bytes) -> bytes:
    return REQUEST_MEDIA_TYPES[form] + b"\0" + header
