"""Nodes that read heads and lengths of requests otherwise than they must."""

from __future__ import annotations

import posixpath
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

from conformance.faults import fault
from conformance.faults.node.base import FaultyNode
from conformance.faults.node.workers import LenientWorker, field_of
from openpcc_ref.binary_http import RequestHead
from openpcc_ref.compute_messages import ReceiverContext
from openpcc_ref.compute_node import ComputeNodeRejected, EngineRequest, Parameters
from openpcc_ref.compute_node.errors import require_node
from openpcc_ref.errors import Rejected
from openpcc_ref.http1 import Fields, IncomingRequest
from openpcc_ref.services.node import Deliver
from openpcc_ref.services.node_worker import Unopened, Worker


class _OnePath(Worker):
    async def ask_engine(self, engine: EngineRequest, context: ReceiverContext) -> None:
        asked = replace(engine, path=engine.path.replace("/v1/chat/completions", "/v1/completions"))
        await super().ask_engine(asked, context)


@fault(id="node.requests.one-path", breaks=["NODE-030"], trips=["node.requests.forwarded"])
class OnePath(FaultyNode):
    """Sends chats to the path for completions."""

    worker = _OnePath


class _Cautious(Worker):
    async def ask_engine(self, engine: EngineRequest, context: ReceiverContext) -> None:
        body = engine.body.replace(b'"ping"', b'"Answer politely. ping"')
        await super().ask_engine(replace(engine, body=body), context)


@fault(
    id="node.requests.own-words",
    breaks=["NODE-040"],
    trips=["node.requests.forwarded"],
    also=["node.badges.several-models", "node.json.nothing-else-changed"],
)
class OwnWords(FaultyNode):
    """Puts words of its own before the prompt."""

    worker = _Cautious


class _NotFoundIsBad(Worker):
    def refusal(self, refusal: Rejected) -> tuple[int, bytes]:
        return 400, super().refusal(refusal)[1]


@fault(
    id="node.requests.bad-path",
    breaks=["NODE-031"],
    trips=["node.requests.unknown-path"],
    also=["node.requests.refusal-form"],
)
class BadPath(FaultyNode):
    """Refuses unknown paths with 400 like all else."""

    worker = _NotFoundIsBad


@fault(
    id="node.requests.any-path",
    breaks=["NODE-030", "NODE-031"],
    trips=["node.requests.unknown-path"],
    also=["node.json.member-twice", "node.json.members", "node.json.model-case", "node.requests.refusal-form"],
)
class AnyPath(FaultyNode):
    """Passes every path to the engine."""

    without = ("compute-node.path.unknown", "compute-node.json.member")


class _Queries(LenientWorker):
    def as_read(self, head: RequestHead) -> RequestHead:
        return replace(head, path=head.path.partition(b"?")[0])


@fault(id="node.requests.queries", breaks=["NODE-030"], trips=["node.requests.path-form"])
class Queries(FaultyNode):
    """Ignores queries."""

    worker = _Queries


class _Normalizing(LenientWorker):
    def as_read(self, head: RequestHead) -> RequestHead:
        return replace(head, path=posixpath.normpath(unquote(head.path.decode("latin-1"))).encode())


@fault(id="node.requests.normalizing", breaks=["NODE-030"], trips=["node.requests.path-form"])
class Normalizing(FaultyNode):
    """Brings paths into their normal form and takes them."""

    worker = _Normalizing


@fault(id="node.requests.any-method", breaks=["NODE-030"], trips=["node.requests.method"])
class AnyMethod(FaultyNode):
    """Takes every method for POST."""

    without = ("compute-node.method",)


class _UpperCase(LenientWorker):
    def as_read(self, head: RequestHead) -> RequestHead:
        return replace(head, method=head.method.upper())


@fault(id="node.requests.small-method", breaks=["NODE-030"], trips=["node.requests.method"])
class SmallMethod(FaultyNode):
    """Reads methods without their case."""

    worker = _UpperCase


@fault(
    id="node.requests.any-authority",
    breaks=["NODE-032"],
    trips=["node.requests.authority"],
    also=["node.requests.refusal-form"],
)
class AnyAuthority(FaultyNode):
    """Asks for no authority."""

    without = ("compute-node.authority",)


