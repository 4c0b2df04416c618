"""Vectors of Binary HTTP beyond the published ones. Chapter: ``spec/binary_http.md``."""

from __future__ import annotations

from collections.abc import Iterator

from conformance.vectors import binary_http_refused, binary_http_unencodable
from conformance.vectors.binary_http_messages import fields, indeterminate, known, octets, request_head, response_head
from conformance.vectors.case import Case, Json
from conformance.vectors.making import answered

_BOUNDARIES = (0, 63, 64, 16383, 16384, 2**30 - 1, 2**30, 2**62 - 1)


def cases() -> Iterator[Case]:
    """Yield every case that is not published elsewhere."""
    yield from _integers()
    yield from _encoded()
    yield from _accepted_requests()
    yield from _accepted_responses()
    yield from _prepared()
    yield from binary_http_refused.cases()
    yield from binary_http_unencodable.cases()


def _integers() -> Iterator[Case]:
    for number in _BOUNDARIES:
        case_id, comment = f"varint.encode.{number}", "on the edge between two lengths"
        encoded = answered(case_id, comment, "varint.encode", {"value": str(number)}, ("MSG-002",))
        assert encoded.expected is not None
        yield encoded
        value = {"encoded": encoded.expected["encoded"]}
        yield answered(f"varint.decode.{number}", comment, "varint.decode", value, ("MSG-001",))
    for name, longer in {"zero-in-two": "4000", "zero-in-four": "80000000", "zero-in-eight": "c0" + 14 * "0"}.items():
        comment = "a form that is not the shortest"
        yield answered(f"varint.decode.{name}", comment, "varint.decode", {"encoded": longer}, ("MSG-001",))


_CONTENT = [octets("Hello "), octets("world!")]


def _encoded() -> Iterator[Case]:
    trailers = fields(("x-test-1", "foo"), ("x-test-1", "bar"))
    announced = fields(("trailer", "X-Test-1"))
    for framing, length in (("known-length", 12), ("indeterminate-length", None)):
        whole = {"content_length": length, "content": _CONTENT, "trailers": trailers, "pad_to": 0}
        request = {"head": request_head(fields=announced), **whole}
        response = {"informational": [response_head(103)], "head": response_head(201, fields=announced), **whole}
        for kind, value in (("request", request), ("response", response)):
            name = f"binary-http.encode-{kind}.{framing}"
            rows = ("MSG-006", "MSG-011", "MSG-014", "MSG-029", "MSG-034")
            if kind == "response":
                rows = ("MSG-009", *rows[1:])
            operation = f"binary-http.encode-{kind}"
            yield answered(name, "content in two pieces, two trailers of one name", operation, value, rows)
            empty = {**value, "content_length": length and 0, "content": [], "trailers": []}
            comment = "parts without anything in them are written"
            yield answered(f"{name}.empty", comment, operation, empty, ("MSG-029",))
            for pad_to in (16, 80, 100):
                padded = {**value, "pad_to": pad_to}
                comment = f"padded to a multiple of {pad_to}"
                yield answered(f"{name}.padded-{pad_to}", comment, operation, padded, ("MSG-033",))
    pieces = ["61" * 512, "62" * 488]
    value = {"head": request_head(), "content_length": None, "content": pieces, "trailers": [], "pad_to": 0}
    yield answered(
        "binary-http.encode-request.chunks-of-514",
        "chunks of at most 514 bytes, length and data together",
        "binary-http.encode-request",
        value,
        ("MSG-034",),
    )


def _request(name: str, comment: str, message: str, *rows: str, flags: tuple[str, ...] = ()) -> Case:
    case_id = f"binary-http.decode-request.{name}"
    return answered(case_id, comment, "binary-http.decode-request", {"message": message}, rows, flags=flags)


def _response(name: str, comment: str, message: str, *rows: str) -> Case:
    case_id = f"binary-http.decode-response.{name}"
    return answered(case_id, comment, "binary-http.decode-response", {"message": message}, rows)


