"""Messages for the tests: published ones, and strategies that draw any valid or nearly valid one."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

from openpcc_ref.binary_http import (
    Content,
    Event,
    Fields,
    Request,
    RequestDecoder,
    RequestHead,
    Response,
    ResponseDecoder,
    ResponseHead,
    Trailers,
    encode_request,
    encode_response,
)
from openpcc_ref.varint import encode_varint

Decoder = RequestDecoder | ResponseDecoder

_TOKEN = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
_FRAMING = ("content-length", "transfer-encoding", "host")

names = st.text(_TOKEN, min_size=1, max_size=12).filter(lambda name: name not in _FRAMING).map(str.encode)
values = st.binary(max_size=20).map(lambda value: value.translate(None, b"\0\r\n").strip(b" \t"))
fields = st.lists(st.tuples(names, values), max_size=5).map(tuple)
contents = st.binary(max_size=200)
tokens = st.text(_TOKEN.upper() + _TOKEN, min_size=1, max_size=10).map(str.encode)

request_heads = st.builds(
    RequestHead,
    tokens,
    st.sampled_from([b"https", b"http", b""]),
    st.sampled_from([b"example.com", b"example.com:8443", b"[2001:db8::1]:443", b""]),
    st.text("/abc?=&.%20", min_size=1, max_size=20).map(str.encode),
    fields,
)
requests = st.builds(Request, request_heads, contents, fields)
early_heads = st.builds(ResponseHead, st.integers(100, 199), fields)
response_heads = st.builds(ResponseHead, st.integers(200, 599), fields)
responses = st.builds(Response, response_heads, contents, fields, st.lists(early_heads, max_size=3).map(tuple))

encoded_messages = st.one_of(
    st.builds(lambda message, form: encode_request(message, indeterminate=form), requests, st.booleans()),
    st.builds(lambda message, form: encode_response(message, indeterminate=form), responses, st.booleans()),
)

_PARTS = st.one_of(
    st.integers(0, 700).map(encode_varint),
    st.sampled_from([2**14, 2**30, 2**62 - 1]).map(encode_varint),
    st.sampled_from([b"\0", b"\x40\0", b":x", b":method", b"host", b"content-length", b"12", b"GET", b"/"]),
    st.binary(max_size=12),
    st.builds(lambda data: encode_varint(len(data)) + data, st.binary(max_size=80)),
)
"""What messages are made of, right or wrong."""

near_messages = st.one_of(
    st.binary(max_size=120),
    st.lists(_PARTS, max_size=14).map(b"".join),
    st.builds(
        lambda message, position, edit: (
            message[: position % (len(message) + 1)] + edit + message[position % (len(message) + 1) :]
        ),
        encoded_messages,
        st.integers(0, 1000),
        _PARTS,
    ),
    st.builds(
        lambda message, start, length: message[: start % len(message)] + message[start % len(message) + length :],
        encoded_messages,
        st.integers(0, 1000),
        st.integers(1, 8),
    ),
    st.builds(
        lambda message, position, value: (
            message[: position % len(message)] + bytes([value]) + message[position % len(message) + 1 :]
        ),
        encoded_messages,
        st.integers(0, 1000),
        st.integers(0, 255),
    ),
)
"""Arbitrary bytes, parts in any order, and valid messages with one edit."""


def whole(events: Sequence[Event]) -> tuple[list[RequestHead | ResponseHead], bytes, Fields]:
    """Return what the events of one message say: heads, content, trailers. Nothing may come out of order."""
    heads = [event for event in events if isinstance(event, RequestHead | ResponseHead)]
    pieces = [event.data for event in events if isinstance(event, Content)]
    assert all(pieces), "an empty piece of content was reported"
    assert list(events[: len(heads)]) == heads
    last = events[-1]
    assert isinstance(last, Trailers)
    assert len(events) == len(heads) + len(pieces) + 1
    return heads, b"".join(pieces), last.fields


def decoded(decoder: Decoder, *pieces: bytes) -> tuple[list[RequestHead | ResponseHead], bytes, Fields]:
    """Return what a decoder makes of a message that arrives in these pieces."""
    events = [event for piece in pieces for event in decoder.feed(piece)]
    return whole([*events, *decoder.finish()])
