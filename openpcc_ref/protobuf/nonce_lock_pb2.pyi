from openpcc_ref.protobuf import credit_pb2 as _credit_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class LockRequest(_message.Message):
    __slots__ = ("nonce",)
    NONCE_FIELD_NUMBER: _ClassVar[int]
    nonce: _credit_pb2.Nonce
    def __init__(self, nonce: _Optional[_Union[_credit_pb2.Nonce, _Mapping]] = ...) -> None: ...

class LockResponse(_message.Message):
    __slots__ = ("ticket",)
    TICKET_FIELD_NUMBER: _ClassVar[int]
    ticket: str
    def __init__(self, ticket: _Optional[str] = ...) -> None: ...

class UnlockRequest(_message.Message):
    __slots__ = ("nonce", "ticket")
    NONCE_FIELD_NUMBER: _ClassVar[int]
    TICKET_FIELD_NUMBER: _ClassVar[int]
    nonce: _credit_pb2.Nonce
    ticket: str
    def __init__(self, nonce: _Optional[_Union[_credit_pb2.Nonce, _Mapping]] = ..., ticket: _Optional[str] = ...) -> None: ...
