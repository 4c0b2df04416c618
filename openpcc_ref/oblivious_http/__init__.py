"""Oblivious HTTP (RFC 9458) and its chunked form. Chapter: ``spec/oblivious_http.md``."""

from openpcc_ref.oblivious_http.key_config import (
    KeyConfig,
    SymmetricAlgorithm,
    decode_key_config,
    decode_key_configs,
    encode_key_config,
    encode_key_configs,
)
from openpcc_ref.oblivious_http.key_rotation import (
    OPENPCC_ALGORITHM,
    GatewayKey,
    PeriodState,
    RotationPeriod,
    decode_rotation_periods,
    decode_timestamp,
    derive_gateway_key,
    encode_rotation_periods,
    encode_timestamp,
    period_from_creation,
    period_starting_at,
    select_key,
)
from openpcc_ref.oblivious_http.media_types import KEYS_MEDIA_TYPE, Form, ObliviousHttpRejected
from openpcc_ref.oblivious_http.messages import MAX_UNCHUNKED, RequestHeader, ResponseContext
from openpcc_ref.oblivious_http.request import RequestOpener, RequestSealer, find_key, open_request, seal_request
from openpcc_ref.oblivious_http.response import ResponseOpener, ResponseSealer, open_response, seal_response

__all__ = [
    "KEYS_MEDIA_TYPE",
    "MAX_UNCHUNKED",
    "OPENPCC_ALGORITHM",
    "Form",
    "GatewayKey",
    "KeyConfig",
    "ObliviousHttpRejected",
    "PeriodState",
    "RequestHeader",
    "RequestOpener",
    "RequestSealer",
    "ResponseContext",
    "ResponseOpener",
    "ResponseSealer",
    "RotationPeriod",
    "SymmetricAlgorithm",
    "decode_key_config",
    "decode_key_configs",
    "decode_rotation_periods",
    "decode_timestamp",
    "derive_gateway_key",
    "encode_key_config",
    "encode_key_configs",
    "encode_rotation_periods",
    "encode_timestamp",
    "find_key",
    "open_request",
    "open_response",
    "period_from_creation",
    "period_starting_at",
    "seal_request",
    "seal_response",
    "select_key",
]
