"""The key schedule and encryption contexts of HPKE's base mode (RFC 9180 sections 5.1 to 5.3)."""

from __future__ import annotations

from dataclasses import dataclass, field

from openpcc_ref.errors import require
from openpcc_ref.hpke import aead, kdf
from openpcc_ref.hpke.dhkem import DhKem
from openpcc_ref.hpke.kem import kem
from openpcc_ref.hpke.suites import HpkeRejected, Suite
from openpcc_ref.sources import RandomSource

_MODE_BASE = b"\x00"


@dataclass(slots=True)
class _Context:
    """What both ends share once the KEM has done its work."""

    suite: Suite
    key: bytes = field(repr=False)
    base_nonce: bytes = field(repr=False)
    exporter_secret: bytes = field(repr=False)
    sequence: int = 0

    def export(self, exporter_context: bytes, length: int) -> bytes:
        """Return ``length`` secret bytes bound to ``exporter_context`` (section 5.3)."""
        suite = self.suite
        return kdf.labeled_expand(suite.kdf_id, suite.suite_id, self.exporter_secret, b"sec", exporter_context, length)

    def _next_nonce(self) -> bytes:
        nonce = nonce_at(self.base_nonce, self.sequence)
        self.sequence += 1
        return nonce


class SenderContext(_Context):
    """Seals messages in order."""

    def seal(self, plaintext: bytes, aad: bytes = b"") -> bytes:
        """Return the ciphertext of the next message (section 5.2)."""
        return aead.seal(self.suite.aead_id, self.key, self._next_nonce(), aad, plaintext)


class RecipientContext(_Context):
    """Opens messages in order."""

    def open(self, ciphertext: bytes, aad: bytes = b"") -> bytes:
        """Return the plaintext of the next message. Raises :class:`HpkeRejected` with ``hpke.open``."""
        nonce = nonce_at(self.base_nonce, self.sequence)
        plaintext = aead.open_sealed(self.suite.aead_id, self.key, nonce, aad, ciphertext)
        require(
            plaintext is not None,
            HpkeRejected,
            "hpke.open",
            where=f"message {self.sequence}",
            expected="a ciphertext sealed to this key under this info and AAD",
        )
        self.sequence += 1
        return plaintext or b""


def nonce_at(base_nonce: bytes, sequence: int) -> bytes:
    """Return the nonce of message ``sequence``: base nonce XOR the number. Raises OverflowError beyond the last."""
    counter = sequence.to_bytes(len(base_nonce), "big")
    return bytes(left ^ right for left, right in zip(base_nonce, counter, strict=True))


def setup_base_sender(
    suite: Suite, public_key: bytes, info: bytes, *, random: RandomSource, ephemeral_secret_key: bytes | None = None
) -> tuple[bytes, SenderContext]:
    """Return (enc, context) for a recipient (section 5.1.1). Raises :class:`HpkeRejected` for a bad public key.

    ``ephemeral_secret_key`` replaces the random one of a Diffie-Hellman KEM, as published examples state it; never
    for real messages.
    """
    mechanism = kem(suite.kem_id)
    if ephemeral_secret_key is None:
        shared_secret, enc = mechanism.encapsulate(public_key, random)
    elif isinstance(mechanism, DhKem):
        shared_secret, enc = mechanism.encapsulate_with(public_key, ephemeral_secret_key)
    else:
        raise ValueError(f"{suite.kem_id.name} has no ephemeral secret key")
    return enc, SenderContext(suite, *key_schedule(suite, shared_secret, info))


def setup_base_recipient(suite: Suite, enc: bytes, secret_key: bytes, info: bytes) -> RecipientContext:
    """Return the context of an encapsulation. Raises :class:`HpkeRejected` for an unusable ``enc``."""
    shared_secret = kem(suite.kem_id).decapsulate(enc, secret_key)
    return RecipientContext(suite, *key_schedule(suite, shared_secret, info))


def key_schedule(suite: Suite, shared_secret: bytes, info: bytes) -> tuple[bytes, bytes, bytes]:
    """Return (key, base nonce, exporter secret) in base mode (section 5.1)."""
    ids = (suite.kdf_id, suite.suite_id)
    psk_id_hash = kdf.labeled_extract(*ids, b"", b"psk_id_hash", b"")
    info_hash = kdf.labeled_extract(*ids, b"", b"info_hash", info)
    schedule_context = _MODE_BASE + psk_id_hash + info_hash
    secret = kdf.labeled_extract(*ids, shared_secret, b"secret", b"")
    return (
        kdf.labeled_expand(*ids, secret, b"key", schedule_context, suite.aead_id.nk),
        kdf.labeled_expand(*ids, secret, b"base_nonce", schedule_context, suite.aead_id.nn),
        kdf.labeled_expand(*ids, secret, b"exp", schedule_context, suite.kdf_id.nh),
    )
