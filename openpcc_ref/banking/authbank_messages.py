"""The bodies that client and AuthBank exchange about money, both ways. Chapter: ``spec/banking.md``.

The API key stands in a field of the request's head and again in the message.
Requirements: AUTH-003, AUTH-006, AUTH-018, AUTH-023.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from openpcc_ref.badges import Badge, decode_badge, encode_badge
from openpcc_ref.banking.errors import BankingRejected
from openpcc_ref.credits import credit, currency
from openpcc_ref.credits.credit import Credit
from openpcc_ref.credits.issuer import BlindSignRequest
from openpcc_ref.protobuf import authbank_pb2, parse

KEY_FIELD = b"cf-authorization"
"""The field of the request's head that carries the API key as it is, without a scheme. Requirements: AUTH-005."""


@dataclass(frozen=True, slots=True)
class AuthWithdrawal:
    """One credit, or one attestation token, to be signed for an account."""

    api_key: str = field(repr=False)
    request: BlindSignRequest


@dataclass(frozen=True, slots=True)
class AuthRefund:
    """One credit that goes back into an account."""

    api_key: str = field(repr=False)
    credit: Credit


@dataclass(frozen=True, slots=True)
class AuthSignature:
    """What the AuthBank answers to a withdrawal. ``badge`` is None where the answer has none."""

    blind_signature: bytes
    badge: Badge | None


def encode_withdrawal(withdrawal: AuthWithdrawal) -> bytes:
    """Return a serialized ``AuthWithdrawalRequest``."""
    return authbank_pb2.AuthWithdrawalRequest(
        api_key=withdrawal.api_key,
        value=currency.to_message(withdrawal.request.value),
        blinded_message=withdrawal.request.blinded_message,
    ).SerializeToString()


def decode_withdrawal(data: bytes) -> AuthWithdrawal:
    """Return the withdrawal of a serialized ``AuthWithdrawalRequest``.

    Raises :class:`BankingRejected` with ``message.malformed`` and :class:`CreditRejected` with the codes of values.
    """
    message = parse(authbank_pb2.AuthWithdrawalRequest, data, BankingRejected, "message.malformed")
    request = BlindSignRequest(currency.from_message(message.value), message.blinded_message)
    return AuthWithdrawal(message.api_key, request)


def encode_signature(signature: AuthSignature) -> bytes:
    """Return a serialized ``AuthWithdrawalResponse``."""
    message = authbank_pb2.AuthWithdrawalResponse(blind_signature=signature.blind_signature)
    if signature.badge is not None:
        message.badge.ParseFromString(encode_badge(signature.badge))
    return message.SerializeToString()


def decode_signature(data: bytes) -> AuthSignature:
    """Return the content of a serialized ``AuthWithdrawalResponse``.

    Raises :class:`BankingRejected` with ``message.malformed`` and :class:`BadgeRejected`.
    """
    message = parse(authbank_pb2.AuthWithdrawalResponse, data, BankingRejected, "message.malformed")
    badge = decode_badge(message.badge.SerializeToString()) if message.HasField("badge") else None
    return AuthSignature(message.blind_signature, badge)


def encode_refund(refund: AuthRefund) -> bytes:
    """Return a serialized ``AuthRefundRequest``."""
    return authbank_pb2.AuthRefundRequest(
        api_key=refund.api_key, credit=credit.to_message(refund.credit)
    ).SerializeToString()


def decode_refund(data: bytes) -> AuthRefund:
    """Return the refund of a serialized ``AuthRefundRequest``.

    Raises :class:`BankingRejected` with ``message.malformed`` and :class:`CreditRejected` with the codes of credits.
    """
    message = parse(authbank_pb2.AuthRefundRequest, data, BankingRejected, "message.malformed")
    return AuthRefund(message.api_key, credit.from_message(Credit, message.credit))
