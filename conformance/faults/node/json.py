"""Nodes that read JSON otherwise than they must, or change it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from conformance.faults import fault
from conformance.faults.node.base import FaultyNode
from conformance.faults.node.workers import LenientWorker
from openpcc_ref.binary_http import RequestHead
from openpcc_ref.compute_node import EngineRequest
from openpcc_ref.errors import Rejected
from openpcc_ref.services.node_worker import Worker

Members = dict[str, Any]


@fault(
    id="node.json.last-counts",
    breaks=["NODE-040", "NODE-024"],
    trips=["node.json.model-twice", "node.json.member-twice"],
    also=[
        "node.json.nested-twice",
    ],
)
class LastCounts(FaultyNode):
    """Reads the last of two members, and passes both on."""

    without = ("compute-node.json.duplicate",)


class RewritingWorker(Worker):
    """Validates what ``rewritten`` makes of the body and passes on what came, or what was made of it."""

    passes_rewritten = False
    decoding = "strict"

    def rewritten(self, text: str) -> str:
        return text

    def validate(self, head: RequestHead, body: bytes, broken: Rejected | None) -> EngineRequest:
        try:
            read = self.rewritten(body.decode(errors=self.decoding)).encode()
        except ValueError:
            read = body
        lines = ((name, b"%d" % len(read) if name == b"content-length" else value) for name, value in head.fields)
        engine = super().validate(replace(head, fields=tuple(lines)), read, broken)
        return engine if self.passes_rewritten else replace(engine, body=body)


class _Folding(RewritingWorker):
    def rewritten(self, text: str) -> str:
        members = json.loads(text)
        return json.dumps({name.casefold(): value for name, value in members.items()})


@fault(
    id="node.json.folding",
    breaks=["NODE-040", "NODE-024"],
    trips=["node.json.model-case", "node.json.member-twice"],
    also=[
        "node.json.malformed",
        "node.json.model-twice",
        "node.json.nested-twice",
        "node.json.usage-wanted",
    ],
)
class Folding(FaultyNode):
    """Reads names of members without their case, and passes on what came."""

    worker = _Folding


class _Relaxed(RewritingWorker):
    passes_rewritten = True

    def rewritten(self, text: str) -> str:
        cleaned = text.removeprefix("/* */").replace("'", '"').replace(",}", "}").replace("NaN", "0")
        return json.dumps(json.loads(cleaned, object_pairs_hook=unique_members), ensure_ascii=False)


def unique_members(pairs: list[tuple[str, Any]]) -> Members:
    """Return the members of an object that has none twice, for :mod:`json`."""
    if len(dict(pairs)) != len(pairs):
        raise ValueError
    return dict(pairs)


@fault(
    id="node.json.relaxed",
    breaks=["NODE-039"],
    trips=["node.json.malformed"],
    also=["node.json.nothing-else-changed"],
)
class Relaxed(FaultyNode):
    """Takes a dialect of JSON for people."""

    worker = _Relaxed


class _Replacing(RewritingWorker):
    passes_rewritten = True
    decoding = "replace"


@fault(id="node.json.any-bytes", breaks=["NODE-039"], trips=["node.json.utf-8"])
class AnyBytes(FaultyNode):
    """Replaces bytes that are not UTF-8."""

    worker = _Replacing


@fault(id="node.json.first-object", breaks=["NODE-039"], trips=["node.json.trailing"])
class FirstObject(FaultyNode):
    """Stops reading behind the object."""

    without = ("compute-node.json.trailing",)


@fault(
    id="node.json.unknown-members",
    breaks=["NODE-039"],
    trips=["node.json.members"],
    also=["node.json.member-twice", "node.json.model-case"],
)
class UnknownMembers(FaultyNode):
    """Passes on whatever members there are."""

    without = ("compute-node.json.member",)


@fault(id="node.json.any-types", breaks=["NODE-039"], trips=["node.json.members"])
class AnyTypes(FaultyNode):
    """Checks names of members and not their types."""

    without = ("compute-node.json.type",)


@fault(id="node.json.nothing-required", breaks=["NODE-041"], trips=["node.json.required"])
class NothingRequired(FaultyNode):
    """Leaves it to the engine what it needs."""

    without = ("compute-node.json.missing",)


class _TextOnly(RewritingWorker):
    passes_rewritten = True

    def rewritten(self, text: str) -> str:
        members = json.loads(text, object_pairs_hook=unique_members)
        if not isinstance(members, dict) or "tools" not in members:
            return text
        del members["tools"]
        return json.dumps(members, ensure_ascii=False)


@fault(
    id="node.json.no-tools",
    breaks=["NODE-040"],
    trips=["node.json.content-kept"],
)
class NoTools(FaultyNode):
    """Leaves tools out."""

    worker = _TextOnly


class _AsSent(RewritingWorker):
    pass


@fault(id="node.json.as-sent", breaks=["NODE-042"], trips=["node.json.usage-wanted"])
class AsSent(FaultyNode):
    """Does not ask for the usage."""

    worker = _AsSent


class _OnlyAbsent(Worker):
    def validate(self, head: RequestHead, body: bytes, broken: Rejected | None) -> EngineRequest:
        engine = super().validate(head, body, broken)
        return replace(engine, body=body) if b"stream_options" in body else engine


@fault(id="node.json.client-decides", breaks=["NODE-042"], trips=["node.json.usage-wanted"])
class ClientDecides(FaultyNode):
    """Leaves the usage option as the client has set it."""

    worker = _OnlyAbsent


class _Serializing(Worker):
    def validate(self, head: RequestHead, body: bytes, broken: Rejected | None) -> EngineRequest:
        engine = super().validate(head, body, broken)
        if engine.body == body:
            return engine
        kept = {name: value for name, value in json.loads(engine.body).items() if value not in (0, False)}
        return replace(engine, body=json.dumps(kept, sort_keys=True).encode())


@fault(id="node.json.serialized-anew", breaks=["NODE-043"], trips=["node.json.nothing-else-changed"])
class SerializedAnew(FaultyNode):
    """Writes the body anew where it asks for the usage, without values of zero."""

    worker = _Serializing


class _TopOnly(LenientWorker):
    def left_out(self, head: RequestHead, body: bytes) -> tuple[str, ...]:
        try:
            names = [pair[0] for pair in json.loads(body, object_pairs_hook=list)]
        except (ValueError, TypeError, IndexError):
            return ()
        return ("compute-node.json.duplicate",) if len(set(names)) == len(names) else ()


@fault(id="node.json.top-only", breaks=["NODE-040"], trips=["node.json.nested-twice"])
class TopOnly(FaultyNode):
    """Looks for members twice in the body's own object only, and passes all on."""

    worker = _TopOnly


