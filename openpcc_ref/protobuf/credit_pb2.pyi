import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Currency(_message.Message):
    __slots__ = ("currency",)
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    currency: bytes
    def __init__(self, currency: _Optional[bytes] = ...) -> None: ...

class Nonce(_message.Message):
    __slots__ = ("timestamp", "nonce")
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    NONCE_FIELD_NUMBER: _ClassVar[int]
    timestamp: _timestamp_pb2.Timestamp
    nonce: bytes
    def __init__(self, timestamp: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., nonce: _Optional[bytes] = ...) -> None: ...

class Credit(_message.Message):
    __slots__ = ("value", "nonce", "signature")
    VALUE_FIELD_NUMBER: _ClassVar[int]
    NONCE_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    value: Currency
    nonce: Nonce
    signature: bytes
    def __init__(self, value: _Optional[_Union[Currency, _Mapping]] = ..., nonce: _Optional[_Union[Nonce, _Mapping]] = ..., signature: _Optional[bytes] = ...) -> None: ...

class BlindSignRequest(_message.Message):
    __slots__ = ("value", "blinded_message")
    VALUE_FIELD_NUMBER: _ClassVar[int]
    BLINDED_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    value: Currency
    blinded_message: bytes
    def __init__(self, value: _Optional[_Union[Currency, _Mapping]] = ..., blinded_message: _Optional[bytes] = ...) -> None: ...
