"""Operations of Binary HTTP and of the integers it is made of. Chapter: ``spec/binary_http.md``.

All parts of a message are octets, so all are hexadecimal. Content is one string when decoded; when it is encoded, it is
given in pieces, each of which becomes one chunk where the framing has chunks. Integers are decimal strings.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from conformance.operations import operation
from openpcc_ref.binary_http import (
    Fields,
    RequestEncoder,
    RequestHead,
    ResponseEncoder,
    ResponseHead,
    decode_request,
    decode_response,
    prepare_request,
    prepare_response,
)
from openpcc_ref.varint import decode_varint, encode_varint

Json = dict[str, Any]


@operation("varint.encode")
def encode_integer(value: Json) -> Json:
    """Encode an integer in its shortest form."""
    return {"encoded": encode_varint(int(value["value"])).hex()}


@operation("varint.decode")
def decode_integer(value: Json) -> Json:
    """Decode the integer at the start, and say how many bytes it takes."""
    number, length = decode_varint(bytes.fromhex(value["encoded"]))
    return {"value": str(number), "length": length}


@operation("binary-http.encode-request")
def encode_a_request(value: Json) -> Json:
    """Encode a request, with padding; a content length of null makes its length indeterminate."""
    head, length = _request_head(value["head"]), value["content_length"]
    encoder = RequestEncoder(head, content_length=length, pad_to=value["pad_to"])
    return {"message": _message(encoder, value)}


@operation("binary-http.decode-request")
def decode_a_request(value: Json) -> Json:
    """Decode a whole request."""
    request = decode_request(bytes.fromhex(value["message"]))
    return {
        "head": _request_head_json(request.head),
        "content": request.content.hex(),
        "trailers": _fields_json(request.trailers),
    }


@operation("binary-http.encode-response")
def encode_a_response(value: Json) -> Json:
    """Encode a response with its informational ones, and padding; a length of null makes it indeterminate."""
    encoder = ResponseEncoder(
        _response_head(value["head"]),
        content_length=value["content_length"],
        pad_to=value["pad_to"],
        informational=[_response_head(head) for head in value["informational"]],
    )
    return {"message": _message(encoder, value)}


@operation("binary-http.decode-response")
def decode_a_response(value: Json) -> Json:
    """Decode a whole response with its informational responses."""
    response = decode_response(bytes.fromhex(value["message"]))
    return {
        "informational": [_response_head_json(head) for head in response.informational],
        "head": _response_head_json(response.head),
        "content": response.content.hex(),
        "trailers": _fields_json(response.trailers),
    }


@operation("binary-http.prepare-request")
def prepare_a_request(value: Json) -> Json:
    """Return the head that is encoded for an HTTP request; a content length of null is not known beforehand."""
    names = [bytes.fromhex(name) for name in value["trailer_names"]]
    head = prepare_request(_request_head(value["head"]), content_length=value["content_length"], trailer_names=names)
    return {"head": _request_head_json(head)}


@operation("binary-http.prepare-response")
def prepare_a_response(value: Json) -> Json:
    """Return the head that is encoded for an HTTP response; a content length of null is not known beforehand."""
    names = [bytes.fromhex(name) for name in value["trailer_names"]]
    head = prepare_response(_response_head(value["head"]), content_length=value["content_length"], trailer_names=names)
    return {"head": _response_head_json(head)}


def _message(encoder: RequestEncoder | ResponseEncoder, value: Json) -> str:
    content = [encoder.start(), *(encoder.content(bytes.fromhex(piece)) for piece in value["content"])]
    return b"".join([*content, encoder.finish(_fields(value["trailers"]))]).hex()


def _request_head(head: Json) -> RequestHead:
    method, scheme, authority, path = (bytes.fromhex(head[name]) for name in ("method", "scheme", "authority", "path"))
    return RequestHead(method, scheme, authority, path, _fields(head["fields"]))


def _request_head_json(head: RequestHead) -> Json:
    parts = {name: getattr(head, name).hex() for name in ("method", "scheme", "authority", "path")}
    return {**parts, "fields": _fields_json(head.fields)}


def _response_head(head: Json) -> ResponseHead:
    return ResponseHead(head["status"], _fields(head["fields"]))


def _response_head_json(head: ResponseHead) -> Json:
    return {"status": head.status, "fields": _fields_json(head.fields)}


def _fields(lines: Iterable[Json]) -> Fields:
    return tuple((bytes.fromhex(line["name"]), bytes.fromhex(line["value"])) for line in lines)


def _fields_json(fields: Fields) -> list[Json]:
    return [{"name": name.hex(), "value": value.hex()} for name, value in fields]
