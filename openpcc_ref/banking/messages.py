"""The bodies that clients, bank and nonce lock exchange, both ways. Chapter: ``spec/banking.md``.

Every decoder returns complete values; every refusal is :class:`BankingRejected` or, inside a credit, value or nonce,
:class:`CreditRejected`. Requirements: PAY-002, PAY-026, PAY-032, PAY-070, PAY-089, PAY-090, PAY-094.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from google.protobuf.message import Message

from openpcc_ref.banking.accounts import TOKEN_LENGTH, AccountToken
from openpcc_ref.banking.errors import BankingRejected
from openpcc_ref.credits import credit, nonce
from openpcc_ref.credits.credit import AnyCredit, Credit, UnblindedCredit
from openpcc_ref.credits.issuer import BlindSignRequest, request_from_message, request_to_message
from openpcc_ref.credits.nonce import Nonce
from openpcc_ref.errors import require
from openpcc_ref.protobuf import bank_pb2, nonce_lock_pb2, parse

_Message = TypeVar("_Message", bound=Message)


@dataclass(frozen=True, slots=True)
class Deposit:
    """A credit that goes into an account."""

    token: AccountToken
    credit: Credit


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """Credits to be signed at the expense of an account."""

    token: AccountToken
    requests: tuple[BlindSignRequest, ...]


@dataclass(frozen=True, slots=True)
class Exchange:
    """A credit to be swapped for a new one of its value. Either kind of credit looks the same to a bank."""

    credit: AnyCredit
    blinded_message: bytes = field(repr=False)

    @property
    def request(self) -> BlindSignRequest:
        """The new credit's request: its value is that of the old one."""
        return BlindSignRequest(self.credit.value, self.blinded_message)


# -- what the bank reads -------------------------------------------------------------------------------------------


def decode_deposit_request(data: bytes) -> Deposit:
    """Return the deposit of a serialized ``DepositRequest``."""
    message = _parse(bank_pb2.DepositRequest, data)
    return Deposit(_token(message), credit.from_message(Credit, message.credit))


def decode_withdraw_request(data: bytes) -> Withdrawal:
    """Return the withdrawal of a serialized ``BatchWithdrawRequest``."""
    message = _parse(bank_pb2.BatchWithdrawRequest, data)
    return Withdrawal(_token(message), tuple(request_from_message(request) for request in message.requests))


def decode_withdraw_full_request(data: bytes) -> AccountToken:
    """Return the token of a serialized ``WithdrawFullUnblindedRequest``."""
    return _token(_parse(bank_pb2.WithdrawFullUnblindedRequest, data))


def decode_exchange_request(data: bytes) -> Exchange:
    """Return the exchange of a serialized ``ExchangeRequest``."""
    message = _parse(bank_pb2.ExchangeRequest, data)
    return Exchange(credit.from_message(UnblindedCredit, message.credit), message.blinded_message)


def decode_balance_request(data: bytes) -> AccountToken:
    """Return the token of a serialized ``BalanceRequest``."""
    return _token(_parse(bank_pb2.BalanceRequest, data))


# -- what the bank answers -----------------------------------------------------------------------------------------


def encode_deposit_response(balance: int) -> bytes:
    """Return a serialized ``DepositResponse``."""
    return bank_pb2.DepositResponse(balance=balance).SerializeToString()


def encode_withdraw_response(balance: int, blind_signatures: Sequence[bytes]) -> bytes:
    """Return a serialized ``BatchWithdrawResponse``, signatures in the order of the requests."""
    return bank_pb2.BatchWithdrawResponse(balance=balance, blind_signatures=blind_signatures).SerializeToString()


def encode_withdraw_full_response(unblinded: UnblindedCredit) -> bytes:
    """Return a serialized ``WithdrawFullUnblindedResponse``."""
    return bank_pb2.WithdrawFullUnblindedResponse(credit=credit.to_message(unblinded)).SerializeToString()


def encode_exchange_response(blind_signature: bytes) -> bytes:
    """Return a serialized ``ExchangeResponse``."""
    return bank_pb2.ExchangeResponse(blind_signature=blind_signature).SerializeToString()


def encode_balance_response(balance: int) -> bytes:
    """Return a serialized ``BalanceResponse``; zero is sent too. Requirements: PAY-090."""
    return bank_pb2.BalanceResponse(balance=balance).SerializeToString()


# -- the client's side ---------------------------------------------------------------------------------------------


def encode_deposit_request(deposit: Deposit) -> bytes:
    """Return a serialized ``DepositRequest``."""
    return bank_pb2.DepositRequest(
        account_token=deposit.token.octets, credit=credit.to_message(deposit.credit)
    ).SerializeToString()


def encode_withdraw_request(withdrawal: Withdrawal) -> bytes:
    """Return a serialized ``BatchWithdrawRequest``."""
    return bank_pb2.BatchWithdrawRequest(
        account_token=withdrawal.token.octets, requests=[request_to_message(request) for request in withdrawal.requests]
    ).SerializeToString()


