"""The bodies of banks and nonce locks: known octets, both ways, and everything that is none."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openpcc_ref.badges import sign_badge
from openpcc_ref.banking import authbank_messages, messages
from openpcc_ref.banking.accounts import AccountToken
from openpcc_ref.banking.authbank_messages import AuthRefund, AuthSignature, AuthWithdrawal
from openpcc_ref.banking.messages import Deposit, Exchange, Withdrawal
from openpcc_ref.credits import ATTESTATION, BlindSignRequest, Credit, CreditRejected, Nonce, UnblindedCredit, currency
from openpcc_ref.errors import Rejected
from openpcc_ref.protobuf import bank_pb2, credit_pb2, nonce_lock_pb2

TOKEN = AccountToken(bytes(range(32)))
NONCE = Nonce(1735689600, bytes(range(16)))
TEN = currency.exact(10)
CREDIT = Credit(TEN, NONCE, bytes.fromhex("aaaaaaaa"))
UNBLINDED = UnblindedCredit(TEN, NONCE, bytes.fromhex("aaaaaaaa"))
TOKEN_HEX = "0a20" + TOKEN.octets.hex()
NONCE_HEX = "0a0608808bd2bb061210000102030405060708090a0b0c0d0e0f"
CREDIT_HEX = "0a040a02000a121a" + NONCE_HEX + "1a04aaaaaaaa"

KNOWN: list[tuple[str, bytes, str]] = [
    ("DepositRequest", messages.encode_deposit_request(Deposit(TOKEN, CREDIT)), TOKEN_HEX + "1228" + CREDIT_HEX),
    ("DepositResponse", messages.encode_deposit_response(10), "080a"),
    (
        "BatchWithdrawRequest",
        messages.encode_withdraw_request(
            Withdrawal(TOKEN, (BlindSignRequest(TEN, b"\1\2"), BlindSignRequest(TEN, b"\3\4")))
        ),
        "0a0a12040a02000a1a0201020a0a12040a02000a1a0203041220" + TOKEN.octets.hex(),
    ),
    ("BatchWithdrawResponse", messages.encode_withdraw_response(80, [b"\5\6", b"\7\10"]), "08501202050612020708"),
    ("WithdrawFullUnblindedRequest", messages.encode_withdraw_full_request(TOKEN), TOKEN_HEX),
    ("WithdrawFullUnblindedResponse", messages.encode_withdraw_full_response(UNBLINDED), "0a28" + CREDIT_HEX),
    (
        "ExchangeRequest",
        messages.encode_exchange_request(Exchange(UNBLINDED, b"\1\2")),
        "0a28" + CREDIT_HEX + "12020102",
    ),
    ("ExchangeResponse", messages.encode_exchange_response(b"\5\6"), "0a020506"),
    ("BalanceRequest", messages.encode_balance_request(TOKEN), TOKEN_HEX),
    ("BalanceResponse", messages.encode_balance_response(0), "0800"),
    ("LockRequest", messages.encode_lock_request(NONCE), "0a1a" + NONCE_HEX),
    (
        "LockResponse",
        messages.encode_lock_response("0123456789abcdef"),
        "0a10" + b"0123456789abcdef".hex(),
    ),
    (
        "UnlockRequest",
        messages.encode_unlock_request(NONCE, "0123456789abcdef"),
        "0a1a" + NONCE_HEX + "1210" + b"0123456789abcdef".hex(),
    ),
    (
        "AuthWithdrawalRequest",
        authbank_messages.encode_withdrawal(
            AuthWithdrawal("test-key", BlindSignRequest(currency.exact(2621440), b"\1\2"))
        ),
        "0a08746573742d6b657912040a0202241a020102",
    ),
    (
        "attestation token",
        authbank_messages.encode_withdrawal(AuthWithdrawal("test-key", BlindSignRequest(ATTESTATION, b"\1\2"))),
        "0a08746573742d6b657912040a0201001a020102",
    ),
    (
        "AuthRefundRequest",
        authbank_messages.encode_refund(AuthRefund("test-key", CREDIT)),
        "0a08746573742d6b65791228" + CREDIT_HEX,
    ),
]

DECODERS: dict[str, Callable[[bytes], Any]] = {
    "DepositRequest": messages.decode_deposit_request,
    "DepositResponse": messages.decode_deposit_response,
    "BatchWithdrawRequest": messages.decode_withdraw_request,
    "BatchWithdrawResponse": lambda data: messages.decode_withdraw_response(data, 2),
    "WithdrawFullUnblindedRequest": messages.decode_withdraw_full_request,
    "WithdrawFullUnblindedResponse": messages.decode_withdraw_full_response,
    "ExchangeRequest": messages.decode_exchange_request,
    "ExchangeResponse": messages.decode_exchange_response,
    "BalanceRequest": messages.decode_balance_request,
    "BalanceResponse": messages.decode_balance_response,
    "LockRequest": messages.decode_lock_request,
    "LockResponse": messages.decode_lock_response,
    "UnlockRequest": messages.decode_unlock_request,
    "AuthWithdrawalRequest": authbank_messages.decode_withdrawal,
    "AuthRefundRequest": authbank_messages.decode_refund,
    "AuthWithdrawalResponse": authbank_messages.decode_signature,
}


@pytest.mark.parametrize(("name", "encoded", "octets"), KNOWN, ids=[name for name, _, _ in KNOWN])
def test_messages_have_the_known_octets(name: str, encoded: bytes, octets: str) -> None:
    assert encoded.hex() == octets


def test_decoders_return_what_was_encoded() -> None:
    octets = {name: data for name, data, _ in KNOWN}
    assert messages.decode_deposit_request(octets["DepositRequest"]) == Deposit(TOKEN, CREDIT)
    assert messages.decode_exchange_request(octets["ExchangeRequest"]).request == BlindSignRequest(TEN, b"\1\2")
    assert messages.decode_withdraw_request(octets["BatchWithdrawRequest"]).requests[1].blinded_message == b"\3\4"
    assert messages.decode_withdraw_response(octets["BatchWithdrawResponse"], 2) == (80, (b"\5\6", b"\7\10"))
    assert messages.decode_withdraw_full_response(octets["WithdrawFullUnblindedResponse"]) == UNBLINDED
    assert messages.decode_unlock_request(octets["UnlockRequest"]) == (NONCE, "0123456789abcdef")
    assert authbank_messages.decode_refund(octets["AuthRefundRequest"]) == AuthRefund("test-key", CREDIT)


@pytest.mark.parametrize("badge", [None, sign_badge(["b", "a"], bytes(32)), sign_badge([], bytes(32))])
def test_signature_and_badge_of_the_authbank_both_ways(badge: Any) -> None:
    signature = AuthSignature(b"\5\6", badge)
    assert authbank_messages.decode_signature(authbank_messages.encode_signature(signature)) == signature


def test_a_zero_balance_may_be_left_out() -> None:
    assert messages.decode_balance_response(b"") == messages.decode_deposit_response(b"") == 0


def test_the_number_of_signatures_has_to_be_right() -> None:
    for count in (1, 3):
        with pytest.raises(Rejected, match=r"batch\.signatures"):
            messages.decode_withdraw_response(bytes.fromhex("08501202050612020708"), count)


@pytest.mark.parametrize(
    ("decode", "message", "code"),
    [
        (messages.decode_balance_request, bank_pb2.BalanceRequest(), "account.token.absent"),
        (messages.decode_balance_request, bank_pb2.BalanceRequest(account_token=b""), "account.token.length"),
        (messages.decode_withdraw_request, bank_pb2.BatchWithdrawRequest(), "account.token.absent"),
        (messages.decode_deposit_request, bank_pb2.DepositRequest(account_token=bytes(31)), "account.token.length"),
        (messages.decode_withdraw_full_request, bank_pb2.WithdrawFullUnblindedRequest(account_token=bytes(33)), "…"),
        (messages.decode_deposit_request, bank_pb2.DepositRequest(account_token=bytes(32)), "credit.value.absent"),
        (messages.decode_exchange_request, bank_pb2.ExchangeRequest(), "credit.value.absent"),
        (messages.decode_lock_request, nonce_lock_pb2.LockRequest(), "message.nonce.absent"),
        (
            messages.decode_unlock_request,
            nonce_lock_pb2.UnlockRequest(nonce=credit_pb2.Nonce(nonce=bytes(16))),
            "nonce.timestamp.absent",
        ),
        (messages.decode_lock_response, nonce_lock_pb2.LockResponse(ticket=""), "nonce-lock.no-ticket"),
    ],
)
def test_incomplete_messages_are_refused(decode: Callable[[bytes], Any], message: Any, code: str) -> None:
    with pytest.raises(CreditRejected) as caught:
        decode(message.SerializeToString())
    assert caught.value.code == code.replace("…", "account.token.length")


@pytest.mark.parametrize("name", DECODERS)
@given(data=st.binary(max_size=200))
def test_any_octets_are_a_message_or_refused(name: str, data: bytes) -> None:
    with suppress(Rejected):  # anything else would fail the test
        assert DECODERS[name](data) is not None


@pytest.mark.parametrize("name", [name for name, _, _ in KNOWN if name in DECODERS and name != "BalanceResponse"])
def test_any_cut_of_a_message_is_another_message_or_refused(name: str) -> None:
    octets = next(data for known, data, _ in KNOWN if known == name)
    whole = DECODERS[name](octets)
    for end in range(len(octets)):
        try:
            assert DECODERS[name](octets[:end]) != whole
        except Rejected:
            continue


def test_nothing_secret_is_printed() -> None:
    shown = repr([Deposit(TOKEN, CREDIT), AuthRefund("test-key", CREDIT), Exchange(CREDIT, b"blinded")])
    assert not any(secret in shown for secret in ("test-key", "blinded", repr(TOKEN.octets), repr(NONCE.random)))
