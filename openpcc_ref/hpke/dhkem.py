"""DHKEM(P-256) and DHKEM(X25519), those of pyhpke (RFC 9180 section 4.1).

Randomness is drawn as the input keying material of the ephemeral key pair, so that equal randomness gives equal
encapsulations in every implementation that derives it so.
"""

from __future__ import annotations

from typing import Any

import pyhpke

from openpcc_ref.errors import require
from openpcc_ref.hpke.suites import HpkeRejected, KemId, KeyPair
from openpcc_ref.sources import RandomSource


class DhKem:
    """DHKEM(P-256) or DHKEM(X25519), both with HKDF-SHA256 (RFC 9180 section 4.1)."""

    nsecret = 32
    nsk = 32
    nseed = 32

    def __init__(self, kem_id: KemId) -> None:
        known = {
            KemId.DHKEM_P256: (pyhpke.KEMId.DHKEM_P256_HKDF_SHA256, 65),
            KemId.DHKEM_X25519: (pyhpke.KEMId.DHKEM_X25519_HKDF_SHA256, 32),
        }
        pyhpke_id, self.npk = known[kem_id]
        self.nenc = self.npk
        # KDF and AEAD of this pyhpke suite are never used: only its KEM is.
        self._kem: Any = pyhpke.CipherSuite.new(pyhpke_id, pyhpke.KDFId.HKDF_SHA256, pyhpke.AEADId.AES128_GCM).kem

    def derive_key_pair(self, ikm: bytes) -> KeyPair:
        """DeriveKeyPair of RFC 9180 section 7.1.3."""
        pair = self._kem.derive_key_pair(ikm)
        # pyhpke writes a P-256 scalar into as many bytes as the curve has bits: zeros, then the scalar.
        return KeyPair(pair.private_key.to_private_bytes()[-self.nsk :], pair.public_key.to_public_bytes())

    def generate(self, random: RandomSource) -> KeyPair:
        return self.derive_key_pair(random(self.nsk))

    def is_public_key(self, data: bytes) -> bool:
        """P-256: an uncompressed point on the curve. X25519: any 32 bytes; bad ones show in the shared secret.

        RFC 9180 section 7.1.4 validates X25519 by the result of the exchange, which encapsulation does.
        """
        if len(data) != self.npk:
            return False
        try:
            self._kem.deserialize_public_key(data)
        except (ValueError, pyhpke.PyHPKEError):
            return False
        return True

    def encapsulate(self, public_key: bytes, random: RandomSource) -> tuple[bytes, bytes]:
        return self._encapsulate(public_key, self._kem.derive_key_pair(random(self.nseed)))

    def encapsulate_with(self, public_key: bytes, ephemeral_secret_key: bytes) -> tuple[bytes, bytes]:
        """Encapsulate with a given ephemeral key, as published examples state it; never for real messages."""
        secret = self._kem.deserialize_private_key(ephemeral_secret_key)
        public = pyhpke.KEMKey.from_pyca_cryptography_key(secret.raw.public_key())
        return self._encapsulate(public_key, pyhpke.KEMKeyPair(secret, public))

    def decapsulate(self, enc: bytes, secret_key: bytes) -> bytes:
        require(
            len(enc) == self.nenc,
            HpkeRejected,
            "hpke.enc.length",
            where="enc",
            expected=f"{self.nenc} bytes, {len(enc)} given",
        )
        recipient = self._kem.deserialize_private_key(secret_key)
        try:
            shared_secret: bytes = self._kem.decap(enc.ljust(self.nenc, b"\0")[: self.nenc], recipient)
        except (ValueError, pyhpke.PyHPKEError):
            # Not on the curve, or an all-zero result (RFC 9180 section 7.1.4).
            require(False, HpkeRejected, "hpke.enc.value", where="enc", expected="a usable public key")
            return bytes(self.nsecret)
        return shared_secret

    def _encapsulate(self, public_key: bytes, ephemeral: Any) -> tuple[bytes, bytes]:
        # The length also keeps compressed points out, which the curve's decoder would take.
        require(
            len(public_key) == self.npk,
            HpkeRejected,
            "hpke.public-key.length",
            where="public key",
            expected=f"{self.npk} bytes, {len(public_key)} given",
        )
        public_key = public_key.ljust(self.npk, b"\0")[: self.npk]
        try:
            shared_secret, enc = self._kem.encap(self._kem.deserialize_public_key(public_key), eks=ephemeral)
        except (ValueError, pyhpke.PyHPKEError):
            require(False, HpkeRejected, "hpke.public-key.value", where="public key", expected="a usable public key")
            return bytes(self.nsecret), bytes(self.nenc)
        return shared_secret, enc
