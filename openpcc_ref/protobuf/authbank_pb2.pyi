from openpcc_ref.protobuf import credit_pb2 as _credit_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
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

class AuthConfigResponse(_message.Message):
    __slots__ = ("router_url", "bank_url", "relays", "ohttp_key_configs_bundle", "currency_key_bundle", "identity_policy")
    ROUTER_URL_FIELD_NUMBER: _ClassVar[int]
    BANK_URL_FIELD_NUMBER: _ClassVar[int]
    RELAYS_FIELD_NUMBER: _ClassVar[int]
    OHTTP_KEY_CONFIGS_BUNDLE_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_KEY_BUNDLE_FIELD_NUMBER: _ClassVar[int]
    IDENTITY_POLICY_FIELD_NUMBER: _ClassVar[int]
    router_url: str
    bank_url: str
    relays: _containers.RepeatedCompositeFieldContainer[OHTTPRelay]
    ohttp_key_configs_bundle: bytes
    currency_key_bundle: bytes
    identity_policy: IdentityPolicy
    def __init__(self, router_url: _Optional[str] = ..., bank_url: _Optional[str] = ..., relays: _Optional[_Iterable[_Union[OHTTPRelay, _Mapping]]] = ..., ohttp_key_configs_bundle: _Optional[bytes] = ..., currency_key_bundle: _Optional[bytes] = ..., identity_policy: _Optional[_Union[IdentityPolicy, _Mapping]] = ...) -> None: ...

class OHTTPRelay(_message.Message):
    __slots__ = ("url",)
    URL_FIELD_NUMBER: _ClassVar[int]
    url: str
    def __init__(self, url: _Optional[str] = ...) -> None: ...

class IdentityPolicy(_message.Message):
    __slots__ = ("oidc_issuer", "oidc_issuer_regex", "oidc_subject", "oidc_subject_regex")
    OIDC_ISSUER_FIELD_NUMBER: _ClassVar[int]
    OIDC_ISSUER_REGEX_FIELD_NUMBER: _ClassVar[int]
    OIDC_SUBJECT_FIELD_NUMBER: _ClassVar[int]
    OIDC_SUBJECT_REGEX_FIELD_NUMBER: _ClassVar[int]
    oidc_issuer: str
    oidc_issuer_regex: str
    oidc_subject: str
    oidc_subject_regex: str
    def __init__(self, oidc_issuer: _Optional[str] = ..., oidc_issuer_regex: _Optional[str] = ..., oidc_subject: _Optional[str] = ..., oidc_subject_regex: _Optional[str] = ...) -> None: ...
