"""The examples of RFC 9292 and RFC 9458, and the messages of the deployed code's own tests, both ways."""

from __future__ import annotations

import pytest

from openpcc_ref.binary_http import (
    BinaryHttpRejected,
    Request,
    RequestHead,
    Response,
    ResponseHead,
    decode_request,
    decode_response,
    encode_request,
    encode_response,
    prepare_request,
    prepare_response,
    request_authority,
)

GET = Request(
    RequestHead(
        b"GET",
        b"https",
        b"",
        b"/hello.txt",
        (
            (b"user-agent", b"curl/7.16.3 libcurl/7.16.3 OpenSSL/0.9.7l zlib/1.2.3"),
            (b"host", b"www.example.com"),
            (b"accept-language", b"en, mi"),
        ),
    )
)
_GET_FIELDS = (
    "0a757365722d6167656e74346375726c2f372e31362e33206c69626375726c2f372e31362e33204f70656e53534c2f302e392e376c207a6c"
    "69622f312e322e3304686f73740f7777772e6578616d706c652e636f6d0f6163636570742d6c616e677561676506656e2c206d69"
)
_GET_CONTROL = "03474554056874747073000a2f68656c6c6f2e747874"
GET_KNOWN = bytes.fromhex("00" + _GET_CONTROL + "406c" + _GET_FIELDS + "0000")
GET_INDETERMINATE = bytes.fromhex("02" + _GET_CONTROL + _GET_FIELDS + "000000" + "00" * 10)

EARLY = Response(
    ResponseHead(
        200,
        (
            (b"date", b"Mon, 27 Jul 2009 12:28:53 GMT"),
            (b"server", b"Apache"),
            (b"last-modified", b"Wed, 22 Jul 2009 19:15:56 GMT"),
            (b"etag", b'"34aa387-d-1568eb00"'),
            (b"accept-ranges", b"bytes"),
            (b"content-length", b"51"),
            (b"vary", b"Accept-Encoding"),
            (b"content-type", b"text/plain"),
        ),
    ),
    b"Hello World! My content includes a trailing CRLF.\r\n",
    informational=(
        ResponseHead(102, ((b"running", b'"sleep 15"'),)),
        ResponseHead(
            103,
            (
                (b"link", b"</style.css>; rel=preload; as=style"),
                (b"link", b"</script.js>; rel=preload; as=script"),
            ),
        ),
    ),
)
EARLY_ENCODED = bytes.fromhex(
    "0340660772756e6e696e670a22736c65657020313522004067046c696e6b233c2f7374796c652e6373733e3b2072656c3d7072656c6f6164"
    "3b2061733d7374796c65046c696e6b243c2f7363726970742e6a733e3b2072656c3d7072656c6f61643b2061733d7363726970740040c804"
    "646174651d4d6f6e2c203237204a756c20323030392031323a32383a353320474d5406736572766572064170616368650d6c6173742d6d6f"
    "6469666965641d5765642c203232204a756c20323030392031393a31353a353620474d54046574616714223334616133"
    "38372d642d3135363865623030220d6163636570742d72616e6765730562797465730e636f6e74656e742d6c656e67746802353104766172"
    "790f4163636570742d456e636f64696e670c636f6e74656e742d747970650a746578742f706c61696e003348656c6c6f20576f726c642120"
    "4d7920636f6e74656e7420696e636c75646573206120747261696c696e672043524c462e0d0a0000"
)
TRAILER = Response(ResponseHead(200), b"This content contains CRLF.\r\n", ((b"trailer", b"text"),))
TRAILER_ENCODED = bytes.fromhex(
    "0140c8001d5468697320636f6e74656e7420636f6e7461696e732043524c462e0d0a0d07747261696c65720474657874"
)

TRAILERS = ((b"x-test-1", b"foo"), (b"x-test-1", b"bar"), (b"x-test-2", b"baz"))
_ANNOUNCED = "07747261696c657211582d546573742d312c582d546573742d32"
_TRAILERS = "08782d746573742d3103666f6f08782d746573742d310362617208782d746573742d320362617a"
_HELLO = "0c48656c6c6f20776f726c6421"
_POST = "04504f53540568747470730f7777772e6578616d706c652e636f6d0a2f68656c6c6f2e747874"
_TYPED = "0e636f6e74656e742d6c656e6774680231320c636f6e74656e742d747970650a746578742f706c61696e"


