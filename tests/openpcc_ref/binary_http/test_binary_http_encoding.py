"""Encoders: what they write, what they refuse, and how HTTP messages are prepared for them."""

from __future__ import annotations

import pytest
from binary_http_messages import requests, responses
from hypothesis import given
from hypothesis import strategies as st

from openpcc_ref.binary_http import (
    Fields,
    Request,
    RequestEncoder,
    RequestHead,
    Response,
    ResponseEncoder,
    ResponseHead,
    Unencodable,
    content_pieces,
    decode_request,
    encode_request,
    encode_response,
    field_value,
    may_be_trailer,
    prepare_request,
    prepare_response,
    without_connection_fields,
)
from openpcc_ref.varint import encode_varint

HEAD = RequestHead(b"POST", b"https", b"example.com", b"/")


def refusal(request: Request) -> str:
    with pytest.raises(Unencodable) as refused:
        encode_request(request)
    return refused.value.code.removeprefix("binary-http.")


@given(request=requests, indeterminate=st.booleans(), pad_to=st.integers(0, 600))
def test_padding_is_the_least_that_reaches_a_multiple(request: Request, indeterminate: bool, pad_to: int) -> None:
    bare = encode_request(request, indeterminate=indeterminate)
    padded = encode_request(request, indeterminate=indeterminate, pad_to=pad_to)
    assert padded[: len(bare)] == bare
    assert not padded[len(bare) :].strip(b"\0")
    if pad_to:
        assert len(padded) % pad_to == 0
        assert len(padded) - len(bare) < pad_to
    else:
        assert padded == bare


@given(response=responses, data=st.data())
def test_pieces_of_content_change_only_chunks(response: Response, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(response.content)))
    pieces = [response.content[:cut], response.content[cut:]]
    for length in (None, len(response.content)):
        encoder = ResponseEncoder(response.head, content_length=length, informational=response.informational)
        encoded = encoder.start() + b"".join(map(encoder.content, pieces)) + encoder.finish(response.trailers)
        whole = encode_response(response, indeterminate=length is None)
        chunked = length is None and all(pieces)
        assert (encoded == whole) is not chunked


@given(content=st.binary(max_size=300), max_chunk=st.integers(2, 80))
def test_chunks_keep_their_bound_and_waste_no_room(content: bytes, max_chunk: int) -> None:
    pieces = list(content_pieces(content, max_chunk))
    assert b"".join(pieces) == content
    assert all(pieces)
    for piece in pieces[:-1]:
        assert len(encode_varint(len(piece))) + len(piece) <= max_chunk
        assert len(encode_varint(len(piece) + 1)) + len(piece) + 1 > max_chunk


@pytest.mark.parametrize(("max_chunk", "encoded"), [(2, "01610162016300"), (3, "026162016300")])
def test_chunks_of_the_deployed_tests(max_chunk: int, encoded: str) -> None:
    encoder = RequestEncoder(HEAD, content_length=None)
    encoder.start()
    assert b"".join(encoder.content(piece) for piece in content_pieces(b"abc", max_chunk)).hex() + "00" == encoded


def test_chunk_of_514_holds_512_bytes() -> None:
    assert [len(piece) for piece in content_pieces(bytes(1000), 514)] == [512, 488]


def test_chunk_too_small_for_a_byte_is_refused() -> None:
    with pytest.raises(ValueError, match="at least two bytes"):
        content_pieces(b"a", 1)


@pytest.mark.parametrize("trailer", [False, True])
@pytest.mark.parametrize(
    ("line", "code"),
    [
        ((b"", b""), "field-name.empty"),
        ((b"X-A", b""), "field-name.case"),
        ((b"x a", b""), "field-name.token"),
        ((b"x:a", b""), "field-name.token"),
        ((b":path", b"/"), "field-name.token"),
        ((b":x", b""), "field-name.token"),
        ((b"x\n", b""), "field-name.token"),
        ((b"x-\xc3\xa9", b""), "field-name.token"),
        ((b"x-a", b"a\0"), "field-value.bytes"),
        ((b"x-a", b"a\rb"), "field-value.bytes"),
        ((b"x-a", b"a\nb"), "field-value.bytes"),
        ((b"x-a", b" a"), "field-value.blanks"),
        ((b"x-a", b"a\t"), "field-value.blanks"),
    ],
)
def test_line_that_no_receiver_reads_is_refused(line: tuple[bytes, bytes], code: str, trailer: bool) -> None:
    fields: Fields = (line,)
    if trailer:
        assert refusal(Request(HEAD, b"", fields)) == code
    else:
        assert refusal(Request(RequestHead(b"GET", b"https", b"a", b"/", fields))) == code


@pytest.mark.parametrize("name", [b"content-length", b"transfer-encoding"])
def test_trailer_that_frames_content_is_refused(name: bytes) -> None:
    assert refusal(Request(HEAD, b"", ((name, b"0"),))) == "trailer.framing"