class _HostOnly(LenientWorker):
    def as_read(self, head: RequestHead) -> RequestHead:
        return replace(head, authority=head.authority.partition(b":")[0].lower())


@fault(id="node.requests.any-port", breaks=["NODE-032"], trips=["node.requests.authority"])
class AnyPort(FaultyNode):
    """Compares hosts without port and case."""

    worker = _HostOnly


@fault(id="node.requests.any-type", breaks=["NODE-033"], trips=["node.requests.content-type"])
class AnyType(FaultyNode):
    """Takes everything for JSON."""

    without = ("compute-node.field.content-type",)


class _Charset(LenientWorker):
    def as_read(self, head: RequestHead) -> RequestHead:
        lines = ((name, value.partition(b";")[0] if name == b"content-type" else value) for name, value in head.fields)
        return replace(head, fields=tuple(lines))


@fault(id="node.requests.charset", breaks=["NODE-033"], trips=["node.requests.content-type"])
class Charset(FaultyNode):
    """Takes parameters of the content type."""

    worker = _Charset


@fault(id="node.requests.any-coding", breaks=["NODE-034"], trips=["node.requests.codings"])
class AnyCoding(FaultyNode):
    """Ignores codings."""

    without = ("compute-node.field.refused", "compute-node.field.transfer-encoding")


class _EachLine(LenientWorker):
    def left_out(self, head: RequestHead, body: bytes) -> tuple[str, ...]:
        short = all(len(value) <= 1024 for _, value in head.fields)
        return ("compute-node.field.long",) if short else ()


@fault(id="node.requests.each-line", breaks=["NODE-035"], trips=["node.requests.field-length"])
class EachLine(FaultyNode):
    """Measures each line of a field alone."""

    worker = _EachLine


class _AllFields(LenientWorker):
    def validate(self, head: RequestHead, body: bytes, broken: Rejected | None) -> EngineRequest:
        size = sum(len(value) for _, value in head.fields)
        require_node(size <= 1300, "field.long", "fields", "1300 bytes of fields")
        return super().validate(head, body, broken)


@fault(id="node.requests.all-fields", breaks=["NODE-035"], trips=["node.requests.field-length"])
class AllFields(FaultyNode):
    """Measures all fields together."""

    worker = _AllFields


class _LongBodies(Worker):
    def __init__(self, settings: Any, *arguments: Any, **further: Any) -> None:
        super().__init__(replace(settings, rules=replace(settings.rules, max_body=2**21)), *arguments, **further)


@fault(id="node.requests.long-body", breaks=["NODE-036"], trips=["node.requests.body-limit"])
class LongBody(FaultyNode):
    """Takes two mebibytes."""

    worker = _LongBodies


class _ShortBodies(Worker):
    def __init__(self, settings: Any, *arguments: Any, **further: Any) -> None:
        super().__init__(replace(settings, rules=replace(settings.rules, max_body=2**20 - 1)), *arguments, **further)


@fault(id="node.requests.short-body", breaks=["NODE-036"], trips=["node.requests.body-limit"])
class ShortBody(FaultyNode):
    """Takes less than a mebibyte."""

    worker = _ShortBodies


@fault(id="node.requests.any-length", breaks=["NODE-037"], trips=["node.requests.body-length"])
class AnyLength(FaultyNode):
    """Does not look at content-length."""

    without = ("compute-node.body.length", "binary-http.content-length.differs")


class _Undeclared(LenientWorker):
    def as_read(self, head: RequestHead) -> RequestHead:
        return head if field_of(head, b"content-length") else self._declaring(head)

    def validate(self, head: RequestHead, body: bytes, broken: Rejected | None) -> EngineRequest:
        self._length = len(body)
        return super().validate(head, body, broken)

    def _declaring(self, head: RequestHead) -> RequestHead:
        return replace(head, fields=(*head.fields, (b"content-length", b"%d" % self._length)))


@fault(id="node.requests.undeclared", breaks=["NODE-037"], trips=["node.requests.body-length"])
class Undeclared(FaultyNode):
    """Needs no declared length."""

    worker = _Undeclared


