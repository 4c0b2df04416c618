"""Hybrid public key encryption, base mode (RFC 9180). Chapter: ``spec/hpke.md``."""

from openpcc_ref.hpke.context import (
    RecipientContext,
    SenderContext,
    key_schedule,
    nonce_at,
    setup_base_recipient,
    setup_base_sender,
)
from openpcc_ref.hpke.dhkem import DhKem
from openpcc_ref.hpke.kem import Kem, kem
from openpcc_ref.hpke.suites import AeadId, HpkeRejected, KdfId, KemId, KeyPair, Suite

__all__ = [
    "AeadId",
    "DhKem",
    "HpkeRejected",
    "KdfId",
    "Kem",
    "KemId",
    "KeyPair",
    "RecipientContext",
    "SenderContext",
    "Suite",
    "kem",
    "key_schedule",
    "nonce_at",
    "setup_base_recipient",
    "setup_base_sender",
]
