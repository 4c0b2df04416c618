"""Nodes that let a badge open more than the AuthBank signed it for."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import ClassVar

from conformance.faults import fault
from conformance.faults.node.badges import badge_message, badge_text, with_badge
from conformance.faults.node.base import FaultyNode
from conformance.faults.node.json import RewritingWorker, unique_members
from conformance.faults.node.workers import LenientWorker
from openpcc_ref import badges
from openpcc_ref.base64_text import to_text
from openpcc_ref.binary_http import RequestHead, field_values
from openpcc_ref.errors import Rejected

_ORDER = 2**252 + 27742317777372353535851937790883648493


class _FoldingModels(RewritingWorker):
    def rewritten(self, text: str) -> str:
        members = json.loads(text, object_pairs_hook=unique_members)
        if isinstance(members, dict) and isinstance(members.get("model"), str):
            members["model"] = members["model"].strip().lower()
        return json.dumps(members)


@fault(
    id="node.badges.folding-models",
    breaks=["NODE-024"],
    trips=["node.badges.near-model"],
    also=[
        "node.json.usage-wanted",
    ],
)
class FoldingModels(FaultyNode):
    """Looks models up without their case and the blanks around them, and passes on what came."""

    worker = _FoldingModels


class _SigningWorker(LenientWorker):
    """Does not ask for a signature that ``is_vouched_for`` is content with."""

    def is_signed(self, text: bytes) -> bool:
        with suppress(Rejected):
            badge = badges.decode_text(text.decode("latin-1"))
            badges.require_signature(badge, self.settings.rules.badge_public_key)
            return True
        return False

    def is_vouched_for(self, head: RequestHead) -> bool:
        return False

    def left_out(self, head: RequestHead, body: bytes) -> tuple[str, ...]:
        return ("badge.signature",) if self.is_vouched_for(head) else ()


class _AnyLine(_SigningWorker):
    def is_vouched_for(self, head: RequestHead) -> bool:
        return any(map(self.is_signed, field_values(head.fields, badges.FIELD_NAME)))


@fault(id="node.badges.any-line", breaks=["NODE-021", "AUTH-038"], trips=["node.badges.two-lines"])
class AnyLine(FaultyNode):
    """Takes the models of the first badge and the signature of any."""

    worker = _AnyLine


class _Remembering(_SigningWorker):
    verified: ClassVar[set[bytes]] = set()

    def is_vouched_for(self, head: RequestHead) -> bool:
        message = badge_message(head)
        if message is None or message.signature in self.verified:
            return message is not None
        if self.is_signed(badge_text(head)):
            self.verified.add(message.signature)
        return False


@fault(id="node.badges.remembered", breaks=["NODE-021", "AUTH-034"], trips=["node.badges.model-added"])
class Remembered(FaultyNode):
    """Verifies each signature once, whatever it stands under later."""

    worker = _Remembering


class _Reducing(LenientWorker):
    def as_read(self, head: RequestHead) -> RequestHead:
        message = badge_message(head)
        scalar = 0 if message is None else int.from_bytes(message.signature[32:], "little")
        if message is None or len(message.signature) != 64 or scalar < _ORDER:
            return head
        message.signature = message.signature[:32] + (scalar % _ORDER).to_bytes(32, "little")
        return with_badge(head, to_text(message.SerializeToString()).encode())


@fault(id="node.badges.reducing", breaks=["AUTH-034"], trips=["node.badges.forged"])
class Reducing(FaultyNode):
    """Reduces the scalar of a signature instead of refusing one beyond the order of the group."""

    worker = _Reducing


class _Padding(LenientWorker):
    def as_read(self, head: RequestHead) -> RequestHead:
        text = badge_text(head)
        return with_badge(head, text + b"=" * (-len(text) % 4)) if text else head


@fault(id="node.badges.padding", breaks=["NODE-020", "AUTH-038"], trips=["node.badges.base64"])
class Padding(FaultyNode):
    """Adds the padding that a badge lacks."""

    worker = _Padding
