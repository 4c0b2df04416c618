"""KEM 0x0030, X25519Kyber768Draft00: DHKEM(X25519) beside Kyber768 of NIST round 3.

Kyber768 round 3 is not ML-KEM-768: key generation, encapsulation and the shared secret differ, and the two do not
interoperate. Keys, encapsulations and secrets are plain concatenations, X25519 first. Requirements: OHT-002, OHT-004.
"""

from __future__ import annotations

from io import BytesIO
from typing import Any

from kyber_py.kyber.default_parameters import DEFAULT_PARAMETERS
from kyber_py.kyber.kyber import Kyber

from openpcc_ref.errors import require
from openpcc_ref.hpke import kdf
from openpcc_ref.hpke.dhkem import DhKem
from openpcc_ref.hpke.suites import HpkeRejected, KdfId, KemId, KeyPair
from openpcc_ref.sources import RandomSource

_SUITE_ID = b"KEM" + KemId.X25519_KYBER768_DRAFT00.to_bytes(2, "big")

SEED_LENGTH = 32
"""Input keying material of DeriveKeyPair, in bytes. Requirements: OHT-005."""


class X25519Kyber768Draft00:
    """The hybrid KEM of draft-westerbaan-cfrg-hpke-xyber768d00."""

    npk = 32 + 1184
    nsk = 32 + 2400
    nenc = 32 + 1088
    nsecret = 32 + 32
    nseed = 32 + 32

    def __init__(self) -> None:
        self._dh = DhKem(KemId.DHKEM_X25519)

    def derive_key_pair(self, ikm: bytes) -> KeyPair:
        """Return the key pair of a 32-byte seed. Raises ValueError for another length. Requirements: OHT-005."""
        if len(ikm) != SEED_LENGTH:
            raise ValueError(f"a key pair is derived from exactly {SEED_LENGTH} bytes, not {len(ikm)}")
        prk = kdf.labeled_extract(KdfId.HKDF_SHA256, _SUITE_ID, b"", b"dkp_prk", ikm)
        okm = kdf.labeled_expand(KdfId.HKDF_SHA256, _SUITE_ID, prk, b"sk", b"", 96)
        dh = self._dh.derive_key_pair(okm[:32])
        kyber_public, kyber_secret = _kyber(okm[32:]).keygen()
        return KeyPair(dh.secret_key + kyber_secret, dh.public_key + kyber_public)

    def generate(self, random: RandomSource) -> KeyPair:
        return self.derive_key_pair(random(SEED_LENGTH))

    def is_public_key(self, data: bytes) -> bool:
        """Say whether the length is right; Kyber of round 3 reduces every coefficient and so takes any bytes."""
        return len(data) == self.npk

    def encapsulate(self, public_key: bytes, random: RandomSource) -> tuple[bytes, bytes]:
        require(
            len(public_key) == self.npk,
            HpkeRejected,
            "hpke.public-key.length",
            where="public key",
            expected=f"{self.npk} bytes, {len(public_key)} given",
        )
        public_key = public_key.ljust(self.npk, b"\0")[: self.npk]
        seed = random(self.nseed)
        dh_secret, dh_enc = self._dh.encapsulate(public_key[:32], lambda _: seed[:32])
        kyber_secret, ciphertext = _kyber(seed[32:]).encaps(public_key[32:])
        return dh_secret + kyber_secret, dh_enc + ciphertext

    def decapsulate(self, enc: bytes, secret_key: bytes) -> bytes:
        """Return the shared secret; a bad Kyber ciphertext gives another secret, never an error."""
        require(
            len(enc) == self.nenc,
            HpkeRejected,
            "hpke.enc.length",
            where="enc",
            expected=f"{self.nenc} bytes, {len(enc)} given",
        )
        enc = enc.ljust(self.nenc, b"\0")[: self.nenc]
        dh_secret = self._dh.decapsulate(enc[:32], secret_key[:32])
        kyber_secret: bytes = _kyber(b"").decaps(secret_key[32:], enc[32:])
        return dh_secret + kyber_secret


def _kyber(randomness: bytes) -> Any:
    """Return Kyber768 that draws exactly these bytes, in order: d and z for a key pair, m for a ciphertext."""
    kyber = Kyber({"q": 3329, **DEFAULT_PARAMETERS["kyber_768"]})
    drawn = BytesIO(randomness)
    kyber.random_bytes = drawn.read
    return kyber
