"""Decoders: any split, any cut, any spoiled byte, bounds, and input that was never a message."""

from __future__ import annotations

import itertools

import pytest
from binary_http_messages import (
    Decoder,
    decoded,
    encoded_messages,
    near_messages,
    requests,
    responses,
)
from hypothesis import given
from hypothesis import strategies as st

from openpcc_ref.binary_http import (
    BinaryHttpRejected,
    Content,
    Limits,
    Request,
    RequestDecoder,
    RequestHead,
    Response,
    ResponseDecoder,
    ResponseHead,
    Trailers,
    decode_request,
    decode_response,
    encode_request,
    encode_response,
)
from openpcc_ref.varint import encode_varint

FIELDS = ((b"x-a", b"1"), (b"x-b", b"2" * 70), (b"x-a", b"3"))
REQUEST = Request(RequestHead(b"POST", b"https", b"example.com", b"/a?b", FIELDS), b"content " * 20, ((b"x-t", b"4"),))
RESPONSE = Response(
    ResponseHead(200, FIELDS), b"content " * 20, ((b"x-t", b"4"),), (ResponseHead(102), ResponseHead(103, FIELDS))
)
EXAMPLES = [
    pytest.param(RequestDecoder, encode_request(REQUEST, pad_to=64), id="known-request"),
    pytest.param(RequestDecoder, encode_request(REQUEST, indeterminate=True, pad_to=64), id="indeterminate-request"),
    pytest.param(ResponseDecoder, encode_response(RESPONSE, pad_to=64), id="known-response"),
    pytest.param(
        ResponseDecoder, encode_response(RESPONSE, indeterminate=True, pad_to=64), id="indeterminate-response"
    ),
]


def outcome(decoder: Decoder, *pieces: bytes) -> object:
    """Return what the message says, or the whole refusal."""
    try:
        return decoded(decoder, *pieces)
    except BinaryHttpRejected as rejected:
        return str(rejected)


def refusal(message: bytes, decoder: Decoder | None = None) -> str:
    """Return the code with which a message is refused."""
    with pytest.raises(BinaryHttpRejected) as refused:
        decoded(RequestDecoder() if decoder is None else decoder, message)
    return refused.value.code.removeprefix("binary-http.")


def bytewise(message: bytes) -> list[bytes]:
    return [message[index : index + 1] for index in range(len(message))]


@given(request=requests, indeterminate=st.booleans(), pad_to=st.integers(0, 64))
def test_request_round_trip(request: Request, indeterminate: bool, pad_to: int) -> None:
    assert decode_request(encode_request(request, indeterminate=indeterminate, pad_to=pad_to)) == request


@given(response=responses, indeterminate=st.booleans(), pad_to=st.integers(0, 64))
def test_response_round_trip(response: Response, indeterminate: bool, pad_to: int) -> None:
    assert decode_response(encode_response(response, indeterminate=indeterminate, pad_to=pad_to)) == response


@pytest.mark.parametrize(("decoder", "message"), EXAMPLES)
def test_every_split_gives_the_same_message(decoder: type[Decoder], message: bytes) -> None:
    expected = decoded(decoder(), message)
    for cut in range(len(message) + 1):
        assert decoded(decoder(), message[:cut], message[cut:]) == expected
    assert decoded(decoder(), *bytewise(message)) == expected


@pytest.mark.parametrize(("decoder", "message"), EXAMPLES)
def test_every_split_of_every_truncation_gives_the_same_outcome(decoder: type[Decoder], message: bytes) -> None:
    for end in range(len(message)):
        expected = outcome(decoder(), message[:end])
        assert outcome(decoder(), *bytewise(message[:end])) == expected


@given(message=st.one_of(encoded_messages, near_messages), data=st.data())
@pytest.mark.parametrize("decoder", [RequestDecoder, ResponseDecoder])
def test_outcome_never_depends_on_the_pieces(decoder: type[Decoder], message: bytes, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(message)), max_size=6)))
    pieces = [message[start:end] for start, end in itertools.pairwise([0, *cuts, len(message)])]
    assert outcome(decoder(), *pieces) == outcome(decoder(), message)


@pytest.mark.parametrize(("decoder", "message"), EXAMPLES)
def test_cut_at_every_byte_is_refused_except_where_truncation_is_allowed(
    decoder: type[Decoder], message: bytes
) -> None:
    known = message[0] < 2
    content = message.index(b"content ")
    unpadded = message.rstrip(b"\0") + (b"" if known else b"\0")
    trailers = unpadded.index(b"\x03x-t") - known
    head_end = content - 2
    fields = b"".join(encode_varint(len(part)) + part for line in FIELDS for part in line)
    head_start = message.rindex(fields, 0, content) - (2 if known else 0)
    allowed = {head_start, head_end, trailers, *range(len(unpadded), len(message) + 1)}
    accepted = {end for end in range(len(message) + 1) if not isinstance(outcome(decoder(), message[:end]), str)}
    assert accepted == allowed