def test_known_length_request_both_ways() -> None:
    assert len(GET_KNOWN) == 135
    assert encode_request(GET) == GET_KNOWN
    assert decode_request(GET_KNOWN) == GET
    assert request_authority(GET.head) == b"www.example.com"


def test_known_length_request_without_the_lengths_of_empty_parts() -> None:
    assert decode_request(GET_KNOWN[:-1]) == decode_request(GET_KNOWN[:-2]) == GET


def test_indeterminate_length_request_both_ways() -> None:
    assert len(GET_INDETERMINATE) == 144
    assert encode_request(GET, indeterminate=True, pad_to=16) == GET_INDETERMINATE
    assert decode_request(GET_INDETERMINATE) == GET


def test_indeterminate_length_request_without_padding_and_ends_of_empty_parts() -> None:
    for removed in range(1, 13):
        assert decode_request(GET_INDETERMINATE[:-removed]) == GET
    with pytest.raises(BinaryHttpRejected) as refused:
        decode_request(GET_INDETERMINATE[:-13])
    assert refused.value.code == "binary-http.field-line.truncated"


def test_informational_responses_both_ways() -> None:
    assert encode_response(EARLY, indeterminate=True) == EARLY_ENCODED
    assert decode_response(EARLY_ENCODED) == EARLY


def test_known_length_response_with_trailer_both_ways() -> None:
    assert encode_response(TRAILER) == TRAILER_ENCODED
    assert decode_response(TRAILER_ENCODED) == TRAILER


def test_messages_of_rfc_9458_end_before_the_header_section() -> None:
    request = bytes.fromhex("00034745540568747470730b6578616d706c652e636f6d012f")
    assert decode_request(request) == Request(RequestHead(b"GET", b"https", b"example.com", b"/"))
    assert decode_response(bytes.fromhex("0140c8")) == Response(ResponseHead(200))


@pytest.mark.parametrize(
    ("indeterminate", "encoded"),
    [
        (False, "00" + _POST + "1a" + _ANNOUNCED + _HELLO + "27" + _TRAILERS),
        (True, "02" + _POST + _ANNOUNCED + "00" + _HELLO + "00" + _TRAILERS + "00"),
    ],
)
def test_deployed_request_with_trailers_both_ways(indeterminate: bool, encoded: str) -> None:
    head = RequestHead(b"POST", b"https", b"", b"/hello.txt", ((b"Host", b"www.example.com"),))
    names = [name for name, _ in TRAILERS]
    head = prepare_request(head, content_length=None, trailer_names=names)
    request = Request(head, b"Hello world!", TRAILERS)
    assert encode_request(request, indeterminate=indeterminate).hex() == encoded
    assert decode_request(bytes.fromhex(encoded)) == request


@pytest.mark.parametrize(
    ("indeterminate", "encoded"),
    [
        (False, "0140c92a" + _TYPED + _HELLO + "00"),
        (True, "0340c9" + _TYPED + "00" + _HELLO + "0000"),
    ],
)
def test_deployed_response_both_ways(indeterminate: bool, encoded: str) -> None:
    head = prepare_response(ResponseHead(201, ((b"Content-Type", b"text/plain"),)), content_length=12)
    response = Response(head, b"Hello world!")
    assert encode_response(response, indeterminate=indeterminate).hex() == encoded
    assert decode_response(bytes.fromhex(encoded)) == response


@pytest.mark.parametrize(
    ("indeterminate", "encoded"),
    [
        (False, "0140c91a" + _ANNOUNCED + _HELLO + "27" + _TRAILERS),
        (True, "0340c9" + _ANNOUNCED + "00" + _HELLO + "00" + _TRAILERS + "00"),
    ],
)
def test_deployed_response_with_trailers_both_ways(indeterminate: bool, encoded: str) -> None:
    head = prepare_response(ResponseHead(201), content_length=None, trailer_names=[name for name, _ in TRAILERS])
    response = Response(head, b"Hello world!", TRAILERS)
    assert encode_response(response, indeterminate=indeterminate).hex() == encoded
    assert decode_response(bytes.fromhex(encoded)) == response
