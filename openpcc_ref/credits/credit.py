"""Credits: bearer tokens of a value, a nonce and a signature that binds both. Chapter: ``spec/credits.md``.

A :class:`Credit` was blinded: only its owner knows the nonce. An :class:`UnblindedCredit` was made by the issuer alone,
who can recognise it. They look the same on the wire, so whoever decodes one says which kind it is from where it came;
no function takes one for the other. Requirements: PAY-032 to PAY-036.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar

from openpcc_ref.base64_text import from_text, to_text
from openpcc_ref.credits import blind_rsa, currency, nonce
from openpcc_ref.credits.blind_rsa import Verification
from openpcc_ref.credits.currency import CurrencyValue
from openpcc_ref.credits.errors import CreditRejected
from openpcc_ref.credits.nonce import RANDOM_LENGTH, Nonce
from openpcc_ref.credits.rsa_keys import PublicKey
from openpcc_ref.errors import require
from openpcc_ref.protobuf import credit_pb2, parse


@dataclass(frozen=True, slots=True)
class Credit:
    """A blinded credit: good for everything."""

    value: CurrencyValue
    nonce: Nonce
    signature: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class UnblindedCredit:
    """A credit whose nonce its issuer knows: good for an exchange only (PAY-035)."""

    value: CurrencyValue
    nonce: Nonce
    signature: bytes = field(repr=False)


AnyCredit = Credit | UnblindedCredit
_Kind = TypeVar("_Kind", Credit, UnblindedCredit)


def verify_credit(key: PublicKey, credit: AnyCredit) -> Verification:
    """Verify that ``key`` signed the credit's nonce under its value; time plays no part. Requirements: PAY-034.

    Raises :class:`CreditRejected` as :func:`blind_rsa.verify` does.
    """
    return blind_rsa.verify(key, credit.nonce.blind_bytes, credit.value.blind_bytes, credit.signature)


def to_message(credit: AnyCredit) -> credit_pb2.Credit:
    """Return the protobuf message of a credit of either kind."""
    return credit_pb2.Credit(
        value=currency.to_message(credit.value), nonce=nonce.to_message(credit.nonce), signature=credit.signature
    )


def from_message(kind: type[_Kind], message: credit_pb2.Credit) -> _Kind:
    """Return the credit of a protobuf message, as the kind it arrived as. Requirements: PAY-032.

    Raises :class:`CreditRejected` with ``credit.value.absent``, ``credit.nonce.absent``, ``credit.signature.absent``
    and with the codes of value and nonce.
    """
    for member in ("value", "nonce"):
        require(
            message.HasField(member),
            CreditRejected,
            f"credit.{member}.absent",
            where=f"credit.{member}",
            expected=f"a {member}",
        )
    require(
        message.signature != b"",
        CreditRejected,
        "credit.signature.absent",
        where="credit.signature",
        expected="a signature of at least one byte",
    )
    return kind(
        value=currency.from_message(message.value) if message.HasField("value") else currency.ZERO,
        nonce=nonce.from_message(message.nonce) if message.HasField("nonce") else Nonce(0, bytes(RANDOM_LENGTH)),
        signature=message.signature,
    )


def encode_credit(credit: AnyCredit) -> bytes:
    """Return the serialized message of a credit of either kind."""
    return to_message(credit).SerializeToString()


def decode_credit(kind: type[_Kind], data: bytes) -> _Kind:
    """Return the credit of a serialized message, as the kind it arrived as. Requirements: PAY-032.

    Raises :class:`CreditRejected` with ``credit.malformed`` and as :func:`from_message` does.
    """
    return from_message(kind, parse(credit_pb2.Credit, data, CreditRejected, "credit.malformed"))


def encode_text(credit: AnyCredit) -> str:
    """Return the text form of a credit, as in ``X-Credit`` and ``X-Refund``. Requirements: PAY-033."""
    return to_text(encode_credit(credit))


def decode_text(kind: type[_Kind], text: str) -> _Kind:
    """Return the credit of a text form, as the kind it arrived as. Requirements: PAY-033.

    Raises :class:`CreditRejected` with ``credit.text.base64`` and as :func:`decode_credit` does.
    """
    return decode_credit(kind, from_text(text, CreditRejected, "credit.text.base64"))
