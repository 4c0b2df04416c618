"""Nodes that take badges which they must not take, or refuse some which they must take."""

from __future__ import annotations

from base64 import urlsafe_b64decode
from dataclasses import replace

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from google.protobuf.message import DecodeError

from conformance.faults import fault
from conformance.faults.node.base import FaultyNode
from conformance.faults.node.workers import LenientWorker, field_of
from openpcc_ref import badges
from openpcc_ref.base64_text import to_text
from openpcc_ref.binary_http import RequestHead
from openpcc_ref.compute_node import EngineRequest, Parameters
from openpcc_ref.compute_node.errors import require_node
from openpcc_ref.errors import Rejected
from openpcc_ref.http1 import IncomingRequest, field_value
from openpcc_ref.protobuf.authbank_pb2 import Badge
from openpcc_ref.services.node import Deliver
from openpcc_ref.services.node_worker import EngineFailed

_ANY = ("badge.text.base64", "badge.malformed", "badge.signature", "badge.model")
_LISTS = ("badge.models.truncated", "badge.models.empty-name", "badge.models.character", "badge.models.order")


def badge_text(head: RequestHead) -> bytes:
    """Return the badge of a request as it came, empty without one."""
    return field_of(head, badges.FIELD_NAME)


def with_badge(head: RequestHead, text: bytes) -> RequestHead:
    """Return the head with another badge."""
    lines = tuple(line for line in head.fields if line[0] != badges.FIELD_NAME)
    return replace(head, fields=(*lines, (badges.FIELD_NAME, text)))


def badge_message(head: RequestHead) -> Badge | None:
    """Return the badge as far as it can be read."""
    try:
        return Badge.FromString(urlsafe_b64decode(badge_text(head).replace(b"+", b"-").replace(b"/", b"_")))
    except (ValueError, DecodeError):
        return None


class _Optional(LenientWorker):
    def left_out(self, head: RequestHead, body: bytes) -> tuple[str, ...]:
        return () if badge_text(head) else _ANY


@fault(
    id="node.badges.optional",
    breaks=["NODE-020", "AUTH-038"],
    trips=["node.badges.required"],
    also=["node.badges.outer-field"],
)
class Optional(FaultyNode):
    """Takes requests without a badge."""

    worker = _Optional


class _Authorization(LenientWorker):
    def as_read(self, head: RequestHead) -> RequestHead:
        bearer = field_of(head, b"authorization").removeprefix(b"Bearer ")
        return head if badge_text(head) or not bearer else with_badge(head, bearer)


@fault(id="node.badges.authorization", breaks=["NODE-020"], trips=["node.badges.required"])
class Authorization(FaultyNode):
    """Takes a badge from Authorization too."""

    worker = _Authorization


@fault(id="node.badges.outer-field", breaks=["NODE-020"], trips=["node.badges.outer-field"])
class OuterField(FaultyNode):
    """Takes a badge in the clear where the sealed request has none."""

    async def work(self, parameters: Parameters, request: IncomingRequest, deliver: Deliver) -> None:
        outer = field_value(request.fields, badges.FIELD_NAME) or b""

        class Worker(LenientWorker):
            def as_read(self, head: RequestHead) -> RequestHead:
                return head if badge_text(head) else with_badge(head, outer)

        self.worker = Worker
        await super().work(parameters, request, deliver)


class _UrlAlphabet(LenientWorker):
    def as_read(self, head: RequestHead) -> RequestHead:
        return with_badge(head, badge_text(head).replace(b"-", b"+").replace(b"_", b"/"))


@fault(id="node.badges.url-alphabet", breaks=["AUTH-038", "NODE-020"], trips=["node.badges.base64"])
class UrlAlphabet(FaultyNode):
    """Takes the alphabet for URLs as well."""

    worker = _UrlAlphabet


class _TrailingText(LenientWorker):
    def as_read(self, head: RequestHead) -> RequestHead:
        return with_badge(head, badge_text(head).rstrip(b"*"))