class _EmptyIsObject(LenientWorker):
    def validate(self, head: RequestHead, body: bytes, broken: Rejected | None) -> EngineRequest:
        if not body and head.method == b"POST":
            return EngineRequest("/v1/completions", b"{}", "", False)
        return super().validate(head, body, broken)


@fault(
    id="node.requests.empty-body",
    breaks=["NODE-037", "NODE-039"],
    trips=["node.requests.body-empty"],
    also=["node.requests.body-length"],
)
class EmptyBody(FaultyNode):
    """Takes no body for an empty object and leaves it to the engine."""

    worker = _EmptyIsObject


class _PassingFields(LenientWorker):
    passed: Fields = ()

    def as_read(self, head: RequestHead) -> RequestHead:
        self.passed = tuple(line for line in head.fields if line[0] in (b"authorization", b"x-own"))
        return head

    def engine_fields(self, engine: EngineRequest) -> Fields:
        return (*super().engine_fields(engine), *self.passed)


@fault(id="node.requests.fields-passed", breaks=["NODE-014"], trips=["node.requests.fields-hidden"])
class FieldsPassed(FaultyNode):
    """Passes some fields of the client to the engine."""

    worker = _PassingFields


class _PassingBadge(LenientWorker):
    badge = b""

    def as_read(self, head: RequestHead) -> RequestHead:
        self.badge = field_of(head, b"x-confsec-badge")
        return head

    def engine_fields(self, engine: EngineRequest) -> Fields:
        return (*super().engine_fields(engine), (b"x-badge", self.badge))


@fault(id="node.requests.badge-passed", breaks=["NODE-014"], trips=["node.requests.fields-hidden"])
class BadgePassed(FaultyNode):
    """Shows the engine the badge."""

    worker = _PassingBadge


@fault(id="node.requests.outer-passed", breaks=["NODE-014"], trips=["node.requests.fields-hidden"])
class OuterPassed(FaultyNode):
    """Passes fields in the clear to the engine, as proxies do."""

    async def work(self, parameters: Parameters, request: IncomingRequest, deliver: Deliver) -> None:
        outer = tuple(line for line in request.fields if line[0] == b"x-forwarded-for")

        class Passing(Worker):
            def engine_fields(self, engine: EngineRequest) -> Fields:
                return (*super().engine_fields(engine), *outer)

        self.worker = Passing
        await super().work(parameters, request, deliver)


class _InTheClear(LenientWorker):
    def refusal(self, refusal: Rejected) -> tuple[int, bytes]:
        raise Unopened


@fault(
    id="node.requests.refusal-in-clear",
    breaks=["NODE-044"],
    trips=["node.requests.refusal-form"],
    also=[
        "node.badges.*",
        "node.json.*",
        "node.refunds.refusal",
        "node.refunds.trailer-only",
        "node.requests.*",
        "node.responses.form",
        "node.responses.known-length",
        "node.responses.padded",
        "node.secrecy.*",
    ],
)
class RefusalInClear(FaultyNode):
    """Refuses in the clear what it has opened."""

    worker = _InTheClear


class _PlainText(LenientWorker):
    def refusal(self, refusal: Rejected) -> tuple[int, bytes]:
        return super().refusal(refusal)[0], b'"Bad Request"'


@fault(
    id="node.requests.refusal-text",
    breaks=["NODE-044"],
    trips=["node.requests.refusal-form"],
    also=["node.requests.unknown-path", "node.requests.path-form", "node.requests.method"],
)
class RefusalText(FaultyNode):
    """Refuses without saying why."""

    worker = _PlainText


class _OneCode(LenientWorker):
    def refusal(self, refusal: Rejected) -> tuple[int, bytes]:
        known = isinstance(refusal, ComputeNodeRejected) and refusal.code.startswith("compute-node.path")
        status, text = super().refusal(refusal)
        return status, text.replace(b"ErrInvalidRequestURI", b"ErrGeneric") if known else text


@fault(id="node.requests.other-code", breaks=["NODE-030"], trips=["node.requests.path-form"])
class OtherCode(FaultyNode):
    """Names the refusal of a path otherwise."""

    worker = _OneCode
