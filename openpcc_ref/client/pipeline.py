"""A prompt on its way: nodes, credit, sealed request, streamed answer, refund. Chapters: ``spec/routing.md``,
``spec/compute_messages.md``.

Requirements: PAY-120, PAY-126, PAY-127, AUTH-038, AUTH-039, RTR-014, RTR-021, RTR-030, MSG-070 to MSG-079.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from openpcc_ref import badges
from openpcc_ref import compute_messages as cm
from openpcc_ref.badges import Badge
from openpcc_ref.binary_http import Content, Event, Request, RequestHead, ResponseDecoder, ResponseHead, field_value
from openpcc_ref.client.banks import MEDIA_TYPE, AuthBankClient, require_answer
from openpcc_ref.client.errors import ClientRejected, NoAnswer
from openpcc_ref.client.funds import Funds
from openpcc_ref.client.oblivious import ObliviousAnswer, ObliviousClient
from openpcc_ref.client.wallet import Payment
from openpcc_ref.credits import ATTESTATION, Credit, UnblindedCredit
from openpcc_ref.credits import credit as credit_format
from openpcc_ref.credits.payee import Payee
from openpcc_ref.errors import Rejected, require
from openpcc_ref.routing import (
    Candidate,
    Manifest,
    ManifestRequest,
    decode_manifests,
    encode_manifest_request,
    encode_request_info,
    tags,
)
from openpcc_ref.sources import RandomSource, system_random

ROUTER = b"confsec-router.invalid"
CANDIDATES = 3
"""Nodes that a request is sealed for, at most."""

Verify = Callable[[Manifest], bytes]
"""Returns the public key that a node's evidence proves. Raises :class:`Rejected` for a node not to be trusted."""


@dataclass(frozen=True, slots=True)
class TrustedNode:
    """A node whose evidence was verified."""

    node_id: str
    public_key: bytes


class Answer:
    """The answer of a node. ``refund`` is set once ``content`` has been read to its end; only then is it whole."""

    def __init__(self, head: ResponseHead, node_id: str, paid: Credit, pieces: AsyncIterator[bytes]) -> None:
        self.status = head.status
        self.fields = head.fields
        self.node_id = node_id
        self.paid = paid
        self.refund: UnblindedCredit | None = None
        self._pieces = pieces

    async def content(self) -> AsyncIterator[bytes]:
        """Yield the content as it arrives. Raises :class:`NoAnswer` for an answer that breaks off."""
        async for piece in self._pieces:
            yield piece

    async def read(self) -> bytes:
        """Return the rest of the content."""
        return b"".join([piece async for piece in self._pieces])


