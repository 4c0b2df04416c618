"""Gateways that are lenient with encapsulated requests, or say more than they should about why they are not."""

from __future__ import annotations

from conformance.faults import fault
from conformance.faults.gateway.base import LenientGateway
from conformance.peers.envelope import zero_shared_secret
from openpcc_ref.errors import Rejected
from openpcc_ref.hpke import AeadId, KdfId, KemId, RecipientContext, Suite, key_schedule
from openpcc_ref.http1 import IncomingRequest, Responder
from openpcc_ref.oblivious_http import Form, GatewayKey, RequestHeader, RequestOpener
from openpcc_ref.services.gateway import Gateway
from openpcc_ref.services.inner_answer import InnerAnswer, Problem
from openpcc_ref.services.sealed_request import SealedRequest


@fault(
    id="gateway.sealing.short-is-500",
    breaks=["OHT-063"],
    trips=["gateway.encapsulation.empty", "gateway.encapsulation.header-truncated"],
    also=["gateway.errors.blank-problem", "gateway.robustness.garbage"],
)
class ShortIs500(Gateway):
    """Fails where the header is cut."""

    def problem_of(self, rejected: Rejected) -> tuple[int, Problem]:
        status, problem = super().problem_of(rejected)
        return (500 if rejected.code == "oblivious-http.header.truncated" else status), problem


@fault(
    id="gateway.sealing.cut-enc-is-500",
    breaks=["OHT-062"],
    trips=["gateway.encapsulation.enc-truncated"],
    also=["gateway.errors.key-problem", "gateway.robustness.garbage"],
)
class CutEncIs500(Gateway):
    """Fails where the encapsulated key is cut."""

    def problem_of(self, rejected: Rejected) -> tuple[int, Problem]:
        status, problem = super().problem_of(rejected)
        return (500 if rejected.code == "oblivious-http.request.truncated" else status), problem


@fault(
    id="gateway.sealing.unchunked-not-verified",
    breaks=["OHT-062"],
    trips=[
        "gateway.encapsulation.ciphertext-truncated",
        "gateway.encapsulation.ciphertext-altered",
        "gateway.encapsulation.trailing-byte",
        "gateway.encapsulation.enc-altered",
        "gateway.encapsulation.info",
        "gateway.encapsulation.label",
        "gateway.encapsulation.other-form",
        "gateway.encapsulation.aad",
        "gateway.encapsulation.bits",
        "gateway.robustness.junk-content",
    ],
    also=["gateway.errors.key-problem", "gateway.keys.identifier-altered"],
)
class UnchunkedNotVerified(LenientGateway):
    """Takes a ciphertext that does not open for an empty message, and answers it inside an encapsulated response."""

    without = ("oblivious-http.request.open",)


@fault(
    id="gateway.sealing.chunks-not-verified",
    breaks=["OHT-062", "OHT-087"],
    trips=[
        "gateway.chunks.first-altered",
        "gateway.chunks.short-length",
        "gateway.chunks.non-final-aad",
        "gateway.chunks.final-aad",
        "gateway.chunks.after-final",
    ],
    also=[
        "gateway.completion.no-content",
        "gateway.completion.stated-length",
        "gateway.encapsulation.enc-altered",
        "gateway.encapsulation.info",
        "gateway.encapsulation.label",
        "gateway.encapsulation.other-form",
        "gateway.keys.identifier-altered",
        "gateway.robustness.junk-content",
        "gateway.chunks.later-altered",
        "gateway.chunks.truncated",
    ],
)
class ChunksNotVerified(LenientGateway):
    """Takes chunks that do not open for empty ones."""

    without = ("chunked-stream.chunk.open", "chunked-stream.chunk.short")


class _ZeroOpener(RequestOpener):
    """Takes an all-zero X25519 key for a usable one, as a library does that does not look at the result."""

    def decapsulate(self, header: RequestHeader, key: GatewayKey, enc: bytes) -> RecipientContext:
        if header.kem_id != KemId.DHKEM_X25519 or any(enc):
            return super().decapsulate(header, key, enc)
        suite = Suite(KemId(header.kem_id), KdfId(header.kdf_id), AeadId(header.aead_id))
        secret = zero_shared_secret(key.config.public_key)
        return RecipientContext(suite, *key_schedule(suite, secret, header.info(self._form)))


@fault(id="gateway.sealing.zero-accepted", breaks=["OHT-062"], trips=["gateway.encapsulation.enc-zero"])
class ZeroAccepted(Gateway):
    """Opens requests whose shared secret everyone knows."""

    def opener(self, form: Form) -> RequestOpener:
        return _ZeroOpener(self.accepted_keys(), form, self.clock(), self.max_chunk)


@fault(
    id="gateway.sealing.any-media-type",
    breaks=["OHT-063"],
    trips=["gateway.encapsulation.media-type"],
    also=["gateway.errors.blank-problem"],
)
class AnyMediaType(Gateway):
    """Takes everything for an unchunked request that is not announced as chunked."""

    def form_of(self, request: IncomingRequest) -> Form | None:
        return super().form_of(request) or Form.UNCHUNKED


@fault(id="gateway.sealing.unbounded", breaks=["OHT-079"], trips=["gateway.encapsulation.unbounded"])
class Unbounded(LenientGateway):
    """Holds unchunked content of any size."""

    without = ("oblivious-http.request.long",)


@fault(id="gateway.sealing.vague-problem", breaks=["OHT-081"], trips=["gateway.errors.key-problem"])
class VagueProblem(Gateway):
    """Answers all refusals with 400 and about:blank, so that clients do not fetch keys again."""

    def problem_of(self, rejected: Rejected) -> tuple[int, Problem]:
        return 400, Problem.BLANK


@fault(id="gateway.sealing.key-problem-for-all", breaks=["OHT-082"], trips=["gateway.errors.blank-problem"])
class KeyProblemForAll(Gateway):
    """Blames the key for everything."""

    async def refuse(self, responder: Responder, status: int, problem: Problem) -> None:
        await super().refuse(responder, status, Problem.KEY)


class _AnswersInClear(Gateway):
    """Answers some opened requests outside any encapsulation."""

    in_clear: tuple[int, ...]

    async def answer_inside(self, sealed: SealedRequest, responder: Responder, answer: InnerAnswer) -> None:
        if answer.status in self.in_clear:
            await self.refuse(responder, answer.status, Problem.BLANK)
        else:
            await super().answer_inside(sealed, responder, answer)


@fault(
    id="gateway.sealing.bad-request-in-clear",
    breaks=["OHT-064"],
    trips=["gateway.errors.host-encapsulated", "gateway.errors.message-encapsulated"],
)
class BadRequestInClear(_AnswersInClear):
    """Tells the relay about forbidden hosts and undecodable messages, as deployed gateways do."""

    in_clear = (400,)


@fault(
    id="gateway.sealing.not-found-in-clear",
    breaks=["OHT-064", "OHT-066"],
    trips=["gateway.errors.path-encapsulated", "gateway.allow-list.path", "gateway.allow-list.other-service"],
    also=["gateway.messages.long-parts", "gateway.allow-list.method"],
)
class NotFoundInClear(_AnswersInClear):
    """Tells the relay about forbidden paths and methods."""

    in_clear = (404, 405)


@fault(
    id="gateway.sealing.failure-in-clear",
    breaks=["OHT-064", "OHT-071"],
    trips=["gateway.failures.unreachable", "gateway.failures.closed", "gateway.failures.not-http"],
)
class FailureInClear(_AnswersInClear):
    """Tells the relay that bank or router are down."""

    in_clear = (502,)
