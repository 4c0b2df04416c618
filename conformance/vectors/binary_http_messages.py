"""Messages for the vectors of Binary HTTP, put together byte by byte: the reference's encoder refuses faulty ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from conformance.vectors.case import Json
from openpcc_ref.varint import encode_varint

Octets = str | bytes
Line = tuple[Octets, Octets]

CONTENT = "Hello world!"


def octets(text: Octets) -> str:
    """Return the hex form of octets."""
    return _bytes(text).hex()


def fields(*lines: Line) -> list[Json]:
    """Return the JSON form of field lines."""
    return [{"name": octets(name), "value": octets(value)} for name, value in lines]


def request_head(*, method: str = "POST", authority: str = "www.example.com", fields: Sequence[Json] = ()) -> Json:
    """Return the JSON form of a request's head."""
    return {
        "method": octets(method),
        "scheme": octets("https"),
        "authority": octets(authority),
        "path": octets("/hello.txt"),
        "fields": list(fields),
    }


def response_head(status: int, *, fields: Sequence[Json] = ()) -> Json:
    """Return the JSON form of a response's head."""
    return {"status": status, "fields": list(fields)}


def known(
    *,
    framing: int | None = None,
    status: int | None = None,
    informational: Sequence[int] = (),
    fields: Sequence[Line] = (),
    content: Octets = CONTENT,
    trailers: Sequence[Line] = (),
    parts: Mapping[str, Octets] = MappingProxyType({}),
) -> str:
    """Return a message with known lengths: a request, or a response when there is a status; hex.

    ``parts`` replaces control data of a request by name.
    """
    sections = [_sized(_lines(section)) for section in (fields, trailers)]
    indicator = framing if framing is not None else (0 if status is None else 1)
    early = b"".join(encode_varint(code) + b"\0" for code in informational)
    head = encode_varint(indicator) + early + _control_data(status, parts)
    return (head + sections[0] + _sized(_bytes(content)) + sections[1]).hex()


def indeterminate(
    *,
    status: int | None = None,
    fields: Sequence[Line] = (),
    chunk: int = 5,
    terminator: str = "00",
    trailers: Sequence[Line] = (),
) -> str:
    """Return a message without known lengths, its content in chunks of a size; hex."""
    zero = bytes.fromhex(terminator)
    content = _bytes(CONTENT)
    chunks = b"".join(_sized(content[start : start + chunk]) for start in range(0, len(content), chunk))
    head = encode_varint(2 if status is None else 3) + _control_data(status, {})
    return (head + _lines(fields) + zero + chunks + zero + _lines(trailers) + zero).hex()


def _control_data(status: int | None, parts: Mapping[str, Octets]) -> bytes:
    if status is not None:
        return encode_varint(status)
    defaults: dict[str, Octets] = {
        "method": "POST",
        "scheme": "https",
        "authority": "www.example.com",
        "path": "/hello.txt",
    }
    return b"".join(_sized(_bytes(parts.get(name, default))) for name, default in defaults.items())


def _lines(lines: Sequence[Line]) -> bytes:
    return b"".join(_sized(_bytes(name)) + _sized(_bytes(value)) for name, value in lines)


def _sized(data: bytes) -> bytes:
    return encode_varint(len(data)) + data


def _bytes(text: Octets) -> bytes:
    return text.encode() if isinstance(text, str) else text