class Client:
    """Sends prompts. ``verify`` decides which nodes may see them; ``badge_public_key`` is the AuthBank's."""

    def __init__(
        self,
        authbank: AuthBankClient,
        oblivious: ObliviousClient,
        funds: Funds,
        payee: Payee,
        *,
        verify: Verify,
        badge_public_key: bytes,
        random: RandomSource = system_random,
    ) -> None:
        self._authbank = authbank
        self._oblivious = oblivious
        self._funds = funds
        self._payee = payee
        self._verify = verify
        self._badge_public_key = badge_public_key
        self._random = random

    async def find_nodes(self, model: str) -> tuple[Badge, tuple[TrustedNode, ...]]:
        """Return the account's badge and the trusted nodes for a model.

        Buys an attestation token, which pays for the router's list. Requirements: PAY-120, RTR-014, AUTH-038. Raises
        :class:`NoAnswer`, :class:`Refused`, and :class:`Rejected` for a badge that is forged or not for the model.
        """
        pending = self._payee.begin(ATTESTATION)
        signed = await self._authbank.attest(pending.request)
        token = pending.finalize(signed.blind_signature)
        badge = self._checked(signed.badge, model)
        wanted = ManifestRequest(frozenset({tags.pair(tags.MODEL, model)}), CANDIDATES)
        fields = ((b"content-type", MEDIA_TYPE), (b"x-credit", credit_format.encode_text(token).encode()))
        query = encode_manifest_request(wanted)
        answer, content = await self._oblivious.post(ROUTER, b"/compute-manifests", fields, query)
        manifests, _ = decode_manifests(require_answer("the router", answer.status, content))
        return badge, tuple(self._trusted(manifests))

    def _checked(self, badge: Badge | None, model: str) -> Badge:
        require(badge is not None, ClientRejected, "client.badge.absent", where="badge", expected="a badge")
        assert badge is not None
        badges.require_signature(badge, self._badge_public_key)
        badges.require_model(badge, model)
        return badge

    def _trusted(self, manifests: Sequence[Manifest]) -> list[TrustedNode]:
        trusted = []
        for manifest in manifests:
            try:
                trusted.append(TrustedNode(manifest.node_id, self._verify(manifest)))
            except Rejected:
                continue
        return trusted

    @asynccontextmanager
    async def ask(
        self, path: bytes, body: Mapping[str, Any], badge: Badge, nodes: Sequence[TrustedNode], *, amount: int
    ) -> AsyncIterator[Answer]:
        """Send one request, sealed once for all ``nodes``, and pay at most ``amount`` for it.

        An answer that was read to its end completes the payment with its refund; any other end takes the credit back.
        Raises :class:`NoAnswer`, :class:`Refused`, and :class:`Rejected` for a refund that is not one.
        """
        request = sealed_request(path, body, badge)
        media_type, message, keys = cm.seal_request(request, [node.public_key for node in nodes], random=self._random)
        candidates = [Candidate(node.node_id, key) for node, (key, _) in zip(nodes, keys, strict=True)]
        contexts = {node.node_id: context for node, (_, context) in zip(nodes, keys, strict=True)}
        payment = await self._funds.begin(amount)
        fields = (
            (b"content-type", media_type),
            (b"x-routing-info", encode_request_info(candidates).encode()),
            (b"x-credit", credit_format.encode_text(payment.credit).encode()),
        )
        try:
            async with self._oblivious.exchange(ROUTER, b"/", fields, message) as outer:
                yield await self._answer(outer, contexts, payment)
        finally:
            payment.cancel()
            self._funds.announce()

    async def _answer(
        self, outer: ObliviousAnswer, contexts: Mapping[str, cm.ReceiverContext], payment: Payment
    ) -> Answer:
        node_id = (field_value(outer.fields, b"x-node-id") or b"").decode("latin-1")
        if outer.status != 200 or node_id not in contexts:
            require_answer("the router", outer.status, await outer.read())
            raise NoAnswer("the answer names no node that was asked")
        events = _opened(outer, contexts[node_id])
        head = await _final_head(events)

        async def pieces() -> AsyncIterator[bytes]:
            async for event in events:
                if isinstance(event, Content):
                    yield event.data
            answer.refund = refund_of(outer)
            payment.succeed(answer.refund)

        answer = Answer(head, node_id, payment.credit, pieces())
        return answer


def sealed_request(path: bytes, body: Mapping[str, Any], badge: Badge) -> Request:
    """Return the request that only nodes see, with the badge. Requirements: AUTH-039, MSG-079."""
    content = json.dumps(body, ensure_ascii=False).encode()
    fields = (
        (b"content-length", str(len(content)).encode()),
        (b"content-type", b"application/json"),
        (badges.FIELD_NAME, badges.encode_text(badge).encode()),
    )
    return Request(RequestHead(b"POST", b"http", b"confsec.invalid", path, fields), content)


def refund_of(outer: ObliviousAnswer) -> UnblindedCredit | None:
    """Return the refund in the trailers of an answer. Requirements: PAY-126. Raises :class:`CreditRejected`."""
    text = field_value(outer.trailers, b"x-refund")
    return credit_format.decode_text(UnblindedCredit, text.decode("latin-1")) if text else None


async def _opened(outer: ObliviousAnswer, context: cm.ReceiverContext) -> AsyncIterator[Event]:
    """Yield the parts of a node's answer. Raises :class:`NoAnswer` for one that cannot be opened."""
    try:
        form = cm.response_form(field_value(outer.fields, b"content-type") or b"")
        opener, decoder = cm.ResponseOpener(context, form), ResponseDecoder()
        async for data in outer.content():
            for piece in opener.feed(data):
                for event in decoder.feed(piece):
                    yield event
        for piece in opener.finish():
            for event in decoder.feed(piece):
                yield event
        for event in decoder.finish():
            yield event
    except Rejected as rejected:
        raise NoAnswer(str(rejected)) from rejected


async def _final_head(events: AsyncIterator[Event]) -> ResponseHead:
    async for event in events:
        if isinstance(event, ResponseHead) and event.status >= 200:
            return event
    raise NoAnswer("the answer has no head")