def _accepted_requests() -> Iterator[Case]:
    whole = known()
    yield _request("framing-in-two-bytes", "framing indicator not in its shortest form", "40" + whole, "MSG-001")
    yield _request(
        "terminators-in-eight-bytes",
        "zeros that end parts, not in their shortest form",
        indeterminate(terminator="c0" + "00" * 7),
        "MSG-001",
        "MSG-011",
    )
    lengths = {"method": 64, "scheme": 64, "authority": 256, "path": 4096}
    for part, length in lengths.items():
        message = known(parts={part: "/" + "a" * (length - 1) if part == "path" else "a" * length})
        yield _request(f"{part}-of-{length}", f"{part} as long as every receiver reads", message, "MSG-007")
    line = (("a", "b" * (16384 - 1 - 1 - 2)),)
    comment = "a field line of 16384 encoded bytes"
    yield _request("field-line-of-16384", comment, known(fields=line), "MSG-020")
    yield _request("name-in-upper-case", "a field name in upper case", known(fields=(("X-A", "b"),)), "MSG-015")
    yield _request("value-of-latin-1", "bytes above 0x7f in a value", known(fields=(("x-a", b"\xe9\xff"),)), "MSG-015")
    twice = (("x-a", "1"), ("x-b", "2"), ("x-a", "3"), ("cookie", "a=b"), ("cookie", "c=d"))
    yield _request("repeated-fields", "lines of one name, with another between", known(fields=twice), "MSG-021")
    extension = ((":protocol", "x"), ("x-a", "b"))
    comment = "an unknown pseudo-field before other fields is ignored"
    yield _request("pseudo-field", comment, known(fields=extension), "MSG-018", flags=("Recommended",))
    host = known(parts={"authority": ""}, fields=(("host", "www.example.com"),))
    yield _request("host-field", "the host in a field, no authority", host, "MSG-023")
    host = known(fields=(("host", "www.example.com"),))
    yield _request("host-twice-the-same", "the host in a field and in the authority", host, "MSG-023")
    yield _request("without-trailers", "nothing behind the content", whole[:-2], "MSG-030")
    yield _request("without-content", "nothing behind the header section", known(content="")[:-4], "MSG-030")
    flags = ("DeployedCodeRefuses", "Recommended")
    yield _request("without-fields", "nothing behind the control data", known(content="")[:-6], "MSG-030", flags=flags)
    yield _request("padding-of-1000", "1000 bytes of padding", whole + "00" * 1000, "MSG-032")
    yield _request("content-length", "a content length as it is", known(fields=(("content-length", "12"),)), "MSG-026")
    yield _request("one-byte-chunks", "where chunks begin means nothing", indeterminate(chunk=1), "MSG-011")


def _accepted_responses() -> Iterator[Case]:
    early = known(status=200, informational=(100, 102, 103, 199))
    yield _response("informational", "four informational responses", early, "MSG-009", "MSG-010")
    for status in (200, 204, 304, 599):
        yield _response(f"status-{status}", "a final status", known(status=status), "MSG-009")
    long = "40" + known(status=200)
    yield _response("framing-in-two-bytes", "framing indicator not in its shortest form", long, "MSG-001", "MSG-003")


def _prepared() -> Iterator[Case]:
    untidy = fields(
        ("Host", "www.example.com"),
        ("X-B", "2"),
        ("Connection", "close, X-Hop"),
        ("X-Hop", "gone"),
        ("Transfer-Encoding", "chunked"),
        ("TE", "trailers"),
        ("Keep-Alive", "timeout=5"),
        ("Content-Length", "7"),
        ("x-a", "1"),
        ("X-B", "1"),
    )
    rows = ("MSG-012", "MSG-014", "MSG-022", "MSG-024", "MSG-025")
    lengths: list[tuple[str, str, int | None]] = [
        ("known", "POST", 12),
        ("empty", "POST", 0),
        ("get", "GET", 0),
        ("unknown", "POST", None),
    ]
    for name, method, length in lengths:
        head: Json = request_head(method=method, authority="", fields=untidy)
        value: Json = {"head": head, "content_length": length, "trailer_names": []}
        comment = f"fields put in order, {method} with {'unknown' if length is None else length} bytes of content"
        yield answered(f"binary-http.prepare-request.{name}", comment, "binary-http.prepare-request", value, rows)
        value = {"head": response_head(200, fields=untidy[1:]), "content_length": length, "trailer_names": []}
        response_rows = tuple(row for row in rows if row != "MSG-022")
        if name != "get":
            operation = "binary-http.prepare-response"
            yield answered(f"{operation}.{name}", comment.replace(method, "response"), operation, value, response_rows)
    names = [octets("x-test-2"), octets("x-test-1"), octets("x-test-1")]
    value = {"head": request_head(fields=[]), "content_length": None, "trailer_names": names}
    comment, operation = "trailers are announced", "binary-http.prepare-request"
    yield answered(f"{operation}.trailers", comment, operation, value, ("MSG-027", "MSG-028"))
