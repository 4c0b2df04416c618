"""The checked-in protobuf modules are what ``spec/proto`` generates, and serialize as deployed code does."""

from __future__ import annotations

import pytest
from google.protobuf.message import Message

from openpcc_ref.protobuf import __main__ as generator
from openpcc_ref.protobuf.authbank_pb2 import AuthRefundRequest, AuthWithdrawalRequest
from openpcc_ref.protobuf.bank_pb2 import (
    BalanceRequest,
    BalanceResponse,
    BatchWithdrawRequest,
    BatchWithdrawResponse,
    DepositRequest,
    DepositResponse,
    ExchangeRequest,
    ExchangeResponse,
    WithdrawFullUnblindedResponse,
)
from openpcc_ref.protobuf.credit_pb2 import BlindSignRequest, Credit, Currency, Nonce
from openpcc_ref.protobuf.error_pb2 import Error
from openpcc_ref.protobuf.nonce_lock_pb2 import LockRequest, LockResponse, UnlockRequest


def test_checked_in_modules_are_what_the_definitions_generate():
    pytest.importorskip("grpc_tools", reason="grpcio-tools is absent: nothing compares the protobuf modules")
    kept = {path.name: path.read_text() for path in generator.PACKAGE.glob("*_pb2.py*")}
    assert kept == generator.generated_modules()


TOKEN = bytes(range(32))
VALUE = Currency(currency=b"\x00\x0a")
NONCE = Nonce(timestamp={"seconds": 1735689600}, nonce=bytes(range(16)))
CREDIT = Credit(value=VALUE, nonce=NONCE, signature=b"\xaa" * 4)
TICKET = "0123456789abcdef"

NONCE_HEX = "0a0608808bd2bb0612" + "10000102030405060708090a0b0c0d0e0f"
CREDIT_HEX = "0a040a02000a121a" + NONCE_HEX + "1a04aaaaaaaa"
TOKEN_HEX = TOKEN.hex()
TICKET_HEX = TICKET.encode().hex()


@pytest.mark.parametrize(
    ("message", "serialized"),
    [
        (VALUE, "0a02000a"),
        (NONCE, NONCE_HEX),
        (CREDIT, CREDIT_HEX),
        (DepositRequest(account_token=TOKEN, credit=CREDIT), f"0a20{TOKEN_HEX}1228{CREDIT_HEX}"),
        (DepositResponse(balance=10), "080a"),
        (
            BatchWithdrawRequest(
                requests=[
                    BlindSignRequest(value=VALUE, blinded_message=b"\x01\x02"),
                    BlindSignRequest(value=VALUE, blinded_message=b"\x03\x04"),
                ],
                account_token=TOKEN,
            ),
            f"0a0a12040a02000a1a0201020a0a12040a02000a1a0203041220{TOKEN_HEX}",
        ),
        (BatchWithdrawResponse(balance=80, blind_signatures=[b"\x05\x06", b"\x07\x08"]), "08501202050612020708"),
        (WithdrawFullUnblindedResponse(credit=CREDIT), f"0a28{CREDIT_HEX}"),
        (ExchangeRequest(credit=CREDIT, blinded_message=b"\x01\x02"), f"0a28{CREDIT_HEX}12020102"),
        (ExchangeResponse(blind_signature=b"\x05\x06"), "0a020506"),
        (BalanceRequest(account_token=TOKEN), f"0a20{TOKEN_HEX}"),
        (BalanceResponse(balance=0), "0800"),
        (
            AuthWithdrawalRequest(
                api_key="test-key", value=Currency(currency=b"\x02\x24"), blinded_message=b"\x01\x02"
            ),
            "0a08746573742d6b657912040a0202241a020102",
        ),
        (AuthRefundRequest(api_key="test-key", credit=CREDIT), f"0a08746573742d6b65791228{CREDIT_HEX}"),
        (LockRequest(nonce=NONCE), f"0a1a{NONCE_HEX}"),
        (LockResponse(ticket=TICKET), f"0a10{TICKET_HEX}"),
        (UnlockRequest(nonce=NONCE, ticket=TICKET), f"0a1a{NONCE_HEX}1210{TICKET_HEX}"),
        (Error(Message="nonce is locked"), "0a0f6e6f6e6365206973206c6f636b6564"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Message) else "",
)
def test_known_serializations(message: Message, serialized: str):
    assert message.SerializeToString().hex() == serialized
    assert type(message).FromString(bytes.fromhex(serialized)) == message
