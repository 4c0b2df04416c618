"""Nodes that read what comes in the clear otherwise than they must."""

from __future__ import annotations

import re
from typing import Any

from conformance.faults import fault
from conformance.faults.node.base import FaultyNode
from openpcc_ref.compute_node import Parameters, decode_parameters
from openpcc_ref.http1 import Fields, IncomingRequest, Responder, field_value
from openpcc_ref.protobuf.error_pb2 import Error
from openpcc_ref.services.forwarding import CHUNKED
from openpcc_ref.services.message_service import MEDIA_TYPE

_KEY_TEXT = 160
"""Characters of an encapsulated key. Requirements: MSG-057."""


class _Reading(FaultyNode):
    """Reads the three fields as ``as_read`` says."""

    def as_read(self, media_type: bytes, key: bytes, amount: bytes) -> tuple[bytes, bytes, bytes]:
        """Return Content-Type, X-Encapsulated-Key and X-Credit-Amount as this node understands them."""
        return media_type, key, amount

    def parameters_of(self, request: IncomingRequest) -> Parameters:
        names = (b"content-type", b"x-encapsulated-key", b"x-credit-amount")
        media_type, key, amount = (field_value(request.fields, name) or b"" for name in names)
        return decode_parameters(*self.as_read(media_type, key, amount))


@fault(id="node.parameters.any-type", breaks=["NODE-003", "MSG-071"], trips=["node.parameters.media-type"])
class AnyType(FaultyNode):
    """Takes what is not chunked for unchunked."""

    without = ("compute-message.request.media-type",)


@fault(id="node.parameters.type-parameters", breaks=["NODE-003", "MSG-071"], trips=["node.parameters.media-type"])
class TypeParameters(_Reading):
    """Takes parameters behind the media type."""

    def as_read(self, media_type: bytes, key: bytes, amount: bytes) -> tuple[bytes, bytes, bytes]:
        return media_type.partition(b";")[0], key, amount


@fault(id="node.parameters.type-case", breaks=["NODE-003", "MSG-071"], trips=["node.parameters.media-type"])
class TypeCase(_Reading):
    """Compares media types without their case."""

    def as_read(self, media_type: bytes, key: bytes, amount: bytes) -> tuple[bytes, bytes, bytes]:
        return media_type.lower(), key, amount


@fault(id="node.parameters.unauthorized", breaks=["NODE-004", "MSG-081"], trips=["node.parameters.key-absent"])
class Unauthorized(FaultyNode):
    """Answers requests without a key with 401."""

    async def compute(self, request: IncomingRequest, responder: Responder) -> None:
        if field_value(request.fields, b"x-encapsulated-key"):
            await super().compute(request, responder)
        else:
            await self.refuse(responder, 401, "invalid encapsulated key")


@fault(id="node.parameters.long-key", breaks=["NODE-004", "MSG-081"], trips=["node.parameters.key-long"])
class LongKey(_Reading):
    """Reads the beginning of a key that is too long."""

    def as_read(self, media_type: bytes, key: bytes, amount: bytes) -> tuple[bytes, bytes, bytes]:
        return media_type, key[:_KEY_TEXT] if len(key) > 512 else key, amount


@fault(id="node.parameters.any-alphabet", breaks=["NODE-004", "MSG-081"], trips=["node.parameters.key-base64"])
class AnyAlphabet(_Reading):
    """Reads both alphabets of base64."""

    def as_read(self, media_type: bytes, key: bytes, amount: bytes) -> tuple[bytes, bytes, bytes]:
        return media_type, key.translate(bytes.maketrans(b"-_", b"+/")), amount


@fault(id="node.parameters.foreign-characters", breaks=["NODE-004", "MSG-081"], trips=["node.parameters.key-base64"])
class ForeignCharacters(_Reading):
    """Skips in a key what is no character of base64."""

    def as_read(self, media_type: bytes, key: bytes, amount: bytes) -> tuple[bytes, bytes, bytes]:
        return media_type, re.sub(rb"[^A-Za-z0-9+/=]", b"", key), amount


@fault(id="node.parameters.default-amount", breaks=["NODE-005"], trips=["node.parameters.amount-absent"])
class DefaultAmount(_Reading):
    """Takes no amount for one credit."""

    def as_read(self, media_type: bytes, key: bytes, amount: bytes) -> tuple[bytes, bytes, bytes]:
        return media_type, key, amount or b"1"


@fault(id="node.parameters.fractions", breaks=["NODE-005"], trips=["node.parameters.amount-number"])
class Fractions(_Reading):
    """Reads amounts as JavaScript does, and leaves out what is behind the point."""

    def as_read(self, media_type: bytes, key: bytes, amount: bytes) -> tuple[bytes, bytes, bytes]:
        try:
            return media_type, key, str(int(float(amount))).encode()
        except (ValueError, OverflowError):
            return media_type, key, amount


