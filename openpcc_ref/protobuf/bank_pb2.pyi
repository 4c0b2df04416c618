from openpcc_ref.protobuf import credit_pb2 as _credit_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class DepositRequest(_message.Message):
    __slots__ = ("account_token", "credit")
    ACCOUNT_TOKEN_FIELD_NUMBER: _ClassVar[int]
    CREDIT_FIELD_NUMBER: _ClassVar[int]
    account_token: bytes
    credit: _credit_pb2.Credit
    def __init__(self, account_token: _Optional[bytes] = ..., credit: _Optional[_Union[_credit_pb2.Credit, _Mapping]] = ...) -> None: ...

class DepositResponse(_message.Message):
    __slots__ = ("balance",)
    BALANCE_FIELD_NUMBER: _ClassVar[int]
    balance: int
    def __init__(self, balance: _Optional[int] = ...) -> None: ...

class BatchWithdrawRequest(_message.Message):
    __slots__ = ("requests", "account_token")
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_TOKEN_FIELD_NUMBER: _ClassVar[int]
    requests: _containers.RepeatedCompositeFieldContainer[_credit_pb2.BlindSignRequest]
    account_token: bytes
    def __init__(self, requests: _Optional[_Iterable[_Union[_credit_pb2.BlindSignRequest, _Mapping]]] = ..., account_token: _Optional[bytes] = ...) -> None: ...

class BatchWithdrawResponse(_message.Message):
    __slots__ = ("balance", "blind_signatures")
    BALANCE_FIELD_NUMBER: _ClassVar[int]
    BLIND_SIGNATURES_FIELD_NUMBER: _ClassVar[int]
    balance: int
    blind_signatures: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, balance: _Optional[int] = ..., blind_signatures: _Optional[_Iterable[bytes]] = ...) -> None: ...

class WithdrawFullUnblindedRequest(_message.Message):
    __slots__ = ("account_token",)
    ACCOUNT_TOKEN_FIELD_NUMBER: _ClassVar[int]
    account_token: bytes
    def __init__(self, account_token: _Optional[bytes] = ...) -> None: ...

class WithdrawFullUnblindedResponse(_message.Message):
    __slots__ = ("credit",)
    CREDIT_FIELD_NUMBER: _ClassVar[int]
    credit: _credit_pb2.Credit
    def __init__(self, credit: _Optional[_Union[_credit_pb2.Credit, _Mapping]] = ...) -> None: ...

class ExchangeRequest(_message.Message):
    __slots__ = ("credit", "blinded_message")
    CREDIT_FIELD_NUMBER: _ClassVar[int]
    BLINDED_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    credit: _credit_pb2.Credit
    blinded_message: bytes
    def __init__(self, credit: _Optional[_Union[_credit_pb2.Credit, _Mapping]] = ..., blinded_message: _Optional[bytes] = ...) -> None: ...

class ExchangeResponse(_message.Message):
    __slots__ = ("blind_signature",)
    BLIND_SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    blind_signature: bytes
    def __init__(self, blind_signature: _Optional[bytes] = ...) -> None: ...

class BalanceRequest(_message.Message):
    __slots__ = ("account_token",)
    ACCOUNT_TOKEN_FIELD_NUMBER: _ClassVar[int]
    account_token: bytes
    def __init__(self, account_token: _Optional[bytes] = ...) -> None: ...

class BalanceResponse(_message.Message):
    __slots__ = ("balance",)
    BALANCE_FIELD_NUMBER: _ClassVar[int]
    balance: int
    def __init__(self, balance: _Optional[int] = ...) -> None: ...
