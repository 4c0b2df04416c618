"""Binary HTTP messages that have to be refused, each made from an accepted one by one edit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from conformance.vectors.binary_http_messages import CONTENT, Line, indeterminate, known
from conformance.vectors.case import Case
from conformance.vectors.making import accepted_by_deployed_code, answered, edited

_A: Sequence[Line] = (("x-a", "b"),)
_T: Sequence[Line] = (("x-t", "b"),)


def cases() -> Iterator[Case]:
    """Yield the controls and what is made of them."""
    yield from _integers()
    request = _control("decode-request", "known", known(fields=_A, trailers=_T))
    yield request
    yield from _framing(request)
    yield from _control_data(request)
    yield from _hosts(request)
    yield from _field_names(request)
    yield from _field_values(request)
    yield from _sections(request)
    yield from _bounds(request)
    yield from _content_lengths(request)
    yield from _truncated(request)
    stream = _control("decode-request", "indeterminate", indeterminate(fields=_A, trailers=_T))
    yield stream
    yield from _truncated_stream(stream)
    yield from _responses()


def _control(operation: str, name: str, message: str) -> Case:
    operation = f"binary-http.{operation}"
    rows = ("MSG-006", "MSG-011") if operation.endswith("request") else ("MSG-009", "MSG-011")
    return answered(f"{operation}.{name}", "a field, content, a trailer", operation, {"message": message}, rows)


def _integers() -> Iterator[Case]:
    control = answered(
        "varint.decode.eight", "eight bytes", "varint.decode", {"encoded": "c2197c5eff14e88c"}, ("MSG-001",)
    )
    yield control
    cuts = {
        "empty": "",
        "one-of-two": "40",
        "one-of-four": "80",
        "three-of-four": "800000",
        "seven-of-eight": "c2197c5eff14e8",
    }
    for fault, encoded in cuts.items():
        yield edited(control, fault, fault.replace("-", " "), "varint.truncated", encoded=encoded)


def _refused(
    control: Case, code: str, row: str, messages: Mapping[str, tuple[str, str]], *, deployed: Sequence[str] = ()
) -> Iterator[Case]:
    """Yield one case per fault: name, comment, message; ``deployed`` names those that deployed code accepts."""
    for fault, (comment, message) in messages.items():
        case = edited(control, fault, comment, f"binary-http.{code}", (row,), message=message)
        if fault in deployed:
            case = accepted_by_deployed_code(case)
        yield case


def _framing(control: Case) -> Iterator[Case]:
    unknown = {
        "framing-4": ("framing indicator 4", _request(framing=4)),
        "framing-16": ("framing indicator 16", _request(framing=16)),
    }
    yield from _refused(control, "framing.unknown", "MSG-004", unknown)
    wide = {"framing-256": ("framing indicator 256, whose low byte is 0", _request(framing=256))}
    yield from _refused(control, "framing.unknown", "MSG-003", wide, deployed=("framing-256",))
    other = {"framing-1": ("framing of a known-length response", _request(framing=1))}
    yield from _refused(control, "framing.unexpected", "MSG-005", other)
    yield from _refused(control, "framing.truncated", "MSG-031", {"empty": ("no byte at all", "")})


def _request(*, framing: int = 0, fields: Sequence[Line] = _A, trailers: Sequence[Line] = _T, **parts: str) -> str:
    return known(framing=framing, fields=fields, trailers=trailers, parts=parts)


def _control_data(control: Case) -> Iterator[Case]:
    methods = {
        "method-empty": ("method of no character", _request(method="")),
        "method-blank": ("method with a blank", _request(method="G T")),
        "method-nul": ("method with NUL", _request(method="GE\0")),
        "method-lf": ("method with LF", _request(method="GET\n")),
    }
    yield from _refused(control, "method.token", "MSG-008", methods)
    paths = {"path-empty": ("no path", _request(path=""))}
    yield from _refused(control, "path.empty", "MSG-008", paths)


def _hosts(control: Case) -> Iterator[Case]:
    host = "www.example.com"
    authorities = {
        "authority-nul": ("authority with NUL", _request(authority=f"{host}\0")),
        "authority-slash": ("authority with a slash", _request(authority=f"{host}/a")),
        "authority-blank": ("authority with a blank", _request(authority=f"{host} a")),
    }
    yield from _refused(control, "authority.bytes", "MSG-023", authorities)
    hosts = {"host-slash": ("host field with a slash", _request(authority="", fields=(("host", f"{host}/a"),)))}
    yield from _refused(control, "host.bytes", "MSG-023", hosts)
    twice = {"host-twice": ("two host fields", _request(fields=(("host", host), ("host", host))))}
    yield from _refused(control, "host.repeated", "MSG-023", twice)
    differs = {
        "host-other": ("host field of another host", _request(fields=(("host", "www.example.org"),))),
        "host-other-case": ("host field in other case", _request(fields=(("host", "WWW.example.com"),))),
    }
    yield from _refused(control, "host.differs", "MSG-023", differs)


def _field_names(control: Case) -> Iterator[Case]:
    names: dict[str, bytes] = {
        "braces": b"{a}",
        "colon-blank": b": method",
        "blank-colon": b" :method ",
        "backslash": b"\\:method",
        "pseudo-in-upper-case": b":Method",
        "not-ascii": "é".encode(),
        "colon-inside": b"foo:bar",
        "blank-inside": b"foo bar",
        "lf-inside": b"foo\nbar",
    }
    messages = {
        f"name-{fault}": (f"field name: {fault.replace('-', ' ')}", _request(fields=((name, "b"),)))
        for fault, name in names.items()
    }
    yield from _refused(
        control, "field-name.token", "MSG-015", messages, deployed=("name-colon-inside", "name-blank-inside")
    )
    empty = {"name-empty": ("field name of no character", _request(fields=(("", "b"),)))}
    yield from _refused(control, "field-name.empty", "MSG-019", empty)
    reserved = {
        f"name-{name}": (f"control data :{name} as a field", _request(fields=((f":{name}", "b"),)))
        for name in ("method", "scheme", "authority", "path", "status")
    }
    yield from _refused(control, "field-name.reserved", "MSG-016", reserved)
    order = {"pseudo-after-regular": ("pseudo-field after another", _request(fields=(*_A, (":x", "b"))))}
    yield from _refused(control, "field-name.pseudo-order", "MSG-017", order)
    trailer = {"pseudo-trailer": ("pseudo-field among trailers", _request(trailers=((":x", "b"),)))}
    yield from _refused(control, "field-name.pseudo-trailer", "MSG-017", trailer)
    framing = {
        f"trailer-{name}": (f"trailer {name}", _request(trailers=((name, "12"),)))
        for name in ("content-length", "transfer-encoding")
    }
    yield from _refused(control, "trailer.framing", "MSG-028", framing)


def _field_values(control: Case) -> Iterator[Case]:
    values = {"lf": "a\nx-evil: b", "cr": "a\rb", "nul": "a\0b"}
    messages = {
        f"value-{fault}": (f"{fault.upper()} in a value", _request(fields=(("x-a", value),)))
        for fault, value in values.items()
    }
    yield from _refused(control, "field-value.bytes", "MSG-015", messages, deployed=("value-lf",))
    blanks = {"blank-first": " a", "blank-last": "a ", "tab-first": "\ta", "tab-last": "a\t"}
    messages = {
        f"value-{fault}": (f"{fault.replace('-', ' ')} in a value", _request(fields=(("x-a", value),)))
        for fault, value in blanks.items()
    }
    yield from _refused(control, "field-value.blanks", "MSG-015", messages, deployed=tuple(messages))


def _sections(control: Case) -> Iterator[Case]:
    line = "03782d610162"
    overrun = {
        "value-overruns": ("value longer than its section", _request().replace(f"06{line}", "0603782d610262")),
        "name-overruns": ("name longer than its section", _request().replace(f"06{line}", "040a782d61")),
    }
    yield from _refused(control, "field-line.truncated", "MSG-019", overrun)


def _bounds(control: Case) -> Iterator[Case]:
    """What is longer than every receiver has to read: the bounds of the reference, where others may be wider."""
    for part, length in (("method", 65), ("scheme", 65), ("authority", 257), ("path", 4097)):
        text = "/" + "a" * (length - 1) if part == "path" else "a" * length
        messages = {
            f"{part}-of-{length}": (f"{part} of {length} bytes", known(fields=_A, trailers=_T, parts={part: text}))
        }
        yield from map(_own_bound, _refused(control, f"{part}.length", "MSG-007", messages))
    line = (("a", "b" * (16385 - 1 - 1 - 2)),)
    messages = {"field-line-of-16385": ("a field line of 16385 encoded bytes", _request(fields=line))}
    yield from map(_own_bound, _refused(control, "field-line.length", "MSG-020", messages))


def _content_lengths(control: Case) -> Iterator[Case]:
    numbers = {"negative": "-12", "word": "abc", "fraction": "12.0", "signed": "+12", "empty": "", "list": "12, 12"}
    messages = {
        f"content-length-{fault}": (f"content length: {fault}", _request(fields=(("content-length", value),)))
        for fault, value in numbers.items()
    }
    yield from _refused(control, "content-length.number", "MSG-026", messages, deployed=("content-length-signed",))


def _truncated(control: Case) -> Iterator[Case]:
    whole = known(fields=_A, content=CONTENT)
    before_content = len(known(content="")) - 4 + 12
    heads = {
        "cut-in-method": ("cut inside the method", whole[:6]),
        "cut-in-authority": ("cut inside the authority", whole[:40]),
        "cut-in-path": ("cut inside the path", known()[: len(known(content="")) - 8]),
    }
    yield from _refused(control, "control-data.truncated", "MSG-031", heads)
    sections = {"cut-in-fields": ("cut inside the header section", whole[: before_content - 2])}
    yield from _refused(control, "section.truncated", "MSG-031", sections)
    contents = {
        "content-one-short": ("content one byte short", whole[:-4]),
        "content-two-short": ("content two bytes short", whole[:-6]),
        "content-missing": ("content announced and missing", whole[: before_content + 2]),
        "content-length-cut": ("cut inside the length of the content", whole[:before_content] + "40"),
        "content-endless": ("content of 2^62-1 bytes", whole[:before_content] + "ff" * 8 + "61"),
    }
    yield from _refused(
        control, "content.truncated", "MSG-031", contents, deployed=("content-one-short", "content-length-cut")
    )
    trailers = {"cut-in-trailers": ("cut inside the trailer section", _request()[:-2])}
    yield from _refused(control, "section.truncated", "MSG-031", trailers)
    for case in _refused(
        control, "padding.nonzero", "MSG-032", {"padding-nonzero": ("padding that is not zero", _request() + "000001")}
    ):
        yield _recommended(case)
    differs = {
        "content-length-short": ("content longer than declared", _request(fields=(("content-length", "11"),))),
        "content-length-long": ("content shorter than declared", _request(fields=(("content-length", "13"),))),
    }
    for case in _refused(control, "content-length.differs", "MSG-039", differs, deployed=tuple(differs)):
        yield _recommended(case)


def _truncated_stream(control: Case) -> Iterator[Case]:
    whole = indeterminate()
    messages = {
        "terminator-missing": ("content without its end", whole[:-4]),
        "chunk-cut": ("cut inside a chunk", whole[:-6]),
        "chunk-endless": ("a chunk of 2^62-1 bytes", whole[:-4] + "ff" * 8 + "61"),
    }
    yield from _refused(control, "content.truncated", "MSG-031", messages, deployed=("terminator-missing",))
    head = whole[: whole.index("0548656c6c")]
    sections = {
        "fields-terminator-missing": ("header section without its end", head[:-2] + "03782d610162"),
        "trailers-terminator-missing": ("trailer section without its end", whole[:-2] + "03782d740162"),
    }
    deployed = ("trailers-terminator-missing",)
    yield from _refused(control, "field-line.truncated", "MSG-031", sections, deployed=deployed)


def _responses() -> Iterator[Case]:
    control = _control("decode-response", "known", known(status=200, fields=_A, trailers=_T))
    yield control
    final = {f"status-{status}": (f"status {status}", known(status=status)) for status in (600, 1000, 65736)}
    yield from _refused(control, "status.range", "MSG-009", final)
    early = {
        f"status-{status}": (f"status {status} before a final one", known(status=200, informational=(status,)))
        for status in (1, 99)
    }
    yield from _refused(control, "status.range", "MSG-009", early, deployed=tuple(early))
    whole = known(status=200, informational=(102, 103))
    messages = {
        "only-informational": ("no final response", whole[: whole.index("40c8")]),
        "status-cut": ("cut inside the status", known(status=200)[:4]),
    }
    yield from _refused(control, "status.truncated", "MSG-010", messages)
    many = {"informational-33": ("33 informational responses", known(status=200, informational=(102,) * 33))}
    yield from map(_own_bound, _refused(control, "informational.count", "MSG-010", many, deployed=tuple(many)))
    yield from _refused(
        control,
        "framing.unexpected",
        "MSG-005",
        {"framing-0": ("framing of a known-length request", known(status=200, framing=0))},
    )


def _own_bound(case: Case) -> Case:
    """Flag a refusal because of a bound that others may set higher."""
    return replace(case, flags=(*case.flags, "OwnBound"))


def _recommended(case: Case) -> Case:
    """Flag a refusal that is a SHOULD."""
    return replace(case, flags=(*case.flags, "Recommended"))
