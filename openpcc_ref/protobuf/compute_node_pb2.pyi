from openpcc_ref.protobuf import credit_pb2 as _credit_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class OutputHeader(_message.Message):
    __slots__ = ("media_type", "max_chunk_len")
    MEDIA_TYPE_FIELD_NUMBER: _ClassVar[int]
    MAX_CHUNK_LEN_FIELD_NUMBER: _ClassVar[int]
    media_type: str
    max_chunk_len: int
    def __init__(self, media_type: _Optional[str] = ..., max_chunk_len: _Optional[int] = ...) -> None: ...

class OutputFooter(_message.Message):
    __slots__ = ("Refund",)
    REFUND_FIELD_NUMBER: _ClassVar[int]
    Refund: _credit_pb2.Currency
    def __init__(self, Refund: _Optional[_Union[_credit_pb2.Currency, _Mapping]] = ...) -> None: ...
