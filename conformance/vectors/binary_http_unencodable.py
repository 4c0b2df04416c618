"""What an encoder of Binary HTTP has to refuse: each made from an accepted message by one edit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from conformance.vectors.binary_http_messages import fields, octets, request_head, response_head
from conformance.vectors.case import Case
from conformance.vectors.making import accepted_by_deployed_code, answered, edited

_LINE = ("x-a", "b")
_ANNOUNCED = ("trailer", "X-A")
_CONTENT = {"content": [octets("Hello "), octets("world!")], "pad_to": 0}


def cases() -> Iterator[Case]:
    """Yield the controls and what is made of them."""
    operation = "binary-http.encode-request"
    value = {
        "head": request_head(fields=fields(_ANNOUNCED, _LINE)),
        "content_length": None,
        "trailers": fields(_LINE),
        **_CONTENT,
    }
    comment, rows = "a field, content in two chunks, a trailer", ("MSG-006", "MSG-012", "MSG-013")
    request = answered(f"{operation}.plain", comment, operation, value, rows)
    yield request
    yield from _lines(request)
    value = {"head": request_head(fields=fields(_LINE)), "content_length": 12, "trailers": [], **_CONTENT}
    known = answered(f"{operation}.declared", "a field, content of 12 bytes", operation, value, ("MSG-037",))
    yield known
    yield from _contents(known)
    operation = "binary-http.encode-response"
    value = {"informational": [response_head(103)], "head": response_head(200), "trailers": [], **_CONTENT}
    value["content_length"] = 12
    comment = "an informational response, content of 12 bytes"
    response = answered(f"{operation}.declared", comment, operation, value, ("MSG-009", "MSG-037"))
    yield response
    yield from _statuses(response)


def _refused(control: Case, fault: str, comment: str, code: str, row: str, **edit: Any) -> Case:
    return edited(control, fault, comment, f"binary-http.{code}", (row,), **edit)


def _lines(control: Case) -> Iterator[Case]:
    for fault, comment, code, row, line in (
        ("name-empty", "name of no character", "field-name.empty", "MSG-012", ("", "b")),
        ("name-blank", "name with a blank", "field-name.token", "MSG-012", ("x a", "b")),
        ("name-colon", "name with a colon", "field-name.token", "MSG-012", ("x:a", "b")),
        ("name-pseudo", "name of a pseudo-field", "field-name.token", "MSG-012", (":x", "b")),
        ("name-path", "control data as a field", "field-name.token", "MSG-012", (":path", "/")),
        ("value-lf", "LF in a value", "field-value.bytes", "MSG-013", ("x-a", "a\nx-evil: b")),
        ("value-cr", "CR in a value", "field-value.bytes", "MSG-013", ("x-a", "a\rb")),
        ("value-nul", "NUL in a value", "field-value.bytes", "MSG-013", ("x-a", "a\0b")),
    ):
        yield _refused(control, fault, comment, code, row, head=request_head(fields=fields(_ANNOUNCED, line)))
        yield _refused(control, f"trailer-{fault}", f"trailer: {comment}", code, row, trailers=fields(line))
    for fault, comment, value in (
        ("value-blank-first", "a value that begins with SP", " b"),
        ("value-tab-last", "a value that ends with HTAB", "b\t"),
    ):
        head = request_head(fields=fields(_ANNOUNCED, ("x-a", value)))
        case = _refused(control, fault, comment, "field-value.blanks", "MSG-013", head=head)
        yield replace(case, flags=("DeployedCodeAccepts", "Recommended"))  # a sender may also remove the blanks
    for name in ("content-length", "transfer-encoding"):
        trailers = fields((name, "12"))
        yield _refused(control, f"trailer-{name}", f"trailer {name}", "trailer.framing", "MSG-028", trailers=trailers)
    head = request_head(method="G T", fields=fields(_ANNOUNCED, _LINE))
    case = _refused(control, "method-blank", "method with a blank", "method.token", "MSG-008", head=head)
    yield accepted_by_deployed_code(case)


def _contents(control: Case) -> Iterator[Case]:
    comment, code = "content one byte short of its declared length", "content-length.differs"
    yield _refused(control, "content-short", comment, code, "MSG-037", content_length=13)
    comment = "content one byte longer than its declared length"
    case = _refused(control, "content-long", comment, code, "MSG-037", content_length=11)
    yield replace(case, flags=("DeployedCodeAccepts", "Recommended"))  # a sender may also cut it off


def _statuses(control: Case) -> Iterator[Case]:
    for status in (0, 99, 199, 600):
        head = response_head(status)
        yield _refused(control, f"status-{status}", f"final status {status}", "status.range", "MSG-009", head=head)
    for status in (0, 99, 200):
        comment, early = f"informational status {status}", [response_head(status)]
        yield _refused(control, f"informational-{status}", comment, "status.range", "MSG-009", informational=early)
