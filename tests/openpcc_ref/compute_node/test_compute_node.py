"""The node's rules: parameters, validation, usage, refunds and worker output."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from openpcc_ref import compute_node as node
from openpcc_ref.badges import Badge, BadgeRejected, encode_text, sign_badge
from openpcc_ref.binary_http import RequestHead
from openpcc_ref.compute_node import ComputeNodeRejected
from openpcc_ref.compute_node.schemas import REQUIRED, SCHEMAS
from openpcc_ref.compute_node.strict_json import decode_object, member_span
from openpcc_ref.credits import CreditRejected
from openpcc_ref.credits.currency import CODES, CurrencyValue, exact, rounding_factor
from openpcc_ref.errors import Rejected

SECRET_KEY = bytes(range(32))
PUBLIC_KEY = Ed25519PrivateKey.from_private_bytes(SECRET_KEY).public_key().public_bytes_raw()
MODEL = "llama3.2:1b"
RULES = node.NodeRules({MODEL}, PUBLIC_KEY)
BADGE = sign_badge([MODEL], SECRET_KEY)


def head(body: bytes = b"{}", path: str = "/v1/completions", **edit: Any) -> RequestHead:
    fields = (
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        (b"x-confsec-badge", encode_text(BADGE).encode()),
    )
    members: dict[str, Any] = {"method": b"POST", "authority": b"confsec.invalid", "fields": fields, **edit}
    return RequestHead(members["method"], b"http", members["authority"], path.encode(), members["fields"])


def check(body: bytes, path: str = "/v1/completions") -> node.EngineRequest:
    request = head(body, path)
    return node.validate_body(request, body, node.validate_head(request, RULES), RULES)


def code_of(refusal: pytest.ExceptionInfo[Rejected]) -> str:
    return node.wire_code(refusal.value)


@given(content_type=st.binary(max_size=40), key=st.binary(max_size=600), amount=st.binary(max_size=25))
def test_arbitrary_parameters_are_refused_in_one_way(content_type: bytes, key: bytes, amount: bytes) -> None:
    for media_type in (content_type, b"application/confsec-req"):
        with contextlib.suppress(Rejected):
            assert node.decode_parameters(media_type, key, amount).credit_amount > 0


@pytest.mark.parametrize("length", [508, 512, 516])
def test_a_key_has_at_most_512_characters(length: int) -> None:
    with contextlib.nullcontext() if length <= 512 else pytest.raises(ComputeNodeRejected, match="encapsulated-key"):
        node.decode_parameters(b"application/confsec-req", b"A" * length, b"1")


def test_each_refusal_of_parameters_has_its_text() -> None:
    key = b"A" * 160
    for arguments, text in (
        ((b"", key, b"1"), "invalid media type"),
        ((b"application/confsec-req", b"", b"1"), "invalid encapsulated key"),
        ((b"application/confsec-req", key, b""), "invalid credit amount"),
        ((b"application/confsec-req", key, b"0"), "credit amount must be greater than 0"),
    ):
        with pytest.raises(Rejected) as refusal:
            node.decode_parameters(*arguments)
        assert node.refusal_message(refusal.value) == text


@given(
    method=st.binary(max_size=8),
    authority=st.binary(max_size=20),
    path=st.text(max_size=30),
    fields=st.lists(st.tuples(st.binary(max_size=20), st.binary(max_size=40)), max_size=4),
)
def test_arbitrary_heads_are_refused_in_one_way(
    method: bytes, authority: bytes, path: str, fields: list[tuple[bytes, bytes]]
) -> None:
    good = head()
    for edit in ({"method": method}, {"authority": authority}, {"fields": tuple(fields)}, {}):
        request = head(path=path if not edit else "/v1/completions", **edit)
        if request != good:
            with contextlib.suppress(ComputeNodeRejected, BadgeRejected):
                node.validate_head(request, RULES)


def test_refusals_of_the_head_come_in_order() -> None:
    """Path before method before fields before authority before badge before length."""
    faults = {
        "ErrUnsupportedMethod": {"method": b"PUT"},
        "ErrContentTypeNotAllowed": {"fields": ((b"x-a", b"1"),)},
        "ErrUnknownHostname": {"authority": b"example.com"},
    }
    with pytest.raises(Rejected) as refusal:
        node.validate_head(head(path="/api/pull", method=b"PUT", authority=b"", fields=()), RULES)
    assert node.validation_answer(refusal.value)[0] == 404
    for number, (code, _) in enumerate(faults.items()):
        edits: dict[str, Any] = {}
        for later in list(faults.values())[number:]:
            edits.update(later)
        with pytest.raises(Rejected) as refusal:
            node.validate_head(head(**edits), RULES)
        assert code_of(refusal) == code
    unsigned = tuple((name, value) for name, value in head().fields if name != b"x-confsec-badge")
    with pytest.raises(Rejected) as refusal:
        node.validate_head(head(fields=unsigned), RULES)
    assert code_of(refusal) == "ErrBadgeInvalid"


@pytest.mark.parametrize("path", SCHEMAS)
def test_every_path_has_a_body_that_passes(path: str) -> None:
    required = REQUIRED[path]
    value: Any = "hi" if required == "prompt" else [{"role": "user", "content": "hi"}]
    body = json.dumps({"model": MODEL, required: value}).encode()
    assert check(body, path) == node.EngineRequest(path, body, MODEL, False)
    for missing in ("model", required):
        cut = json.dumps({name: part for name, part in json.loads(body).items() if name != missing}).encode()
        with pytest.raises(Rejected) as refusal:
            check(cut, path)
        assert code_of(refusal) == "ErrMissingRequiredField"


def test_the_largest_body_passes() -> None:
    prompt = b'{"model":"llama3.2:1b","prompt":"%s"}'
    body = prompt % (b"a" * (node.MAX_BODY - len(prompt) + 2))
    assert len(body) == node.MAX_BODY
    assert check(body).body == body
    for call in (lambda: check(body + b" "), lambda: node.validate_body(head(body), body + b" ", BADGE, RULES)):
        with pytest.raises(Rejected) as refusal:
            call()
        assert code_of(refusal) == "ErrBodyTooLarge"
    with pytest.raises(Rejected) as refusal:
        check(b"")
    assert code_of(refusal) == "ErrEmptyBody"


@given(data=st.binary(max_size=80))
def test_arbitrary_bodies_are_refused_in_one_way(data: bytes) -> None:
    with contextlib.suppress(ComputeNodeRejected, BadgeRejected):
        check(data)


scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)


@given(data=st.data(), path=st.sampled_from(sorted(SCHEMAS)))
def test_bodies_of_known_members_pass_or_are_refused_in_one_way(data: st.DataObject, path: str) -> None:
    names = st.sampled_from(sorted(SCHEMAS[path]))
    body = json.dumps(data.draw(st.dictionaries(names, values, max_size=6)) | {"model": MODEL}).encode()
    with contextlib.suppress(ComputeNodeRejected):
        passed = check(body, path)
        assert passed.model == MODEL
        assert (
            json.loads(passed.body).items()
            >= {name: value for name, value in json.loads(body).items() if name != "stream_options"}.items()
        )


def test_nothing_of_a_request_is_repeated_in_a_refusal() -> None:
    canary = "CANARY"
    bodies = (
        f'{{"model":"{canary}","prompt":"a"}}',
        f'{{"{canary}":1}}',
        f'{{"model":"{MODEL}","prompt":["{canary}"]}}',
        f'{{"{canary}":1,"{canary}":2}}',
        f"{{{canary}}}",
        f'{{"model":"{MODEL}"}}{canary}',
    )
    for body in bodies:
        with pytest.raises(Rejected) as refusal:
            check(body.encode())
        assert canary.encode() not in node.validation_answer(refusal.value)[1]
        assert canary not in str(refusal.value)


@given(
    members=st.dictionaries(st.text(max_size=6), values, max_size=5),
    name=st.text(max_size=6),
    indent=st.sampled_from([None, 1]),
)
def test_members_are_found_where_they_stand(members: dict[str, Any], name: str, indent: int | None) -> None:
    text = json.dumps(members, indent=indent, ensure_ascii=indent is None)
    try:
        decode_object(text.encode())
    except (ComputeNodeRejected, UnicodeEncodeError):
        return
    span = member_span(text, name)
    assert (span is None) is (name not in members)
    if span:
        assert json.loads(text[slice(*span)]) == members[name]


def test_deep_nesting_is_refused_and_not_a_crash() -> None:
    for opening in (b"[", b'{"a":'):
        with pytest.raises(ComputeNodeRejected, match=r"json\.malformed"):
            check(opening * 100_000)
    with pytest.raises(ComputeNodeRejected, match=r"json\.malformed"):
        check(b'{"seed":' + b"9" * 5000 + b"}")


@given(
    code=st.integers(1, CODES - 1),
    read=st.integers(0, 10**6),
    written=st.integers(0, 10**6),
    factor=st.floats(0, 1, exclude_max=True),
)
def test_refunds_are_within_the_credit(code: int, read: int, written: int, factor: float) -> None:
    credit = CurrencyValue(code).amount
    usage = node.Usage(read, written)
    value = node.refund(credit, 200, usage, factor)
    if usage.cost >= credit:
        assert value is None
    elif value is not None:
        assert 0 < value.amount <= credit
        assert abs(value.amount - (credit - usage.cost)) <= max(1, (credit - usage.cost) / 16)


def test_refunds_are_right_on_average() -> None:
    """75.5 of 200: the mean of 4000 lies within five standard errors."""
    amounts = [
        value.amount
        for _ in range(4000)
        if (value := node.refund(200, 200, node.Usage(29, 55), rounding_factor(os.urandom)))
    ]
    assert set(amounts) == {72, 76}
    assert abs(sum(amounts) / len(amounts) - 75.5) < 5 * 1.33 / 4000**0.5


def test_a_full_refund_of_an_amount_that_no_credit_has() -> None:
    assert node.refund(200, 500, None, 0.5) == exact(200)
    with pytest.raises(CreditRejected, match="inexact"):
        node.refund(1001, 500, None, 0.5)


@given(cuts=st.lists(st.integers(0, 200), max_size=6))
def test_usage_is_found_however_the_answer_is_cut(cuts: list[int]) -> None:
    answer = b'data: {"a":1}\n\ndata: {"usage":{"prompt_tokens":29,"completion_tokens":55}}\n\ndata: [DONE]\n\n'
    reader = node.UsageReader("/v1/completions")
    for start, end in itertools.pairwise([0, *sorted(cuts), 200]):
        reader.feed(answer[start:end])
    assert reader.finish() == node.Usage(29, 55)


@given(path=st.sampled_from(["/v1/completions", "/api/chat"]), data=st.binary(max_size=100))
def test_arbitrary_answers_have_some_usage_or_none(path: str, data: bytes) -> None:
    reader = node.UsageReader(path)
    reader.feed(data)
    usage = reader.finish()
    assert usage is None or usage.cost >= 0


@pytest.mark.parametrize(
    ("line", "tokens"),
    [
        (b'data: {"choices":[{"index":0,"text":"a"}]}', 1),
        (b'data: {"choices":[{"index":0,"delta":{"content":"a"}}]}', 1),
        (b'data: {"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}', 0),
        (b'data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}', 0),
        (b"data: [DONE]", 0),
        (b'{"response":"a","done":false}', 1),
        (b'{"message":{"role":"assistant","content":"a"}}', 1),
        (b'{"response":"","done":true}', 0),
        (b'{"choices":{"text":"a"}}', 0),
        (b'{"choices":["text"],"text":1}', 0),
        (b'{"text":', 0),
        (b"[" * 3000, 0),
        (b'{"text":"' + b"a" * 2**16 + b'"}', 0),
    ],
)
def test_a_line_with_text_has_a_token(line: bytes, tokens: int) -> None:
    path = "/v1/completions" if line.startswith(b"data") else "/api/generate"
    reader = node.UsageReader(path)
    reader.feed(line)
    assert reader.tokens == 0
    reader.feed(b"\n")
    assert reader.tokens == tokens


def test_an_endless_line_is_not_kept() -> None:
    reader = node.UsageReader("/api/chat")
    for _ in range(40):
        reader.feed(b"x" * 2**20)
    reader.feed(b'\n{"prompt_eval_count":1,"eval_count":2}')
    assert reader.finish() == node.Usage(1, 2)


OUTPUT = (
    node.encode_header(node.Header("application/confsec-chunked-res", 532))
    + node.encode_chunks(b"hello")
    + node.encode_footer(node.Footer(exact(10)))
)


def test_worker_output_has_the_published_bytes() -> None:
    assert OUTPUT.hex() == (
        "240a1f6170706c69636174696f6e2f636f6e667365632d6368756e6b65642d7265731094040568656c6c6f000612040a02000a"
    )
    plain = node.encode_header(node.Header("application/confsec-res", 0)) + node.encode_chunks(b"hello")
    assert (plain + node.encode_footer(node.Footer(None))).hex() == (
        "1b0a176170706c69636174696f6e2f636f6e667365632d72657310000568656c6c6f0000"
    )


@pytest.mark.parametrize("cut", range(len(OUTPUT)))
def test_worker_output_decodes_at_every_cut_and_not_before_its_end(cut: int) -> None:
    decoder = node.OutputDecoder()
    events = decoder.feed(OUTPUT[:cut])
    with pytest.raises(ComputeNodeRejected, match=r"output\.truncated"):
        decoder.finish()
    events += decoder.feed(OUTPUT[cut:])
    decoder.finish()
    assert events == [node.Header("application/confsec-chunked-res", 532), b"hello", node.Footer(exact(10))]


def test_worker_output_that_breaks_the_rules() -> None:
    header = node.encode_header(node.Header("a/b", 0))
    for output, code in (
        (b"\x80\x00\x80\x01", "long"),
        (header + b"\x80\x00\x80\x01", "long"),
        (header + b"\x00\x80\x00\x80\x01", "long"),
        (b"\x00", "header"),
        (b"\x01\xff", "header"),
        (header + b"\x00\x01\xff", "footer"),
        (OUTPUT + b"\x00", "trailing"),
    ):
        with pytest.raises(ComputeNodeRejected, match=rf"output\.{code}"):
            node.OutputDecoder().feed(output)
    assert len(node.encode_chunks(bytes(70_000))) == 70_000 + 4 + 4 + 2
    assert node.encode_chunks(b"") == b""


@given(data=st.binary(max_size=100))
def test_arbitrary_worker_output_is_refused_in_one_way(data: bytes) -> None:
    decoder = node.OutputDecoder()
    with contextlib.suppress(ComputeNodeRejected, CreditRejected):
        decoder.feed(data)
        decoder.finish()


def test_a_badge_for_another_model() -> None:
    body = b'{"model":"llama3.2:1b","prompt":"a"}'
    with pytest.raises(BadgeRejected) as refusal:
        node.validate_body(head(body), body, Badge(("gemma3:1b",), b""), RULES)
    assert code_of(refusal) == "ErrUnsupportedModel"