class _Coercing(RewritingWorker):
    passes_rewritten = True

    def rewritten(self, text: str) -> str:
        members = json.loads(text, object_pairs_hook=unique_members)
        if not isinstance(members, dict) or not any(isinstance(members.get(name), int) for name in _COERCED):
            return text
        kinds = {name: kind for name, kind in _COERCED.items() if isinstance(members.get(name), int)}
        return json.dumps(members | {name: kind(members[name]) for name, kind in kinds.items()}, ensure_ascii=False)


_COERCED = {"stream": bool, "max_tokens": int}


@fault(
    id="node.json.coercing",
    breaks=["NODE-039"],
    trips=["node.json.members"],
    also=["node.json.nothing-else-changed"],
)
class Coercing(FaultyNode):
    """Takes numbers for truths and truths for numbers."""

    worker = _Coercing


class _Searching(Worker):
    def validate(self, head: RequestHead, body: bytes, broken: Rejected | None) -> EngineRequest:
        engine = super().validate(head, body, broken)
        return replace(engine, body=body) if b'"include_usage": true' in body else engine


@fault(id="node.json.searching", breaks=["NODE-042"], trips=["node.json.usage-wanted"])
class Searching(FaultyNode):
    """Searches the whole body for the usage option, and adds none where it finds one."""

    worker = _Searching