@pytest.mark.parametrize(("decoder", "message"), EXAMPLES)
def test_any_spoiled_bit_is_refused_or_gives_another_message(decoder: type[Decoder], message: bytes) -> None:
    expected = decoded(decoder(), message)
    for position, bit in itertools.product(range(len(message)), range(8)):
        spoiled = bytearray(message)
        spoiled[position] ^= 1 << bit
        result = outcome(decoder(), bytes(spoiled))
        if result == expected:
            other_case = bit == 5 and chr(message[position]).isalpha()
            longer_zero = bit in (6, 7) and message[position] == 0  # the last zero before the padding takes some of it
            assert other_case or longer_zero


@given(message=near_messages)
@pytest.mark.parametrize("decoder", [RequestDecoder, ResponseDecoder])
def test_arbitrary_input_is_decoded_or_refused_with_a_code(decoder: type[Decoder], message: bytes) -> None:
    result = outcome(decoder(), message)
    if isinstance(result, str):
        assert result.startswith("binary-http.")
        assert "expected " in result


@given(message=near_messages)
def test_accepted_request_is_encoded_again_to_the_same_meaning(message: bytes) -> None:
    try:
        request = decode_request(message)
    except BinaryHttpRejected:
        return
    assert decode_request(encode_request(request)) == request
    assert decode_request(encode_request(request, indeterminate=True)) == request


@given(message=near_messages)
def test_accepted_response_is_encoded_again_to_the_same_meaning(message: bytes) -> None:
    try:
        response = decode_response(message)
    except BinaryHttpRejected:
        return
    assert decode_response(encode_response(response)) == response
    assert decode_response(encode_response(response, indeterminate=True)) == response


@pytest.mark.parametrize(("decoder", "message"), EXAMPLES)
def test_message_twice_is_refused(decoder: type[Decoder], message: bytes) -> None:
    assert refusal(message + message, decoder()) == "padding.nonzero"


def test_content_is_reported_with_its_first_byte() -> None:
    message = encode_request(REQUEST, indeterminate=True)
    content = message.index(b"content ")
    decoder = RequestDecoder()
    assert decoder.feed(message[:content]) == [REQUEST.head]
    assert decoder.feed(b"c") == [Content(b"c")]
    assert decoder.feed(b"on") == [Content(b"on")]


def test_content_in_tiny_chunks_is_reported_as_one_piece() -> None:
    decoder = RequestDecoder()
    message = encode_request(Request(REQUEST.head), indeterminate=True)[:-2] + b"\1a" * 50_000
    assert decoder.feed(message) == [REQUEST.head, Content(b"a" * 50_000)]
    assert decoder.feed(b"\1b\0\0") == [Content(b"b"), Trailers()]


def test_trailers_are_reported_before_the_end_and_validity_only_at_the_end() -> None:
    decoder = RequestDecoder()
    events = decoder.feed(encode_request(REQUEST))
    assert events[-1] == Trailers(REQUEST.trailers)
    assert decoder.feed(bytes(1000)) == []
    with pytest.raises(BinaryHttpRejected, match=r"padding\.nonzero"):
        decoder.feed(b"\0\1")


def test_refusal_is_repeated_whatever_follows() -> None:
    decoder = RequestDecoder()
    for call in (lambda: decoder.feed(b"\4"), lambda: decoder.feed(b"\0"), decoder.finish):
        with pytest.raises(BinaryHttpRejected) as refused:
            call()
        assert refused.value.code == "binary-http.framing.unknown"


def test_finished_decoder_takes_nothing_more() -> None:
    decoder = RequestDecoder()
    decoder.feed(encode_request(REQUEST))
    decoder.finish()
    with pytest.raises(ValueError, match="already been finished"):
        decoder.feed(b"")
    with pytest.raises(ValueError, match="already been finished"):
        decoder.finish()


def test_offset_of_a_refusal_counts_from_the_start_of_the_message() -> None:
    message = encode_request(REQUEST)
    line = message.index(b"\x03x-a")
    spoiled = bytearray(message)
    spoiled[message.index(b"\x03x-a", line + 1)] = 63
    with pytest.raises(BinaryHttpRejected) as refused:
        decode_request(bytes(spoiled))
    assert refused.value.code == "binary-http.field-line.truncated"
    assert refused.value.where == f"offset {message.index(bytes([3]) + b'x-a', line + 1) + 1}"


