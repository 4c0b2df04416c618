"""The cases of ``vectors/refund.json``. Chapter: ``spec/compute_node.md``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from conformance.vectors.case import Case, Json
from conformance.vectors.making import answered, beside
from openpcc_ref.base64_text import to_text
from openpcc_ref.credits.currency import ATTESTATION, ZERO, encode_text, exact

_CHAT, _GENERATE = "/v1/chat/completions", "/api/generate"


def cases() -> Iterator[Case]:
    """Return the cases, every negative after its control."""
    yield from _computed()
    yield from _usages()
    yield from _amounts()


def _valid(case_id: str, comment: str, operation: str, requirements: str, value: Json) -> Case:
    return answered(f"refund.{case_id}", comment, f"refund.{operation}", value, tuple(requirements.split()))


def _refused(control: Case, fault: str, comment: str, error: str, requirements: str, **edit: Any) -> Case:
    return beside(control, fault, comment, error, tuple(requirements.split()), **edit)


def _computed() -> Iterator[Case]:
    def valid(name: str, comment: str, credit: int, status: int, tokens: str, factor: float) -> Case:
        read, _, written = tokens.partition("/")
        usage = {"input": int(read), "output": int(written)} if tokens else None
        value: Json = {"credit_amount": credit, "status": status, "usage": usage, "factor": factor}
        requirements = "NODE-010 NODE-050 NODE-051 NODE-052 NODE-053 NODE-054"
        return _valid(f"compute.{name}", comment, "compute", requirements, value)

    control = valid("valid", "185.5 left, rounded down", 200, 200, "29/0", 0.5)
    yield control
    yield valid("up", "185.5 left, rounded up", 200, 200, "29/0", 0.875)
    yield valid("edge", "a factor exactly on the probability rounds down", 200, 200, "29/0", 0.8125)
    yield valid("exact", "150 left: 144 or 152", 200, 200, "20/20", 0.75)
    yield valid("representable", "104 left, which needs no rounding", 200, 200, "64/32", 0.999)
    yield valid("everything-used", "nothing left", 100, 200, "0/50", 0.5)
    yield valid("more-than-everything", "more used than paid", 4, 200, "29/55", 0.5)
    yield valid("below-one", "half a credit left, rounded up", 15, 200, "29/0", 0.75)
    yield valid("below-one-down", "half a credit left, rounded to nothing", 15, 200, "29/0", 0.25)
    yield valid("large", "262093 left of 262144, rounded up to everything", 262144, 200, "14/22", 0.5)
    yield valid("no-usage", "an answer without usage", 200, 200, "", 0.5)
    yield valid("no-tokens", "no tokens used", 200, 204, "0/0", 0.5)
    for status in (400, 404, 429, 500, 503):
        yield valid(f"status-{status}", "an error refunds everything", 200, status, "29/55", 0.5)
    for status in (100, 199, 304, 399):
        comment = "a status that is neither an answer nor an error"
        yield _refused(control, f"status-{status}", comment, "compute-node.engine.status", "NODE-051", status=status)
    yield valid("unrepresentable", "985 left of an amount that no credit has", 1000, 200, "10/5", 0.5)


def _usages() -> Iterator[Case]:
    def valid(name: str, comment: str, path: str, *pieces: str) -> Case:
        value: Json = {"path": path, "pieces": list(pieces)}
        return _valid(f"usage.{name}", comment, "read-usage", "NODE-051 NODE-052", value)

    def openai(read: Any, written: Any, **more: Any) -> str:
        usage = {"prompt_tokens": read, "completion_tokens": written}
        return json.dumps({"object": "chat.completion", "usage": usage, **more}, separators=(",", ":"))

    def ollama(read: Any, written: Any) -> str:
        return json.dumps({"done": True, "prompt_eval_count": read, "eval_count": written}, separators=(",", ":"))

    chunk = 'data: {"choices":[{"delta":{"content":"A"}}],"usage":null}\n\n'
    stream = f"{chunk}{chunk}data: {openai(29, 55)}\n\ndata: [DONE]\n\n"
    yield valid("whole", "one line", _CHAT, openai(29, 55))
    yield valid("stream", "the last event before the end", _CHAT, stream)
    yield valid("stream-cut", "a stream in pieces of one character", _CHAT, *stream)
    yield valid("stream-crlf", "lines that end in CR LF", _CHAT, stream.replace("\n", "\r\n"))
    yield valid("stream-early", "usage in an event that is not the last", _CHAT, f"data: {openai(29, 55)}\n\n{chunk}")
    yield valid("ollama", "one line", _GENERATE, ollama(29, 54))
    yield valid(
        "ollama-stream", "the last line", _GENERATE, '{"response":"A"}\n{"response":"B"}\n' + ollama(29, 54) + "\n"
    )
    yield valid("ollama-blank", "a blank line at the end", _GENERATE, ollama(29, 54) + "\n\n")
    yield valid("ollama-not-last", "counts before the last line", _GENERATE, ollama(29, 54) + '\n{"response":"B"}\n')
    for name, comment, body in (
        ("missing", "no usage", '{"object":"chat.completion"}'),
        ("null", "null for usage", '{"usage":null}'),
        ("text", "texts for counts", openai("29", "55")),
        ("negative", "a negative count", openai(-1000, 1)),
        ("fraction", "a fraction", openai(29.5, 55)),
        ("truth", "a truth value", openai(True, 55)),
        ("half", "one count only", '{"usage":{"prompt_tokens":29}}'),
        ("nothing", "an empty answer", ""),
        ("not-json", "no JSON", "{what}"),
        ("pretty", "JSON over several lines", '{\n"usage":{\n"prompt_tokens":29,\n"completion_tokens":55\n}\n}'),
        ("list", "a list", "[1]"),
    ):
        yield valid(f"none-{name}", comment, _CHAT, body)
    yield valid("none-ollama-half", "one count only", _GENERATE, '{"prompt_eval_count":29}')
    yield valid("none-ollama-negative", "a negative count", _GENERATE, ollama(29, -55))


def _amounts() -> Iterator[Case]:
    def valid(name: str, comment: str, text: str | None, credit: int = 200) -> Case:
        value: Json = {"text": text, "credit_amount": credit}
        requirements = "NODE-010 RTR-061 RTR-062 RTR-064"
        return _valid(f"amount.{name}", comment, "decode-amount", requirements, value)

    control = valid("valid", "72 of 200", encode_text(exact(72)))
    yield control
    yield valid("all", "the whole credit", encode_text(exact(200)))
    yield valid("absent", "no trailer, no refund", None)
    yield valid("zero", "zero is no refund", encode_text(ZERO))
    for fault, comment, error, requirements, text in (
        ("above", "more than the credit", "routing.refund.above-credit", "RTR-064", encode_text(exact(208))),
        ("above-most", "the largest amount", "routing.refund.above-credit", "RTR-064", encode_text(exact(33285996544))),
        ("unpadded", "base64 without padding", "currency.text.base64", "NODE-010", encode_text(exact(72)).rstrip("=")),
        (
            "bytes-many",
            "three bytes of value",
            "currency.bytes.trailing",
            "NODE-010",
            to_text(bytes.fromhex("0a03003200")),
        ),
        (
            "bits-unknown",
            "an unknown bit",
            "currency.bytes.unknown-bits",
            "NODE-010",
            to_text(bytes.fromhex("0a020432")),
        ),
    ):
        yield _refused(control, fault, comment, error, requirements, text=text)
    special = encode_text(ATTESTATION)
    comment = "an attestation token"
    yield _refused(control, "special", comment, "currency.amount.special", "RTR-064", text=special)