@fault(id="node.badges.trailing-text", breaks=["AUTH-038", "NODE-020"], trips=["node.badges.base64"])
class TrailingText(FaultyNode):
    """Reads base64 as far as it goes."""

    worker = _TrailingText


class _Unreadable(LenientWorker):
    def left_out(self, head: RequestHead, body: bytes) -> tuple[str, ...]:
        return (*_ANY, *_LISTS) if badge_text(head) and badge_message(head) is None else ()


@fault(
    id="node.badges.unreadable",
    breaks=["AUTH-038"],
    trips=["node.badges.malformed"],
    also=["node.badges.base64"],
)
class Unreadable(FaultyNode):
    """Takes a badge that it cannot read for one that allows everything."""

    worker = _Unreadable


class _Unsigned(LenientWorker):
    def left_out(self, head: RequestHead, body: bytes) -> tuple[str, ...]:
        badge = badge_message(head)
        return ("badge.signature",) if badge is not None and not badge.signature else ()


@fault(id="node.badges.unsigned", breaks=["AUTH-038"], trips=["node.badges.signature-absent"])
class Unsigned(FaultyNode):
    """Verifies signatures only where there is one."""

    worker = _Unsigned


class _LongSignature(LenientWorker):
    def as_read(self, head: RequestHead) -> RequestHead:
        badge = badge_message(head)
        if badge is None or len(badge.signature) <= badges.SIGNATURE_LENGTH:
            return head
        badge.signature = badge.signature[: badges.SIGNATURE_LENGTH]
        return with_badge(head, to_text(badge.SerializeToString()).encode())


@fault(id="node.badges.long-signature", breaks=["AUTH-038"], trips=["node.badges.signature-absent"])
class LongSignature(FaultyNode):
    """Looks only at the first 64 bytes of a signature."""

    worker = _LongSignature


@fault(
    id="node.badges.unverified",
    breaks=["NODE-021", "AUTH-034", "AUTH-038"],
    trips=[
        "node.badges.forged",
        "node.badges.model-added",
        "node.badges.signed-bytes",
        "node.badges.signature-absent",
        "node.badges.every-path",
    ],
    also=[
        "node.badges.two-lines",
    ],
)
class Unverified(FaultyNode):
    """Verifies no signature."""

    without = ("badge.signature",)


