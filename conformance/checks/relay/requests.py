"""What is no encapsulated request may be refused, in a way that nobody takes for an answer."""

from __future__ import annotations

from conformance.peers.relay import REQUEST, RelayCase
from conformance.registry import check
from conformance.verdicts import expect
from openpcc_ref.http1 import Fields, IncomingResponse, exchange, field_value

_READING = (b"GET", b"HEAD", b"OPTIONS")


@check(
    id="relay.requests.methods",
    requirements=["OHT-058"],
    title="Other methods are refused with a 4xx or passed on",
)
async def methods(case: RelayCase) -> None:
    """Each other method is tried. A relay may refuse it with an unencapsulated 4xx (or 501), or leave it to the
    gateway; a method that only reads may also get an answer of the relay's own."""
    for method in (*_READING, b"PUT", b"DELETE", b"PATCH"):
        content = b"" if method in _READING else case.request()
        response = await _send(case, method, ((b"content-type", REQUEST),), content)
        own = method in _READING and 200 <= response.status <= 299
        _expect_refused_or_forwarded(case, response, method.decode(), own_answer=own)


@check(
    id="relay.requests.media-types",
    requirements=["OHT-058"],
    title="Other media types are refused with a 4xx or passed on",
)
async def media_types(case: RelayCase) -> None:
    """Content of other media types, or of none, is posted, among them those of responses. A relay may refuse it with
    an unencapsulated 4xx, or leave it to the gateway."""
    for media_type in (b"application/json", b"message/ohttp-res", b"message/ohttp-keys", b"text/plain", None):
        fields = ((b"content-type", media_type),) if media_type else ()
        response = await _send(case, b"POST", fields, case.request())
        _expect_refused_or_forwarded(case, response, f"content of type {(media_type or b'none').decode()}")


@check(
    id="relay.requests.empty-content",
    requirements=["OHT-058"],
    title="Empty content is refused with a 4xx or passed on",
)
async def empty_content(case: RelayCase) -> None:
    """A request without content is posted. A relay may refuse it with an unencapsulated 4xx, or leave it to the
    gateway."""
    response = await _send(case, b"POST", ((b"content-type", REQUEST),), b"")
    _expect_refused_or_forwarded(case, response, "a request without content")


async def _send(case: RelayCase, method: bytes, fields: Fields, content: bytes) -> IncomingResponse:
    case.gateway.reset()
    tap = case.taps.of("client")
    response, _ = await exchange(case.url, method, case.target, fields, content, tap=tap, step_s=case.step_s)
    return response


def _expect_refused_or_forwarded(
    case: RelayCase, response: IncomingResponse, what: str, *, own_answer: bool = False
) -> None:
    if case.gateway.requests:
        return
    media_type = (field_value(response.fields, b"content-type") or b"no media type").decode("latin-1")
    refused = 400 <= response.status <= 499 or response.status == 501
    expect(
        (refused or own_answer) and not media_type.startswith("message/ohttp"),
        expected=f"an unencapsulated 4xx for {what}, or the request at the gateway",
        observed=f"status {response.status} with {media_type}, and nothing at the gateway",
    )
