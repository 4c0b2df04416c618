"""The cases of ``vectors/node_validation.json``. Chapter: ``spec/compute_node.md``."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from conformance.vectors.case import Case, Json
from conformance.vectors.coins import coins
from conformance.vectors.making import answered, beside
from openpcc_ref.badges import encode_text, sign_badge
from openpcc_ref.base64_text import to_text
from openpcc_ref.compute_node import MAX_BODY

GENERATE, CHAT = "/api/generate", "/api/chat"
COMPLETIONS, CHAT_COMPLETIONS = "/v1/completions", "/v1/chat/completions"
MODEL = "llama3.2:1b"


def cases() -> Iterator[Case]:
    """Return the cases, every negative after its control."""
    yield from _parameters()
    yield from _heads()
    yield from _objects()
    yield from _members()
    yield from _bodies()


def _valid(case_id: str, comment: str, operation: str, requirements: str, value: Json) -> Case:
    operation = f"node-validation.{operation}"
    return answered(f"node-validation.{case_id}", comment, operation, value, tuple(requirements.split()))


def _refused(control: Case, fault: str, comment: str, error: str, requirement: str, **edit: Any) -> Case:
    if error.partition(".")[0] not in ("badge", "compute-message"):
        error = f"compute-node.{error}"
    return beside(control, fault, comment, error, (requirement,), **edit)


def _parameters() -> Iterator[Case]:
    requirements = "NODE-003 NODE-004 NODE-005 MSG-081"

    def valid(name: str, comment: str, **edit: str) -> Case:
        value: Json = {
            "content_type": "application/confsec-req",
            "encapsulated_key": to_text(coins("node-validation.parameters", "key", 120)),
            "credit_amount": "200",
        }
        case_id = f"parameters.{name}"
        return _valid(case_id, comment, "decode-parameters", requirements, {**value, **edit})

    control = valid("valid", "an unchunked request")
    yield control
    yield valid("chunked", "a chunked request", content_type="application/confsec-chunked-req")
    yield valid("key-longest", "a key of 512 characters", encapsulated_key="A" * 512)
    yield valid("amount-largest", "the largest amount of 64 bits", credit_amount=str(2**63 - 1))
    media_type, key = "compute-message.request.media-type", "parameters.encapsulated-key"
    amount, none = "parameters.credit-amount", "parameters.no-credit"
    text = control.input["encapsulated_key"]
    for fault, comment, code, requirement, edit in (
        ("media-type-other", "application/octet-stream", media_type, "NODE-003",
         {"content_type": "application/octet-stream"}),
        ("media-type-parameter", "a parameter behind the media type", media_type, "NODE-003",
         {"content_type": "application/confsec-req; charset=utf-8"}),
        ("media-type-response", "the media type of a response", media_type, "NODE-003",
         {"content_type": "application/confsec-res"}),
        ("key-missing", "no key", key, "NODE-004", {"encapsulated_key": ""}),
        ("key-long", "a key of 516 characters", key, "NODE-004", {"encapsulated_key": "A" * 516}),
        ("key-asterisks", "no base64", key, "NODE-004", {"encapsulated_key": "***"}),
        ("key-url-safe", "the URL-safe alphabet", key, "NODE-004", {"encapsulated_key": "_" + text[1:]}),
        ("amount-missing", "no amount", amount, "NODE-005", {"credit_amount": ""}),
        ("amount-word", "no number", amount, "NODE-005", {"credit_amount": "abc"}),
        ("amount-fraction", "a fraction", amount, "NODE-005", {"credit_amount": "1.5"}),
        ("amount-large", "a number of more than 64 bits", amount, "NODE-005", {"credit_amount": str(2**63)}),
        ("amount-zero", "nothing", none, "NODE-005", {"credit_amount": "0"}),
        ("amount-negative", "a negative amount", none, "NODE-005", {"credit_amount": "-1"}),
    ):  # fmt: skip
        yield _refused(control, fault, comment, code, requirement, **edit)


def _badge_key() -> tuple[str, str]:
    seed = coins("node-validation.badge", "secret key", 32)
    public_key = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
    return encode_text(sign_badge([MODEL, "gemma3:1b"], seed)), public_key.hex()


def _heads() -> Iterator[Case]:
    badge, public_key = _badge_key()
    fields = [["content-type", "application/json"], ["content-length", "2"], ["x-confsec-badge", badge]]

    def valid(name: str, comment: str, **edit: Any) -> Case:
        value: Json = {
            "method": "POST",
            "authority": "confsec.invalid",
            "path": CHAT_COMPLETIONS,
            "fields": fields,
            "badge_public_key": public_key,
        }
        requirements = "NODE-020 NODE-021 NODE-030 NODE-032 NODE-033 NODE-035"
        return _valid(f"head.{name}", comment, "check-head", requirements, {**value, **edit})

    control = valid("valid", "a request for a chat completion")
    yield control
    for name, path in (("generate", GENERATE), ("chat", CHAT), ("completions", COMPLETIONS)):
        yield valid(f"path-{name}", f"the path {path}", path=path)
    yield valid("field-largest", "1024 bytes under one name", fields=[*fields, ["x-a", "a" * 1024]])
    yield valid(
        "fields-largest", "twice 512 bytes under one name", fields=[*fields, ["x-a", "a" * 512], ["x-a", "b" * 512]]
    )
    yield valid("body-largest", "a declared length of 1 MiB", fields=_with(fields, "content-length", str(MAX_BODY)))
    yield valid("unknown-field", "a field that means nothing", fields=[*fields, ["x-unknown", "1"]])
    for fault, comment, code, requirement, path in (
        ("query", "a query", "path.query", "NODE-030", f"{CHAT_COMPLETIONS}?x=1"),
        ("query-empty", "an empty query", "path.form", "NODE-030", f"{CHAT_COMPLETIONS}?"),
        ("slash-behind", "a slash behind the path", "path.form", "NODE-030", f"{CHAT_COMPLETIONS}/"),
        ("slash-double", "a double slash", "path.form", "NODE-030", "/v1//completions"),
        ("dot-segments", "dot segments", "path.form", "NODE-030", "/v1/x/../completions"),
        ("percent", "a letter in percent-encoding", "path.form", "NODE-030", "/api/%67enerate"),
        ("path-unknown", "a path that is not served", "path.unknown", "NODE-031", "/api/pull"),
        ("path-case", "a capital letter in the path", "path.unknown", "NODE-030", "/v1/Completions"),
        ("path-root", "the root", "path.unknown", "NODE-030", "/"),
    ):
        yield _refused(control, fault, comment, code, requirement, path=path)
    yield _refused(control, "method", "another method", "method", "NODE-030", method="PUT")
    yield _refused(control, "method-case", "the method in small letters", "method", "NODE-030", method="post")
    for fault, comment, authority in (
        ("authority-other", "another host", "example.com"),
        ("authority-port", "a port", "confsec.invalid:80"),
        ("authority-case", "a capital letter in the host", "Confsec.invalid"),
        ("authority-empty", "no host", ""),
    ):
        yield _refused(control, fault, comment, "authority", "NODE-032", authority=authority)
    yield from _head_fields(control, fields)


def _with(fields: list[list[str]], name: str, value: str | None) -> list[list[str]]:
    kept = [field for field in fields if field[0] != name]
    return kept if value is None else [*kept, [name, value]]


def _head_fields(control: Case, fields: list[list[str]]) -> Iterator[Case]:
    seed = coins("node-validation.badge", "other key", 32)
    forged = encode_text(sign_badge([MODEL, "gemma3:1b"], seed))
    kind, coded, long, badge = "field.content-type", "field.refused", "field.long", "x-confsec-badge"
    for fault, comment, code, requirement, edited in (
        ("type-charset", "a parameter behind application/json", kind, "NODE-033",
         _with(fields, "content-type", "application/json; charset=utf-8")),
        ("type-missing", "no content type", kind, "NODE-033", _with(fields, "content-type", None)),
        ("transfer-chunked", "a chunked transfer coding", "field.transfer-encoding", "NODE-034",
         [*fields, ["transfer-encoding", "chunked"]]),
        ("transfer-gzip", "another transfer coding", coded, "NODE-034", [*fields, ["transfer-encoding", "gzip"]]),
        ("content-gzip", "a content coding", coded, "NODE-034", [*fields, ["content-encoding", "gzip"]]),
        ("field-long", "1025 bytes under one name", long, "NODE-035", [*fields, ["x-a", "a" * 1025]]),
        ("fields-long", "1025 bytes in two lines of one name", long, "NODE-035",
         [*fields, ["x-a", "a" * 512], ["x-a", "b" * 513]]),
        ("fields-long-case", "1025 bytes under one name in two cases", long, "NODE-035",
         [*fields, ["x-a", "a" * 512], ["X-A", "b" * 513]]),
        ("badge-missing", "no badge", "badge.signature", "NODE-020", _with(fields, badge, None)),
        ("badge-unsigned", "a badge without models and signature", "badge.signature", "NODE-020",
         _with(fields, badge, "CgA=")),
        ("badge-forged", "a badge signed by somebody else", "badge.signature", "NODE-021",
         _with(fields, badge, forged)),
        ("body-long", "a declared length of 1 MiB and a byte", "body.long", "NODE-036",
         _with(fields, "content-length", str(MAX_BODY + 1))),
    ):  # fmt: skip
        yield _refused(control, fault, comment, code, requirement, fields=edited)


def _objects() -> Iterator[Case]:
    def valid(name: str, comment: str, body: bytes) -> Case:
        value = {"body": body.hex()}
        return _valid(f"json.{name}", comment, "decode-object", "NODE-039 NODE-040", value)

    control = valid("valid", "one object", b'{"model":"a","prompt":"b"}')
    yield control
    yield valid("blanks", "blanks around the object", b' \n{"model":"a"}\r\n\t')
    yield valid("same-name-inside", "one name in two objects", b'{"a":{"x":1},"b":{"x":2}}')
    yield valid("case-inside", "two cases of a name in a free object", b'{"options":{"a":1,"A":2}}')
    yield valid("escapes", "an escaped letter", b'{"\\u006dodel":"a"}')
    for fault, comment, code, body in (
        ("null", "null", "json.type", b"null"),
        ("list", "a list", "json.type", b'[{"model":"a"}]'),
        ("string", "a string", "json.type", b'"x"'),
        ("number", "a number", "json.type", b"1"),
        ("cut", "an object cut short", "json.malformed", b'{"model":"a"'),
        ("comma", "a comma too many", "json.malformed", b'{"model":"a",}'),
        ("single-quotes", "single quotes", "json.malformed", b"{'model':'a'}"),
        ("nan", "a number that is none", "json.malformed", b'{"options":{"x":NaN}}'),
        ("byte-order-mark", "a byte order mark", "json.malformed", b'\xef\xbb\xbf{"model":"a"}'),
        ("not-utf-8", "a byte that is not UTF-8", "json.malformed", b'{"model":"\xff"}'),
        ("utf-16", "UTF-16", "json.malformed", '{"model":"a"}'.encode("utf-16-be")),
        ("control", "a line break in a string", "json.malformed", b'{"model":"a\nb"}'),
        ("deep", "ten thousand lists inside each other", "json.malformed", b'{"a":' + b"[" * 10_000),
        ("second-object", "an object after the object", "json.trailing", b'{"model":"a"}{"model":"b"}'),
        ("brace-behind", "a brace after the object", "json.trailing", b'{"model":"a"}}'),
        ("zero-byte", "a zero byte after the object", "json.trailing", b'{"model":"a"}\0'),
        ("duplicate", "the model named twice", "json.duplicate", b'{"model":"a","model":"b"}'),
        (
            "duplicate-escaped",
            "the model named twice, once escaped",
            "json.duplicate",
            b'{"model":"a","\\u006dodel":"b"}',
        ),
        ("duplicate-inside", "a name twice in an inner object", "json.duplicate", b'{"options":{"a":1,"a":2}}'),
    ):
        yield _refused(
            control, fault, comment, code, "NODE-040" if "duplicate" in code else "NODE-039", body=body.hex()
        )


_MINIMAL: dict[str, Json] = {
    GENERATE: {"model": MODEL, "prompt": "hi"},
    CHAT: {"model": MODEL, "messages": [{"role": "user", "content": "hi"}]},
    COMPLETIONS: {"model": MODEL, "prompt": "hi"},
    CHAT_COMPLETIONS: {"model": MODEL, "messages": [{"role": "user", "content": "hi"}]},
}


def _text(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def _members() -> Iterator[Case]:
    full: dict[str, Json] = {
        GENERATE: {"options": {"seed": 1}, "stream": True, "system": "s", "suffix": "t", "keep_alive": "5m"},
        CHAT: {"tools": [{}], "format": {}, "options": {}, "stream": False, "keep_alive": 300},
        COMPLETIONS: {"max_tokens": 5, "temperature": 0.5, "stop": ["a"], "stream": True, "logit_bias": {},
                      "stream_options": {"include_usage": False}, "best_of": 1, "echo": False, "suffix": "s"},
        CHAT_COMPLETIONS: {"max_completion_tokens": 5, "temperature": 1, "tools": [{"type": "function"}],
                           "response_format": {"type": "json_object"}, "tool_choice": "auto", "metadata": {},
                           "parallel_tool_calls": True, "stop": None, "user": "u"},
    }  # fmt: skip
    for path, minimal in _MINIMAL.items():
        yield from _members_of(path, minimal, full[path])


def _members_of(path: str, minimal: Json, full: Json) -> Iterator[Case]:
    area = "members-" + path.split("/", 2)[2].replace("/", "-")

    def valid(name: str, comment: str, body: Json) -> Case:
        value = {"path": path, "body": _text(body)}
        return _valid(f"{area}.{name}", comment, "check-members", "NODE-039 NODE-041", value)

    control = valid("minimal", "only what is required", minimal)
    yield control
    yield valid("more", "members of many types", {**minimal, **full})
    yield valid("null", "null counts as absent", {**minimal, "stream": None})
    kind, member = "json.type", "json.member"
    faults: list[tuple[str, str, str, Json]] = [
        ("unknown", "a member that the path does not have", member, {**minimal, "unknown": 1}),
        ("case", "a name in another case", member, {**minimal, "MODEL": MODEL}),
        ("model-list", "a list of models", kind, {**minimal, "model": [MODEL]}),
        ("stream-text", "a text for a truth value", kind, {**minimal, "stream": "true"}),
    ]
    if "prompt" in minimal:
        faults.append(("prompt-list", "a list of prompts", kind, {**minimal, "prompt": ["hi"]}))
    else:
        faults.append(("messages-text", "a text for the messages", kind, {**minimal, "messages": "hi"}))
        faults.append(("messages-of-text", "texts for messages", kind, {**minimal, "messages": ["hi"]}))
    if path == GENERATE:
        faults.append(("images", "images", member, {**minimal, "images": []}))
    if path.startswith("/v1/"):
        faults += [
            ("integer-fraction", "a fraction for an integer", kind, {**minimal, "top_p": 0.5}),
            ("integer-truth", "a truth value for an integer", kind, {**minimal, "logprobs": True}),
            ("integer-large", "an integer of more than 64 bits", kind, {**minimal, "seed": 2**63}),
            ("number-text", "a text for a number", kind, {**minimal, "temperature": "1"}),
            ("options-unknown", "an unknown stream option", member, {**minimal, "stream_options": {"x": True}}),
        ]
    if path == CHAT_COMPLETIONS:
        message = {"role": "user", "content": "hi"}
        faults += [
            (
                "message-unknown",
                "an unknown member of a message",
                member,
                {**minimal, "messages": [{**message, "x": 1}]},
            ),
            ("message-role", "a number for a role", kind, {**minimal, "messages": [message, {**message, "role": 1}]}),
        ]
    for fault, comment, code, body in faults:
        yield _refused(control, fault, comment, code, "NODE-039", body=_text(body))


def _bodies() -> Iterator[Case]:
    def value(path: str, text: str, **edit: Any) -> Json:
        arguments: Json = {
            "path": path,
            "fields": [["content-length", str(len(text.encode()))]],
            "body": text,
            "served_models": [MODEL, "qwen2:72b"],
            "badge_models": [MODEL, "gemma3:1b"],
        }
        return {**arguments, **edit}

    def valid(name: str, comment: str, path: str, text: str) -> Case:
        requirements = "NODE-024 NODE-037 NODE-041 NODE-042 NODE-043"
        return _valid(f"body.{name}", comment, "check-body", requirements, value(path, text))

    control = valid("valid", "a body that is passed on as it is", COMPLETIONS, _text(_MINIMAL[COMPLETIONS]))
    yield control
    streamed = '{"model":"llama3.2:1b","prompt":"Hello","stream":true}'
    yield valid("stream", "the usage option added", COMPLETIONS, streamed)
    yield valid("stream-ollama", "nothing added on other paths", GENERATE, streamed)
    spaced = '{ "stream" : true , "temperature":1.50, "seed":0, "model":"llama3.2:1b","prompt":"<a>" }\n'
    yield valid("stream-spaced", "nothing else changed", COMPLETIONS, spaced)
    for name, comment, options in (
        ("empty", "an empty list of options replaced", "{}"),
        ("false", "an option set to false replaced", '{"include_usage":false}'),
        ("null", "null replaced", "null"),
        ("true", "an option that is set already", '{ "include_usage" : true }'),
    ):
        text = f'{{"stream_options":{options},"stream":true,"model":"llama3.2:1b","prompt":"stream_options"}}'
        yield valid(f"stream-options-{name}", comment, COMPLETIONS, text)
    yield valid("no-stream", "nothing added without a stream", COMPLETIONS, streamed.replace("true", "false"))
    yield valid("messages-none", "an empty list of messages", CHAT, '{"model":"llama3.2:1b","messages":[]}')
    text = control.input["body"]
    for fault, comment, code, requirement, edit in (
        ("length-missing", "no declared length", "body.length", "NODE-037", {"fields": []}),
        ("length-short", "a declared length one byte too small", "body.length", "NODE-037",
         {"fields": [["content-length", str(len(text) - 1)]]}),
        ("length-long", "a declared length one byte too large", "body.length", "NODE-037",
         {"fields": [["content-length", str(len(text) + 1)]]}),
        ("length-text", "a declared length that is no number", "body.length", "NODE-037",
         {"fields": [["content-length", f"+{len(text)}"]]}),
        ("model-unserved", "a model that the node does not serve", "model", "NODE-024",
         {"served_models": ["qwen2:72b"]}),
        ("model-not-in-badge", "a model that the badge does not name", "badge.model", "NODE-024",
         {"badge_models": ["gemma3:1b"]}),
    ):  # fmt: skip
        yield _refused(control, fault, comment, code, requirement, **edit)
    yield from _missing(value)


def _missing(value: Callable[..., Json]) -> Iterator[Case]:
    for path, minimal in _MINIMAL.items():
        name = "prompt" if "prompt" in minimal else "messages"
        text = _text(minimal)
        case_id = "required-" + path.split("/", 2)[2].replace("/", "-")
        control = _valid(f"{case_id}.valid", f"with its {name}", "check-body", "NODE-041", value(path, text))
        yield control
        for fault, emptied in (("null", {**minimal, name: None}), ("absent", {"model": MODEL})):
            edit = _text(emptied).ljust(len(text))
            yield _refused(control, fault, f"{fault}: {name}", "json.missing", "NODE-041", body=edit)