@fault(id="node.parameters.large-amount", breaks=["NODE-005"], trips=["node.parameters.amount-number"])
class LargeAmount(_Reading):
    """Takes what exceeds 64 bits for the largest number that they hold."""

    def as_read(self, media_type: bytes, key: bytes, amount: bytes) -> tuple[bytes, bytes, bytes]:
        large = amount.isdigit() and len(amount) >= 19
        return media_type, key, str(2**63 - 1).encode() if large else amount


@fault(id="node.parameters.any-amount", breaks=["NODE-005"], trips=["node.parameters.amount-positive"])
class AnyAmount(FaultyNode):
    """Works for nothing and less."""

    without = ("compute-node.parameters.no-credit",)


@fault(id="node.parameters.unsigned-amount", breaks=["NODE-005"], trips=["node.parameters.amount-positive"])
class UnsignedAmount(_Reading):
    """Ignores the sign of amounts."""

    def as_read(self, media_type: bytes, key: bytes, amount: bytes) -> tuple[bytes, bytes, bytes]:
        return media_type, key, amount.lstrip(b"+-")


@fault(id="node.parameters.plain-text", breaks=["MSG-082"], trips=["node.parameters.refusal-message"])
class PlainText(FaultyNode):
    """Refuses in plain text."""

    async def refuse(self, responder: Responder, status: int, text: str) -> None:
        content = text.encode()
        length = (b"content-length", str(len(content)).encode())
        await responder.send_head(status, ((b"content-type", b"text/plain; charset=utf-8"), length))
        await responder.send(content)
        await responder.finish()


@fault(id="node.parameters.refusal-trailer", breaks=["MSG-082"], trips=["node.parameters.refusal-message"])
class RefusalTrailer(FaultyNode):
    """Reports a refund for what it could not open."""

    async def refuse(self, responder: Responder, status: int, text: str) -> None:
        await responder.send_head(status, ((b"content-type", MEDIA_TYPE), (b"trailer", b"X-Refund-Amount"), *CHUNKED))
        await responder.send(Error(Message=text).SerializeToString())
        await responder.finish(((b"X-Refund-Amount", b"CAE="),))


@fault(id="node.parameters.any-method", breaks=["NODE-001"], trips=["node.parameters.method"])
class AnyMethod(FaultyNode):
    """Takes sealed requests by every method."""

    async def handle(self, request: IncomingRequest, responder: Responder) -> None:
        if field_value(request.fields, b"x-encapsulated-key"):
            await self.compute(request, responder)
        else:
            await super().handle(request, responder)


class _Misdirecting(FaultyNode):
    """Refuses requests for which ``misdirected`` says so."""

    def misdirected(self, request: Any) -> bool:
        """Say whether the request is for someone else."""
        raise NotImplementedError

    async def compute(self, request: IncomingRequest, responder: Responder) -> None:
        if self.misdirected(request):
            await self.refuse(responder, 421, "misdirected request")
        else:
            await super().compute(request, responder)


@fault(id="node.parameters.own-host", breaks=["NODE-015"], trips=["node.parameters.outer-target"])
class OwnHost(_Misdirecting):
    """Serves requests to an address of its own only."""

    def misdirected(self, request: Any) -> bool:
        return not (field_value(request.fields, b"host") or b"").startswith(b"127.0.0.1:")


@fault(id="node.parameters.own-path", breaks=["NODE-015"], trips=["node.parameters.outer-target"])
class OwnPath(_Misdirecting):
    """Serves requests to its own path only, without a query."""

    def misdirected(self, request: Any) -> bool:
        return bool(request.target != b"/")


@fault(id="node.parameters.no-health", breaks=["NODE-002"], trips=["node.parameters.health"])
class NoHealth(FaultyNode):
    """Is never healthy."""

    async def handle(self, request: IncomingRequest, responder: Responder) -> None:
        if request.method == b"GET":
            fields: Fields = ((b"content-length", b"0"),)
            await responder.send_head(503, fields)
            await responder.finish()
        else:
            await super().handle(request, responder)


@fault(id="node.parameters.underscores", breaks=["NODE-005"], trips=["node.parameters.amount-number"])
class Underscores(_Reading):
    """Reads amounts as a program reads its numbers."""

    def as_read(self, media_type: bytes, key: bytes, amount: bytes) -> tuple[bytes, bytes, bytes]:
        return media_type, key, re.sub(rb"(?<=\d)_(?=\d)", b"", amount)