def _verifies(worker: LenientWorker, signature: bytes, message: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(worker.settings.rules.badge_public_key).verify(signature, message)
    except InvalidSignature:
        return False
    return True


class _ListSigned(LenientWorker):
    def left_out(self, head: RequestHead, body: bytes) -> tuple[str, ...]:
        badge = badge_message(head)
        signed = badge is not None and _verifies(self, badge.signature, badge.credentials.models)
        return ("badge.signature",) if signed else ()


@fault(id="node.badges.list-signed", breaks=["AUTH-034", "NODE-021"], trips=["node.badges.signed-bytes"])
class ListSigned(FaultyNode):
    """Takes a signature over the encoded list alone, too."""

    worker = _ListSigned


@fault(
    id="node.badges.any-model",
    breaks=["NODE-024", "AUTH-038"],
    trips=["node.badges.other-model", "node.badges.second-model"],
    also=[
        "node.badges.model-added",
        "node.badges.two-lines",
    ],
)
class AnyModel(FaultyNode):
    """Takes any well-signed badge for every model that it serves."""

    without = ("badge.model",)


class _Prefixes(LenientWorker):
    def left_out(self, head: RequestHead, body: bytes) -> tuple[str, ...]:
        badge = badge_message(head)
        asked = self.settings.rules.models
        named = badge.credentials.models if badge is not None else b""
        return ("badge.model",) if any(model.encode() in named for model in asked) else ()


@fault(
    id="node.badges.contained",
    breaks=["NODE-024", "AUTH-038"],
    trips=["node.badges.other-model", "node.badges.second-model"],
)
class Contained(FaultyNode):
    """Looks for the name of any of its models anywhere in the list."""

    worker = _Prefixes


@fault(
    id="node.badges.all-models",
    breaks=["NODE-024"],
    trips=["node.badges.not-served"],
    also=[
        "node.badges.near-model",
    ],
)
class AllModels(FaultyNode):
    """Passes every model that the badge names to the engine, whether the node serves it or not."""

    without = ("compute-node.model",)


class _FirstModel(LenientWorker):
    def validate(self, head: RequestHead, body: bytes, broken: Rejected | None) -> EngineRequest:
        engine = super().validate(head, body, broken)
        badge = badges.decode_text(badge_text(head).decode())
        require_node(badge.models[0] == engine.model, "model", "body.model", "the first model of the badge")
        return engine


@fault(
    id="node.badges.first-model",
    breaks=["NODE-024"],
    trips=["node.badges.several-models"],
)
class FirstModel(FaultyNode):
    """Reads only the first model of a badge."""

    worker = _FirstModel


class _AsItCame(LenientWorker):
    def left_out(self, head: RequestHead, body: bytes) -> tuple[str, ...]:
        badge = badge_message(head)
        signed = badge is not None and _verifies(self, badge.signature, badge.credentials.SerializeToString())
        return ("badge.models.order", "badge.signature") if signed else ()


@fault(id="node.badges.unsorted", breaks=["NODE-022", "AUTH-033"], trips=["node.badges.list-encoding"])
class Unsorted(FaultyNode):
    """Takes lists of models in any order, and verifies what is signed as it came."""

    worker = _AsItCame


@fault(id="node.badges.any-characters", breaks=["NODE-022", "AUTH-033"], trips=["node.badges.list-encoding"])
class AnyCharacters(FaultyNode):
    """Takes any characters in names of models."""

    without = ("badge.models.character",)


class _Allocating(LenientWorker):
    def validate(self, head: RequestHead, body: bytes, broken: Rejected | None) -> EngineRequest:
        badge = badge_message(head)
        models = badge.credentials.models if badge is not None else b""
        offset = 0
        while offset + 4 <= len(models):
            length = int.from_bytes(models[offset : offset + 4], "little")
            if length >= 2**31:
                raise EngineFailed  # as a worker ends that was refused so much memory
            offset += 4 + length
        return super().validate(head, body, broken)


@fault(id="node.badges.allocating", breaks=["NODE-023", "AUTH-033"], trips=["node.badges.huge-length"])
class Allocating(FaultyNode):
    """Asks for the memory that a length claims, and does not get it."""

    worker = _Allocating


class _ShortBadges(LenientWorker):
    def validate(self, head: RequestHead, body: bytes, broken: Rejected | None) -> EngineRequest:
        require_node(len(badge_text(head)) < 1024, "field.long", "fields", "less than 1024 bytes per name")
        return super().validate(head, body, broken)


@fault(id="node.badges.short-only", breaks=["NODE-035"], trips=["node.badges.longest"])
class ShortOnly(FaultyNode):
    """Refuses a badge of 1024 characters."""

    worker = _ShortBadges


class _OnePath(LenientWorker):
    def left_out(self, head: RequestHead, body: bytes) -> tuple[str, ...]:
        return _ANY if head.path == b"/api/chat" else ()


@fault(id="node.badges.one-path", breaks=["NODE-020", "NODE-021"], trips=["node.badges.every-path"])
class OnePath(FaultyNode):
    """Forgets about badges on /api/chat."""

    worker = _OnePath


@fault(
    id="node.badges.any-length", breaks=["NODE-035"], trips=["node.badges.longest"], also=["node.requests.field-length"]
)
class AnyLength(FaultyNode):
    """Takes badges, like all fields, at any length."""

    without = ("compute-node.field.long",)
