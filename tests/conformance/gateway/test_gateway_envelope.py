"""Envelopes are honest unless they are told not to be, and outer responses are judged for what they are."""

from __future__ import annotations

import os
from datetime import UTC, datetime

import pytest

from conformance.peers.envelope import (
    Envelope,
    Outer,
    expect_encapsulated,
    expect_refused,
    open_outer,
    raw_request,
    zero_shared_secret,
)
from conformance.verdicts import Violation
from openpcc_ref.binary_http import Response, ResponseHead, decode_request, encode_response
from openpcc_ref.hpke import KdfId, KemId, kdf
from openpcc_ref.oblivious_http import (
    Form,
    ObliviousHttpRejected,
    RequestOpener,
    ResponseSealer,
    derive_gateway_key,
    open_request,
    seal_response,
)

KEY = derive_gateway_key(1, KemId.DHKEM_X25519, bytes(range(32)))
NOW = datetime(2026, 1, 1, tzinfo=UTC)
OK = encode_response(Response(ResponseHead(200), b"content"))
UNCHUNKED, CHUNKED = Form.UNCHUNKED, Form.CHUNKED


def envelope(form: Form) -> Envelope:
    return Envelope(KEY.config, form, random=os.urandom)


def outer(content: bytes, form: Form = UNCHUNKED, *, status: int = 200, complete: bool = True) -> Outer:
    return Outer(status, ((b"content-type", form.response_media_type),), content, complete)


def test_an_unchunked_envelope_opens() -> None:
    assert open_request([KEY], envelope(UNCHUNKED).whole(b"plaintext"), NOW)[0] == b"plaintext"


def test_a_chunked_envelope_opens() -> None:
    opener = RequestOpener([KEY], CHUNKED, NOW)
    pieces = envelope(CHUNKED).chunked(bytes(1000))
    opened = [plaintext for piece in pieces for plaintext in opener.feed(piece)]
    assert [len(plaintext) for plaintext in [*opened, *opener.finish()]] == [532, 468]


def test_another_info_does_not_open() -> None:
    sealed = Envelope(KEY.config, UNCHUNKED, random=os.urandom, info=b"message/bhttp request").whole(b"plaintext")
    with pytest.raises(ObliviousHttpRejected):
        open_request([KEY], sealed, NOW)


def test_a_raw_request_is_what_it_says() -> None:
    request = decode_request(raw_request(b"POST", b"host", b"/path", b"content", ((b"x", b"y"),), ((b"a", b"b"),)))
    assert (request.head.method, request.head.authority, request.head.path) == (b"POST", b"host", b"/path")
    assert (request.content, request.head.fields, request.trailers) == (b"content", ((b"x", b"y"),), ((b"a", b"b"),))


def test_the_secret_of_a_zero_key_is_that_of_a_zero_result() -> None:
    public_key = KEY.config.public_key
    prk = kdf.labeled_extract(KdfId.HKDF_SHA256, b"KEM\x00\x20", b"", b"eae_prk", bytes(32))
    secret = kdf.labeled_expand(KdfId.HKDF_SHA256, b"KEM\x00\x20", prk, b"shared_secret", bytes(32) + public_key, 32)
    assert zero_shared_secret(public_key) == secret


def test_a_response_opens_in_either_form() -> None:
    context = envelope(UNCHUNKED).context
    assert open_outer(outer(seal_response(context, OK, random=os.urandom)), context).response.content == b"content"
    sealer = ResponseSealer(context, CHUNKED, random=os.urandom)
    opened = open_outer(outer(sealer.header() + sealer.seal(OK) + sealer.finish(), CHUNKED), context)
    assert (opened.form, opened.chunks, opened.response.content) == (CHUNKED, (OK,), b"content")


def test_a_response_that_is_cut_off_is_a_violation() -> None:
    context = envelope(UNCHUNKED).context
    sealer = ResponseSealer(context, CHUNKED, random=os.urandom)
    start = sealer.header() + sealer.seal(OK)
    with pytest.raises(Violation, match="final"):
        open_outer(outer(start, CHUNKED), context)
    with pytest.raises(Violation, match="cut off"):
        open_outer(outer(start, CHUNKED, complete=False), context)


@pytest.mark.parametrize(
    "wrong",
    [
        Outer(200, ((b"content-type", b"text/plain"),), b"pong", True),
        Outer(200, (), b"", True),
        outer(b"", status=500),
        outer(bytes(100)),
        outer(bytes(10)),
    ],
)
def test_what_is_no_encapsulated_response_is_a_violation(wrong: Outer) -> None:
    with pytest.raises(Violation):
        open_outer(wrong, envelope(UNCHUNKED).context)


@pytest.mark.parametrize(
    ("content", "deployed"),
    [(b'{"type":"about:blank","title":"See HTTP Status Code"}', "OHT-D05"), (b'{"type":"other"}', None)],
)
def test_only_the_deployed_answer_is_excused(content: bytes, deployed: str | None) -> None:
    clear = Outer(400, ((b"content-type", b"application/problem+json"),), content, True)
    with pytest.raises(Violation) as raised:
        expect_encapsulated(clear, deployed="OHT-D05")
    assert raised.value.deployed == deployed


@pytest.mark.parametrize("status", [400, 404, 422])
def test_a_clear_4xx_is_a_refusal(status: int) -> None:
    expect_refused(Outer(status, (), b"", True), "something")


@pytest.mark.parametrize(
    "accepted",
    [Outer(200, (), b"", True), Outer(500, (), b"", True), outer(b"", status=400), Outer(302, (), b"", True)],
)
def test_nothing_else_is_a_refusal(accepted: Outer) -> None:
    with pytest.raises(Violation, match="unencapsulated 4xx"):
        expect_refused(accepted, "something")
