"""Anonymous money: values, nonces, partially blind signatures, credits. Chapter: ``spec/credits.md``.

``currency``, ``nonce``, ``rsa_keys``, ``blind_rsa`` and ``credit`` are the formats and the cryptography, each with its
own encode and decode functions; ``payee``, ``issuer`` and ``payment`` are what the parties do with them.
"""

from openpcc_ref.credits.credit import AnyCredit, Credit, UnblindedCredit
from openpcc_ref.credits.currency import ATTESTATION, MAX_AMOUNT, CurrencyValue
from openpcc_ref.credits.errors import CreditRejected
from openpcc_ref.credits.issuer import BlindSignRequest, Issuer
from openpcc_ref.credits.nonce import Expiry, Nonce
from openpcc_ref.credits.payee import Payee, PendingCredit
from openpcc_ref.credits.payment import Exchanger, NonceLock, Processor, Transaction
from openpcc_ref.credits.rsa_keys import PrivateKey, PublicKey, generate_private_key, private_key

__all__ = [
    "ATTESTATION",
    "MAX_AMOUNT",
    "AnyCredit",
    "BlindSignRequest",
    "Credit",
    "CreditRejected",
    "CurrencyValue",
    "Exchanger",
    "Expiry",
    "Issuer",
    "Nonce",
    "NonceLock",
    "Payee",
    "PendingCredit",
    "PrivateKey",
    "Processor",
    "PublicKey",
    "Transaction",
    "UnblindedCredit",
    "generate_private_key",
    "private_key",
]