@pytest.mark.parametrize(
    ("head", "code"),
    [
        (RequestHead(b"", b"https", b"a", b"/"), "method.token"),
        (RequestHead(b"G T", b"https", b"a", b"/"), "method.token"),
        (RequestHead(b"GET", b"https", b"a", b""), "path.empty"),
        (RequestHead(b"GET", b"https", b"a/b", b"/"), "authority.bytes"),
        (RequestHead(b"GET", b"https", b"", b"/", ((b"host", b"a b"),)), "host.bytes"),
        (RequestHead(b"GET", b"https", b"", b"/", ((b"host", b"a"), (b"host", b"a"))), "host.repeated"),
        (RequestHead(b"GET", b"https", b"a", b"/", ((b"host", b"b"),)), "host.differs"),
        (RequestHead(b"GET", b"https", b"a", b"/", ((b"content-length", b"x"),)), "content-length.number"),
    ],
)
def test_head_that_no_receiver_reads_is_refused(head: RequestHead, code: str) -> None:
    assert refusal(Request(head)) == code


@pytest.mark.parametrize("status", [0, 99, 199, 600])
def test_final_status_outside_its_range_is_refused(status: int) -> None:
    with pytest.raises(Unencodable, match=r"status.range"):
        encode_response(Response(ResponseHead(status)))


@pytest.mark.parametrize("status", [0, 99, 200])
def test_informational_status_outside_its_range_is_refused(status: int) -> None:
    with pytest.raises(Unencodable, match=r"status.range"):
        encode_response(Response(ResponseHead(200), informational=(ResponseHead(status),)))


def test_content_other_than_declared_is_refused() -> None:
    for pieces in ([b"abc", b"d"], [b"ab"], []):
        encoder = RequestEncoder(HEAD, content_length=3)
        encoder.start()
        with pytest.raises(Unencodable, match=r"content-length.differs"):
            [*map(encoder.content, pieces), encoder.finish()]


@pytest.mark.parametrize(("length", "pad_to"), [(-1, 0), (0, -1)])
def test_negative_lengths_are_refused(length: int, pad_to: int) -> None:
    with pytest.raises(ValueError, match="never negative"):
        RequestEncoder(HEAD, content_length=length, pad_to=pad_to)


UNTIDY: Fields = (
    (b"Host", b"www.example.com"),
    (b"X-B", b"2"),
    (b"Connection", b"close, X-Hop"),
    (b"X-Hop", b"gone"),
    (b"Transfer-Encoding", b"chunked"),
    (b"TE", b"trailers"),
    (b"Content-Length", b"7"),
    (b"Trailer", b"X-Old"),
    (b"x-a", b"1"),
    (b"x-b", b"1"),
)


@pytest.mark.parametrize(
    ("method", "length", "written"),
    [(b"POST", 12, b"12"), (b"PUT", 0, b"0"), (b"GET", 0, None), (b"GET", 3, b"3"), (b"POST", None, None)],
)
def test_request_is_prepared(method: bytes, length: int | None, written: bytes | None) -> None:
    head = prepare_request(RequestHead(method, b"https", b"", b"/", UNTIDY), content_length=length)
    assert head.authority == b"www.example.com"
    assert field_value(head.fields, b"content-length") == written
    rest = [line for line in head.fields if line[0] != b"content-length"]
    assert rest == [(b"x-a", b"1"), (b"x-b", b"2"), (b"x-b", b"1")]
    assert list(head.fields) == sorted(head.fields, key=lambda line: line[0])


def test_authority_is_kept_before_the_host_field() -> None:
    head = prepare_request(RequestHead(b"GET", b"https", b"example.com", b"/", UNTIDY), content_length=0)
    assert head.authority == b"example.com"
    assert field_value(head.fields, b"host") is None


@pytest.mark.parametrize(("length", "written"), [(12, b"12"), (0, b"0"), (None, None)])
def test_response_is_prepared(length: int | None, written: bytes | None) -> None:
    head = prepare_response(ResponseHead(200, UNTIDY[1:]), content_length=length)
    assert field_value(head.fields, b"content-length") == written
    assert field_value(head.fields, b"x-hop") is None


def test_trailers_are_announced_sorted_and_once() -> None:
    names = [b"x-test-2", b"X-Test-1", b"x-test-1"]
    head = prepare_request(HEAD, content_length=None, trailer_names=names)
    assert field_value(head.fields, b"trailer") == b"X-Test-1,X-Test-2"


def test_declared_length_and_trailers_exclude_each_other() -> None:
    with pytest.raises(ValueError, match="no trailers"):
        prepare_response(ResponseHead(200), content_length=0, trailer_names=[b"x-a"])


@pytest.mark.parametrize("name", [b"If-Match", b"Authorization", b"content-length", b"TE", b"Host", b"trailer"])
def test_name_that_is_no_trailer_is_refused(name: bytes) -> None:
    assert not may_be_trailer(name)
    with pytest.raises(ValueError, match="cannot be a trailer"):
        prepare_request(HEAD, content_length=None, trailer_names=[name])


def test_fields_named_by_connection_are_dropped() -> None:
    fields = ((b"connection", b"x-a , X-B"), (b"x-a", b"1"), (b"X-b", b"2"), (b"x-c", b"3"), (b"upgrade", b"h2c"))
    assert without_connection_fields(fields) == ((b"x-c", b"3"),)


@given(request=requests)
def test_prepared_request_decodes_to_itself(request: Request) -> None:
    head = prepare_request(request.head, content_length=len(request.content))
    assert decode_request(encode_request(Request(head, request.content))).head == head