def encode_withdraw_full_request(token: AccountToken) -> bytes:
    """Return a serialized ``WithdrawFullUnblindedRequest``."""
    return bank_pb2.WithdrawFullUnblindedRequest(account_token=token.octets).SerializeToString()


def encode_exchange_request(exchange: Exchange) -> bytes:
    """Return a serialized ``ExchangeRequest``."""
    return bank_pb2.ExchangeRequest(
        credit=credit.to_message(exchange.credit), blinded_message=exchange.blinded_message
    ).SerializeToString()


def encode_balance_request(token: AccountToken) -> bytes:
    """Return a serialized ``BalanceRequest``."""
    return bank_pb2.BalanceRequest(account_token=token.octets).SerializeToString()


def decode_deposit_response(data: bytes) -> int:
    """Return the balance; an absent one is zero. Requirements: PAY-090."""
    return _parse(bank_pb2.DepositResponse, data).balance


def decode_withdraw_response(data: bytes, requested: int) -> tuple[int, tuple[bytes, ...]]:
    """Return the balance and as many blind signatures as were requested. Requirements: PAY-094.

    Raises :class:`BankingRejected` with ``message.malformed`` or ``batch.signatures``.
    """
    message = _parse(bank_pb2.BatchWithdrawResponse, data)
    require(
        len(message.blind_signatures) == requested,
        BankingRejected,
        "batch.signatures",
        where="blind_signatures",
        expected=f"{requested} signatures, {len(message.blind_signatures)} given",
    )
    return message.balance, tuple(message.blind_signatures)


def decode_withdraw_full_response(data: bytes) -> UnblindedCredit:
    """Return the credit, which is good for an exchange only. Requirements: PAY-035."""
    return credit.from_message(UnblindedCredit, _parse(bank_pb2.WithdrawFullUnblindedResponse, data).credit)


def decode_exchange_response(data: bytes) -> bytes:
    """Return the blind signature."""
    return _parse(bank_pb2.ExchangeResponse, data).blind_signature


def decode_balance_response(data: bytes) -> int:
    """Return the balance; an absent one is zero. Requirements: PAY-090."""
    return _parse(bank_pb2.BalanceResponse, data).balance


# -- nonce lock ----------------------------------------------------------------------------------------------------


def encode_lock_request(locked: Nonce) -> bytes:
    """Return a serialized ``LockRequest``."""
    return nonce_lock_pb2.LockRequest(nonce=nonce.to_message(locked)).SerializeToString()


def decode_lock_request(data: bytes) -> Nonce:
    """Return the nonce of a serialized ``LockRequest``. Requirements: PAY-026."""
    return _nonce(_parse(nonce_lock_pb2.LockRequest, data))


def encode_lock_response(ticket: str) -> bytes:
    """Return a serialized ``LockResponse``."""
    return nonce_lock_pb2.LockResponse(ticket=ticket).SerializeToString()


def decode_lock_response(data: bytes) -> str:
    """Return the ticket. Raises :class:`BankingRejected` with ``message.malformed`` or ``nonce-lock.no-ticket``."""
    ticket = _parse(nonce_lock_pb2.LockResponse, data).ticket
    require(ticket != "", BankingRejected, "nonce-lock.no-ticket", where="ticket", expected="a ticket")
    return ticket


def encode_unlock_request(locked: Nonce, ticket: str) -> bytes:
    """Return a serialized ``UnlockRequest``, for consuming and for releasing."""
    return nonce_lock_pb2.UnlockRequest(nonce=nonce.to_message(locked), ticket=ticket).SerializeToString()


def decode_unlock_request(data: bytes) -> tuple[Nonce, str]:
    """Return nonce and ticket of a serialized ``UnlockRequest``; an absent ticket is one that matches nothing."""
    message = _parse(nonce_lock_pb2.UnlockRequest, data)
    return _nonce(message), message.ticket


def _parse(message_type: type[_Message], data: bytes) -> _Message:
    return parse(message_type, data, BankingRejected, "message.malformed")


def _nonce(message: nonce_lock_pb2.LockRequest | nonce_lock_pb2.UnlockRequest) -> Nonce:
    require(message.HasField("nonce"), BankingRejected, "message.nonce.absent", where="nonce", expected="a nonce")
    return nonce.from_message(message.nonce)


_WithToken = (
    bank_pb2.DepositRequest
    | bank_pb2.BatchWithdrawRequest
    | bank_pb2.WithdrawFullUnblindedRequest
    | bank_pb2.BalanceRequest
)


def _token(message: _WithToken) -> AccountToken:
    """Requirements: PAY-070."""
    octets = message.account_token
    require(
        message.HasField("account_token"),
        BankingRejected,
        "account.token.absent",
        where="account_token",
        expected=f"{TOKEN_LENGTH} bytes",
    )
    require(
        len(octets) == TOKEN_LENGTH,
        BankingRejected,
        "account.token.length",
        where="account_token",
        expected=f"{TOKEN_LENGTH} bytes, {len(octets)} given",
    )
    return AccountToken(octets[:TOKEN_LENGTH].ljust(TOKEN_LENGTH, b"\0"))
