import datetime

from openpcc_ref.protobuf import evidence_pb2 as _evidence_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ComputeManifestRequest(_message.Message):
    __slots__ = ("tags", "limit")
    TAGS_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    tags: _containers.RepeatedScalarFieldContainer[str]
    limit: int
    def __init__(self, tags: _Optional[_Iterable[str]] = ..., limit: _Optional[int] = ...) -> None: ...

class ComputeManifestList(_message.Message):
    __slots__ = ("items",)
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[ComputeManifest]
    def __init__(self, items: _Optional[_Iterable[_Union[ComputeManifest, _Mapping]]] = ...) -> None: ...

class ComputeManifest(_message.Message):
    __slots__ = ("id", "tags", "evidence")
    ID_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    id: str
    tags: _containers.RepeatedScalarFieldContainer[str]
    evidence: _evidence_pb2.SignedEvidenceList
    def __init__(self, id: _Optional[str] = ..., tags: _Optional[_Iterable[str]] = ..., evidence: _Optional[_Union[_evidence_pb2.SignedEvidenceList, _Mapping]] = ...) -> None: ...

class ComputeRequestInfo(_message.Message):
    __slots__ = ("candidates",)
    CANDIDATES_FIELD_NUMBER: _ClassVar[int]
    candidates: _containers.RepeatedCompositeFieldContainer[ComputeCandidate]
    def __init__(self, candidates: _Optional[_Iterable[_Union[ComputeCandidate, _Mapping]]] = ...) -> None: ...

class ComputeCandidate(_message.Message):
    __slots__ = ("id", "encapsulated_key")
    ID_FIELD_NUMBER: _ClassVar[int]
    ENCAPSULATED_KEY_FIELD_NUMBER: _ClassVar[int]
    id: str
    encapsulated_key: bytes
    def __init__(self, id: _Optional[str] = ..., encapsulated_key: _Optional[bytes] = ...) -> None: ...

class RoutingInfo(_message.Message):
    __slots__ = ("url", "healthcheck_url", "tags", "evidence")
    URL_FIELD_NUMBER: _ClassVar[int]
    HEALTHCHECK_URL_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    url: str
    healthcheck_url: str
    tags: _containers.RepeatedScalarFieldContainer[str]
    evidence: _evidence_pb2.SignedEvidenceList
    def __init__(self, url: _Optional[str] = ..., healthcheck_url: _Optional[str] = ..., tags: _Optional[_Iterable[str]] = ..., evidence: _Optional[_Union[_evidence_pb2.SignedEvidenceList, _Mapping]] = ...) -> None: ...

class Heartbeat(_message.Message):
    __slots__ = ("routing_info_url", "routing_info")
    ROUTING_INFO_URL_FIELD_NUMBER: _ClassVar[int]
    ROUTING_INFO_FIELD_NUMBER: _ClassVar[int]
    routing_info_url: str
    routing_info: RoutingInfo
    def __init__(self, routing_info_url: _Optional[str] = ..., routing_info: _Optional[_Union[RoutingInfo, _Mapping]] = ...) -> None: ...

class Shutdown(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class NodeEvent(_message.Message):
    __slots__ = ("node_id", "event_index", "timestamp", "heartbeat", "shutdown")
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    EVENT_INDEX_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    SHUTDOWN_FIELD_NUMBER: _ClassVar[int]
    node_id: str
    event_index: int
    timestamp: _timestamp_pb2.Timestamp
    heartbeat: Heartbeat
    shutdown: Shutdown
    def __init__(self, node_id: _Optional[str] = ..., event_index: _Optional[int] = ..., timestamp: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., heartbeat: _Optional[_Union[Heartbeat, _Mapping]] = ..., shutdown: _Optional[_Union[Shutdown, _Mapping]] = ...) -> None: ...
