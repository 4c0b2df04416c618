from openpcc_ref.protobuf import credit_pb2 as _credit_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AuthWithdrawalRequest(_message.Message):
    __slots__ = ("api_key", "value", "blinded_message")
    API_KEY_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    BLINDED_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    api_key: str
    value: _credit_pb2.Currency
    blinded_message: bytes
    def __init__(self, api_key: _Optional[str] = ..., value: _Optional[_Union[_credit_pb2.Currency, _Mapping]] = ..., blinded_message: _Optional[bytes] = ...) -> None: ...

class AuthWithdrawalResponse(_message.Message):
    __slots__ = ("blind_signature", "badge")
    BLIND_SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    BADGE_FIELD_NUMBER: _ClassVar[int]
    blind_signature: bytes
    badge: Badge
    def __init__(self, blind_signature: _Optional[bytes] = ..., badge: _Optional[_Union[Badge, _Mapping]] = ...) -> None: ...

class AuthRefundRequest(_message.Message):
    __slots__ = ("api_key", "credit")
    API_KEY_FIELD_NUMBER: _ClassVar[int]
    CREDIT_FIELD_NUMBER: _ClassVar[int]
    api_key: str
    credit: _credit_pb2.Credit
    def __init__(self, api_key: _Optional[str] = ..., credit: _Optional[_Union[_credit_pb2.Credit, _Mapping]] = ...) -> None: ...

class Badge(_message.Message):
    __slots__ = ("credentials", "signature")
    CREDENTIALS_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    credentials: Credentials
    signature: bytes
    def __init__(self, credentials: _Optional[_Union[Credentials, _Mapping]] = ..., signature: _Optional[bytes] = ...) -> None: ...

class Credentials(_message.Message):
    __slots__ = ("models",)
    MODELS_FIELD_NUMBER: _ClassVar[int]
    models: bytes
    def __init__(self, models: _Optional[bytes] = ...) -> None: ...
