"""The two fields that say what the content is reach the other side."""

from __future__ import annotations

from conformance.peers.relay import (
    CHUNKED_REQUEST,
    CHUNKED_RESPONSE,
    REQUEST,
    RESPONSE,
    RelayCase,
    answers,
    answers_in_chunks,
    sized,
)
from conformance.registry import check
from conformance.verdicts import expect
from openpcc_ref.http1 import Fields, field_values


@check(
    id="relay.fields.request-media-type",
    requirements=["OHT-054"],
    title="The media type of the request reaches the gateway",
)
async def request_media_type(case: RelayCase) -> None:
    """One request of each form is posted. The gateway, which tells the forms apart by the media type alone, must
    receive it exactly once and exactly as it was."""
    whole, _ = await case.post(case.request(), media_type=REQUEST)
    _expect_field(case.forwarded(whole, 1).fields, b"content-type", REQUEST, "at the gateway")
    in_chunks, _ = await case.post_in_chunks()
    _expect_field(case.forwarded(in_chunks, 2).fields, b"content-type", CHUNKED_REQUEST, "at the gateway")


@check(
    id="relay.fields.response-media-type",
    requirements=["OHT-054"],
    title="The media type of the response reaches the client",
)
async def response_media_type(case: RelayCase) -> None:
    """The gateway answers once in each form, also when that is not the form of the request. The client must receive
    the media type exactly once and exactly as it was."""
    content = case.response()
    case.gateway.answer = answers(200, sized(RESPONSE, content), content)
    response, _ = await case.post(case.request())
    _expect_field(response.fields, b"content-type", RESPONSE, "at the client")
    case.gateway.answer = answers_in_chunks(CHUNKED_RESPONSE, case.response_pieces())
    response, _ = await case.post(case.request())
    _expect_field(response.fields, b"content-type", CHUNKED_RESPONSE, "at the client")


@check(
    id="relay.fields.request-incremental",
    requirements=["OHT-054"],
    title="Incremental reaches the gateway",
)
async def request_incremental(case: RelayCase) -> None:
    """A chunked request carries `Incremental: ?1`, which tells every hop to pass pieces on. The gateway must see it,
    and must not see it where the client did not send it."""
    in_chunks, _ = await case.post_in_chunks()
    _expect_field(case.forwarded(in_chunks, 1).fields, b"incremental", b"?1", "at the gateway")
    whole, _ = await case.post(case.request())
    seen = field_values(case.forwarded(whole, 2).fields, b"incremental")
    expect(not seen, expected="no Incremental where the client sent none", observed=f"{list(seen)}")


@check(
    id="relay.fields.response-incremental",
    requirements=["OHT-054"],
    title="Incremental reaches the client",
)
async def response_incremental(case: RelayCase) -> None:
    """A chunked response carries `Incremental: ?1`. The client, or a hop before it, must see it."""
    case.gateway.answer = answers_in_chunks(CHUNKED_RESPONSE, case.response_pieces())
    response, _ = await case.post(case.request())
    _expect_field(response.fields, b"incremental", b"?1", "at the client")


def _expect_field(fields: Fields, name: bytes, value: bytes, where: str) -> None:
    seen = field_values(fields, name)
    shown = ", ".join(line.decode("latin-1") for line in seen) or "none"
    label = name.decode()
    expect(seen == (value,), expected=f"{label}: {value.decode()} {where}, once", observed=f"{label}: {shown}")
