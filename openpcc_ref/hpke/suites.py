"""Code points and parameters of HPKE (RFC 9180 section 7)."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

from openpcc_ref.errors import Rejected


class HpkeRejected(Rejected):
    """A key, an encapsulation or a ciphertext is not acceptable."""


class KemId(IntEnum):
    """Key encapsulation mechanisms in use."""

    DHKEM_P256 = 0x0010
    DHKEM_X25519 = 0x0020
    X25519_KYBER768_DRAFT00 = 0x0030


class KdfId(IntEnum):
    """Key derivation functions."""

    HKDF_SHA256 = 0x0001
    HKDF_SHA384 = 0x0002
    HKDF_SHA512 = 0x0003

    @property
    def hash_name(self) -> str:
        """The hash function's name in hashlib."""
        return {1: "sha256", 2: "sha384", 3: "sha512"}[self]

    @property
    def nh(self) -> int:
        """Output length of Extract in bytes."""
        return {1: 32, 2: 48, 3: 64}[self]


class AeadId(IntEnum):
    """Authenticated encryption."""

    AES_128_GCM = 0x0001
    AES_256_GCM = 0x0002
    CHACHA20_POLY1305 = 0x0003

    @property
    def nk(self) -> int:
        """Key length in bytes."""
        return 16 if self is AeadId.AES_128_GCM else 32

    @property
    def nn(self) -> int:
        """Nonce length in bytes."""
        return 12

    @property
    def nt(self) -> int:
        """Tag length in bytes."""
        return 16


@dataclass(frozen=True, slots=True)
class Suite:
    """A KEM, a KDF and an AEAD."""

    kem_id: KemId
    kdf_id: KdfId
    aead_id: AeadId

    @property
    def suite_id(self) -> bytes:
        """The ten bytes that bind every label of the key schedule to the suite (RFC 9180 section 5.1)."""
        ids = (self.kem_id, self.kdf_id, self.aead_id)
        return b"HPKE" + b"".join(code.to_bytes(2, "big") for code in ids)


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A KEM key pair, serialised."""

    secret_key: bytes = field(repr=False)
    public_key: bytes
