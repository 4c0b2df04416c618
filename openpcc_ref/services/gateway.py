"""The gateway: opens encapsulated requests, lets the allowed ones through, and seals the responses.

Run it as ``python -m openpcc_ref.services.gateway`` with the configuration ``{"bank_url": …, "router_url": …, "keys":
[{"id", "kem_id", "seed", "active_from", "active_until"}]}``. It follows the texts (RFC 9458, chunked OHTTP) where
deployed gateways differ. Requirements: OHT-014, OHT-030 to OHT-038, OHT-044, OHT-048, OHT-062 to OHT-075, OHT-079.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Self

import anyio

from openpcc_ref.binary_http import (
    Content,
    RequestDecoder,
    RequestHead,
    ResponseEncoder,
    ResponseHead,
    Trailers,
    may_be_trailer,
    prepare_response,
    request_authority,
    without_connection_fields,
)
from openpcc_ref.chunked_stream import MAX_CHUNK
from openpcc_ref.errors import Rejected
from openpcc_ref.http1 import (
    Failure,
    Fields,
    Http1Error,
    IncomingRequest,
    IncomingResponse,
    Responder,
    field_value,
    field_values,
)
from openpcc_ref.oblivious_http import (
    Form,
    GatewayKey,
    RequestOpener,
    ResponseContext,
    ResponseSealer,
    encode_key_configs,
    encode_rotation_periods,
)
from openpcc_ref.services.allow_list import BANK, ROUTER, ROUTES
from openpcc_ref.services.config import Settings
from openpcc_ref.services.forwarding import Upstream, UpstreamFailed, both_ways, open_upstream, path_of
from openpcc_ref.services.gateway_keys import read_key
from openpcc_ref.services.inner_answer import PROBLEM_MEDIA_TYPE, InnerAnswer, Problem, bad_request
from openpcc_ref.services.launch import Service, main
from openpcc_ref.services.sealed_request import InnerRequest, SealedRequest
from openpcc_ref.services.sealed_response import PAD_TO, SealedResponse
from openpcc_ref.sources import Clock, RandomSource, system_clock, system_random

MAX_HELD = 2**20
"""Content bytes of a response that is held back to be sealed whole; a longer one goes out in chunks."""

_FORWARDING_FIELDS = (b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto")
_REBUILT_FIELDS = frozenset({b"host", b"content-length", *_FORWARDING_FIELDS})


class Gateway(Service):
    """A gateway resource for one bank and one router. ``keys`` in order of preference; times in seconds."""

    chunk_length = PAD_TO
    pad_to = PAD_TO
    max_chunk = MAX_CHUNK

    def __init__(
        self,
        keys: Sequence[GatewayKey],
        *,
        bank_url: str,
        router_url: str,
        clock: Clock = system_clock,
        random: RandomSource = system_random,
        step_s: float = 60.0,
        exchange_s: float = 600.0,
    ) -> None:
        self.keys = tuple(keys)
        self.upstreams = {BANK: bank_url, ROUTER: router_url}
        self.clock = clock
        self.random = random
        self.step_s = step_s
        self.exchange_s = exchange_s

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        settings = Settings(config)
        keys = [read_key(key) for key in settings.objects("keys")]
        gateway = cls(keys, bank_url=settings.url("bank_url"), router_url=settings.url("router_url"))
        settings.end()
        return gateway

    def key_configs(self) -> bytes:
        """Return the list of key configurations to publish. Requirements: OHT-006, OHT-007."""
        return encode_key_configs(key.config for key in self.keys)

    def rotation_periods(self) -> bytes:
        """Return the rotation metadata to publish beside it. Requirements: OHT-010."""
        return encode_rotation_periods(key.period for key in self.keys if key.period is not None)

    # -- the outer exchange ------------------------------------------------------------------------------------------

    async def handle(self, request: IncomingRequest, responder: Responder) -> None:
        if request.method != b"POST":
            await self.answer_unencapsulated(request, responder)
            return
        form = self.form_of(request)
        if form is None:
            await self.refuse(responder, 400, Problem.BLANK)
            return
        with anyio.move_on_after(self.exchange_s) as bound:
            await self.exchange(self.sealed_request(request, form), responder)
        if bound.cancelled_caught:
            await self.break_off(responder)

    async def answer_unencapsulated(self, request: IncomingRequest, responder: Responder) -> None:
        """Answer what is no encapsulated request. Requirements: OHT-080."""
        if request.target == b"/_health" and request.method in (b"GET", b"HEAD"):
            await _send(responder, 200, b"application/json", b'{"status":"OK"}')
            return
        await _send(responder, 405, b"text/plain; charset=utf-8", b"Method Not Allowed\n", ((b"allow", b"POST"),))

    def form_of(self, request: IncomingRequest) -> Form | None:
        """Return the form that the outer media type names, exactly. Requirements: OHT-063."""
        media_types = field_values(request.fields, b"content-type")
        return next((form for form in Form if media_types == (form.request_media_type,)), None)

    def sealed_request(self, request: IncomingRequest, form: Form) -> SealedRequest:
        """Return the reader of an encapsulated request."""
        return SealedRequest(request, form, self.opener(form), RequestDecoder())

    def opener(self, form: Form) -> RequestOpener:
        """Return what opens a request now. Requirements: OHT-014, OHT-030, OHT-036."""
        return RequestOpener(self.accepted_keys(), form, self.clock(), self.max_chunk)

    def accepted_keys(self) -> Sequence[GatewayKey]:
        """Return the keys to look in; each is accepted in its period only. Requirements: OHT-014."""
        return self.keys

    async def exchange(self, sealed: SealedRequest, responder: Responder) -> None:
        """Open a request and answer it: in clear until it has been opened, afterwards never. Requirements: OHT-064."""
        try:
            inner = await sealed.inner()
        except Rejected as rejected:
            if sealed.opener.opened:
                await self.answer_inside(sealed, responder, self.invalid_message(rejected))
            else:
                await self.refuse(responder, *self.problem_of(rejected))
            return
        try:
            await self.forward(sealed, inner, responder)
        except InnerAnswer as answer:
            if responder.started:
                await self.break_off(responder)
            else:
                await self.answer_inside(sealed, responder, answer)

    def problem_of(self, rejected: Rejected) -> tuple[int, Problem]:
        """Return how a request is refused that could not be opened; never more exactly than this.

        Requirements: OHT-062, OHT-063, OHT-079.
        """
        if rejected.code == "oblivious-http.request.long":
            return 413, Problem.BLANK
        is_short = rejected.code == "oblivious-http.header.truncated"
        return 400, Problem.BLANK if is_short else Problem.KEY

    def invalid_message(self, rejected: Rejected) -> InnerAnswer:
        """Return the answer to an opened request that is not what it should be. Requirements: OHT-064."""
        return bad_request()

    async def refuse(self, responder: Responder, status: int, problem: Problem) -> None:
        """Answer in clear with a problem document."""
        await _send(responder, status, PROBLEM_MEDIA_TYPE, problem.document())

    async def break_off(self, responder: Responder) -> None:
        """End the outer response without its final chunk, visibly. Requirements: OHT-072."""
        await responder.abort()

    # -- what goes where ---------------------------------------------------------------------------------------------

    def admit(self, head: RequestHead) -> str:
        """Return the upstream of an acceptable request. Raises :class:`InnerAnswer`.

        Requirements: OHT-065 to OHT-067.
        """
        authority = request_authority(head)
        upstream = self.upstream_of(authority)
        if upstream is None:
            raise bad_request()
        self.require_no_expectation(head)
        self.require_route(authority, head)
        return upstream

    def upstream_of(self, authority: bytes) -> str | None:
        """Return the URL of the service that an inner host stands for. Requirements: OHT-065, OHT-067."""
        return self.upstreams.get(authority)

    def require_no_expectation(self, head: RequestHead) -> None:
        """Refuse what would need an answer before the content. Requirements: OHT-048."""
        if field_value(head.fields, b"expect") is not None:
            raise InnerAnswer(417, b"Expectation Failed\n")

    def require_route(self, authority: bytes, head: RequestHead) -> None:
        """Refuse other paths and methods. Requirements: OHT-066."""
        methods = ROUTES[authority].get(head.path.partition(b"?")[0])
        if methods is None:
            raise InnerAnswer(404, b"404 page not found\n")
        if head.method not in methods:
            allow = b", ".join(sorted(methods))
            raise InnerAnswer(405, b"Method Not Allowed\n", ((b"allow", allow),))

    def upstream_fields(self, head: RequestHead, outer: IncomingRequest) -> Fields:
        """Return the fields of the upstream request, without host and framing. Requirements: OHT-067, OHT-068."""
        return tuple(line for line in without_connection_fields(head.fields) if line[0] not in _REBUILT_FIELDS)

    def upstream_target(self, url: str, head: RequestHead) -> bytes:
        """Return the request target at the upstream: its own path with the inner one appended."""
        return path_of(url).rstrip(b"/") + head.path

    # -- forwarding --------------------------------------------------------------------------------------------------

    async def forward(self, sealed: SealedRequest, inner: InnerRequest, responder: Responder) -> None:
        """Do the exchange with the upstream, both ways at once.

        Raises :class:`InnerAnswer` for what goes wrong; when the response has started it can only be broken off.
        """
        url = self.admit(inner.head)
        try:
            async with open_upstream(url, self.step_s) as upstream:
                await self.send_upstream_head(upstream, url, sealed, inner)
                await both_ways(
                    partial(self.forward_request, inner, upstream),
                    partial(self.forward_response, sealed, inner, upstream, responder),
                )
        except UpstreamFailed as failure:
            raise self.upstream_failure(failure) from failure
        except Rejected as rejected:
            raise self.invalid_message(rejected) from rejected

    async def send_upstream_head(
        self, upstream: Upstream, url: str, sealed: SealedRequest, inner: InnerRequest
    ) -> None:
        """Send the head of the upstream request."""
        head = inner.head
        fields = (*self.upstream_fields(head, sealed.outer), *inner.framing())
        try:
            await upstream.send_head(head.method, self.upstream_target(url, head), fields)
        except ValueError as error:  # Binary HTTP carries some bytes that HTTP/1.1 does not
            raise bad_request() from error

    async def forward_request(self, inner: InnerRequest, upstream: Upstream) -> None:
        """Pass content and trailers on; a request that turns out invalid is never completed. Requirements: OHT-073."""
        trailers: Fields = ()
        try:
            async for event in inner.events:
                if isinstance(event, Content):
                    await upstream.send(event.data)
                elif isinstance(event, Trailers):
                    trailers = self.request_trailers(event.fields)
        except (Rejected, Http1Error):
            await self.abandon_request(upstream)
            raise
        try:
            await upstream.finish(trailers)
        except ValueError as error:
            await self.abandon_request(upstream)
            raise bad_request() from error

    def request_trailers(self, trailers: Fields) -> Fields:
        """Return the trailers that the upstream gets."""
        return tuple(line for line in trailers if may_be_trailer(line[0]))

    async def abandon_request(self, upstream: Upstream) -> None:
        """Make sure that the upstream never takes the request for whole. Requirements: OHT-035, OHT-073."""
        await upstream.abort()

    def upstream_failure(self, failure: UpstreamFailed) -> InnerAnswer:
        """Return the answer for an upstream that gave none. Requirements: OHT-071."""
        if failure.error.failure is Failure.TIMEOUT:
            return InnerAnswer(504, b"Gateway Timeout\n")
        return InnerAnswer(502, b"Proxy error\n")

    # -- the response ------------------------------------------------------------------------------------------------

    async def forward_response(
        self, sealed: SealedRequest, inner: InnerRequest, upstream: Upstream, responder: Responder
    ) -> None:
        """Seal the upstream's response as it comes. Requirements: OHT-044, OHT-070, OHT-072."""
        response = await upstream.response()
        announced = self.announced_trailers(response)
        length = _content_length(response, inner.head)
        form = self.response_form(sealed.form, length, announced)
        try:
            encoder = self.response_encoder(response, form, length, announced)
        except ValueError as error:  # HTTP/1.1 carries some statuses that Binary HTTP does not
            raise InnerAnswer(502, b"Proxy error\n") from error
        out = self.sealed_response(sealed, responder, form, encoder)
        await out.start()
        async for chunk in upstream.content(response):
            await out.content(chunk.data)
        await out.finish(self.response_trailers(response, announced))

    def response_form(self, request_form: Form, length: int | None, announced: Sequence[bytes]) -> Form:
        """Return the form of a response: chunked to a chunked request, or where it must be. Requirements: OHT-044."""
        whole = length is not None and length <= MAX_HELD and not announced
        return Form.UNCHUNKED if whole and request_form is Form.UNCHUNKED else Form.CHUNKED

    def announced_trailers(self, response: IncomingResponse) -> Sequence[bytes]:
        """Return the names in the upstream's trailer fields. Requirements: OHT-070."""
        values = field_values(response.fields, b"trailer")
        names = {name.strip().lower() for value in values for name in value.split(b",")}
        return sorted(name for name in names if name and may_be_trailer(name))

    def response_fields(self, response: IncomingResponse) -> Fields:
        """Return the upstream's fields that the client gets; connection fields are dropped later."""
        return response.fields

    def response_encoder(
        self, response: IncomingResponse, form: Form, length: int | None, announced: Sequence[bytes]
    ) -> ResponseEncoder:
        """Return the encoder of a response. Raises ValueError for what Binary HTTP does not carry."""
        declared = field_value(response.fields, b"content-length")
        head = prepare_response(
            ResponseHead(response.status, self.response_fields(response)),
            content_length=int(declared) if declared is not None and not announced else None,
            trailer_names=announced,
        )
        early = [ResponseHead(status, without_connection_fields(fields)) for status, fields in response.informational]
        content_length = length if form is Form.UNCHUNKED else None
        return ResponseEncoder(head, content_length=content_length, pad_to=self.pad_to, informational=early)

    def response_trailers(self, response: IncomingResponse, announced: Sequence[bytes]) -> Fields:
        """Return one line for every announced name, empty where the upstream sent none. Requirements: OHT-070.

        Names that were not announced are dropped: clients look only for those that were.
        """
        return tuple((name, value) for name in announced for value in field_values(response.trailers, name) or (b"",))

    def response_sealer(self, context: ResponseContext, form: Form) -> ResponseSealer:
        """Return what seals a response, under a fresh nonce. Requirements: OHT-023 to OHT-025, OHT-075."""
        return ResponseSealer(context, form, random=self.random)

    def outer_fields(self, form: Form) -> Fields:
        """Return the outer fields besides the framing. Requirements: OHT-040, OHT-069."""
        incremental = ((b"incremental", b"?1"),) if form is Form.CHUNKED else ()
        return ((b"content-type", form.response_media_type), *incremental)

    def sealed_response(
        self, sealed: SealedRequest, responder: Responder, form: Form, encoder: ResponseEncoder
    ) -> SealedResponse:
        """Return the writer of an encapsulated response."""
        assert sealed.opener.context is not None
        sealer = self.response_sealer(sealed.opener.context, form)
        fields = self.outer_fields(form)
        return SealedResponse(responder, sealer, form, encoder, fields, chunk_length=self.chunk_length)

    async def answer_inside(self, sealed: SealedRequest, responder: Responder, answer: InnerAnswer) -> None:
        """Send an answer of the gateway's own, sealed. Requirements: OHT-064."""
        length = len(answer.text)
        fields = (*answer.fields, (b"content-type", b"text/plain; charset=utf-8"))
        head = prepare_response(ResponseHead(answer.status, fields), content_length=length)
        form = self.response_form(sealed.form, length, ())
        encoder = ResponseEncoder(head, content_length=length if form is Form.UNCHUNKED else None, pad_to=self.pad_to)
        out = self.sealed_response(sealed, responder, form, encoder)
        await out.start()
        await out.content(answer.text)
        await out.finish()


def _content_length(response: IncomingResponse, head: RequestHead) -> int | None:
    """Return how much content follows, where that is known: none to HEAD, whatever the fields say."""
    if head.method == b"HEAD" or response.status in (204, 304):
        return 0
    declared = field_value(response.fields, b"content-length")
    chunked = field_value(response.fields, b"transfer-encoding") is not None
    return int(declared) if declared is not None and not chunked else None


async def _send(responder: Responder, status: int, media_type: bytes, content: bytes, fields: Fields = ()) -> None:
    length = (b"content-length", str(len(content)).encode())
    await responder.send_head(status, (*fields, (b"content-type", media_type), length))
    await responder.send(content)
    await responder.finish()


if __name__ == "__main__":
    main(Gateway, sys.argv[1:])