def test_refusal_never_quotes_the_input() -> None:
    secret = b"s3cret"
    for fields in (((b"x-" + secret, secret + b"\n"),), ((b"x " + secret, secret),), ((b"content-length", secret),)):
        lines = b"".join(encode_varint(len(part)) + part for line in fields for part in line)
        message = encode_request(Request(RequestHead(b"GET", b"https", b"a", b"/")))[:-3]
        with pytest.raises(BinaryHttpRejected) as refused:
            decode_request(message + encode_varint(len(lines)) + lines)
        assert "s3cret" not in str(refused.value)


LIMITS = Limits(method=3, scheme=5, authority=4, path=6, field_line=12, section=20, informational=2)


@pytest.mark.parametrize(
    ("part", "longest"), [("method", b"GET"), ("scheme", b"https"), ("authority", b"a.bc"), ("path", b"/abcde")]
)
def test_control_data_is_bounded(part: str, longest: bytes) -> None:
    parts = {"method": b"GET", "scheme": b"https", "authority": b"a", "path": b"/", part: longest}
    decoded(RequestDecoder(LIMITS), encode_request(Request(RequestHead(**parts))))
    parts[part] += b"x"
    message = encode_request(Request(RequestHead(**parts)))
    assert refusal(message, RequestDecoder(LIMITS)) == f"{part}.length"
    announced = message.index(longest + b"x")
    assert refusal(message[:announced], RequestDecoder(LIMITS)) == f"{part}.length", "refused by its length alone"


@pytest.mark.parametrize("indeterminate", [False, True])
@pytest.mark.parametrize(
    ("fields", "code"),
    [
        (((b"abc", b"1234567"),), None),
        (((b"abc", b"12345678"),), "field-line.length"),
        (((b"abcdefghijkl", b""),), "field-line.length"),
        (((b"a", b"1234567"), (b"b", b"1234567")), None),
        (((b"a", b"1234567"), (b"b", b"12345678")), "section.length"),
        (((b"a", b""),) * 7, "section.length"),
    ],
)
def test_lines_and_sections_are_bounded(
    fields: tuple[tuple[bytes, bytes], ...], code: str | None, indeterminate: bool
) -> None:
    head = RequestHead(b"GET", b"https", b"a", b"/", fields)
    message = encode_request(Request(head), indeterminate=indeterminate)
    if code is None:
        assert decoded(RequestDecoder(LIMITS), message)[0] == [head]
    else:
        assert refusal(message, RequestDecoder(LIMITS)) == code


def test_endless_section_is_refused_within_its_bound() -> None:
    decoder = RequestDecoder(LIMITS)
    decoder.feed(encode_request(Request(RequestHead(b"GET", b"https", b"a", b"/")), indeterminate=True)[:-3])
    for _ in range(LIMITS.section // 3):
        assert decoder.feed(b"\1a\0") == []
    with pytest.raises(BinaryHttpRejected, match=r"section\.length"):
        decoder.feed(b"\1a\0")


def test_informational_responses_are_bounded() -> None:
    early = (ResponseHead(102),) * 3
    decoded(ResponseDecoder(LIMITS), encode_response(Response(ResponseHead(200), informational=early[:2])))
    message = encode_response(Response(ResponseHead(200), informational=early))
    assert refusal(message, ResponseDecoder(LIMITS)) == "informational.count"


@pytest.mark.parametrize("length", [2**30, 2**62 - 1])
@pytest.mark.parametrize("indeterminate", [False, True])
def test_huge_content_length_allocates_nothing(length: int, indeterminate: bool) -> None:
    head = encode_request(Request(RequestHead(b"GET", b"https", b"a", b"/")), indeterminate=indeterminate)[:-2]
    decoder = RequestDecoder()
    events = decoder.feed(head + encode_varint(length) + b"abc")
    assert events[-1] == Content(b"abc")
    with pytest.raises(BinaryHttpRejected, match=r"content\.truncated"):
        decoder.finish()


@pytest.mark.parametrize("method", [b"HEAD", b"GET"])
def test_response_may_declare_content_that_is_not_there(method: bytes) -> None:
    head = ResponseHead(200, ((b"content-length", b"51"),))
    assert decode_response(encode_response(Response(head))).head == head
    with pytest.raises(BinaryHttpRejected, match=r"content-length.differs"):
        decode_response(encode_response(Response(head, b"51 bytes announced")))
