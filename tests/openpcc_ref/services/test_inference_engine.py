"""The built-in engine: shapes of its answers, what it counts, and how little of images it holds."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openpcc_ref.http1 import exchange, listen
from openpcc_ref.services.abridged import KEPT, Abridged
from openpcc_ref.services.engine import Engine

TOOL = {"type": "function", "function": {"name": "look_up", "parameters": {}}}
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
SAY = [{"role": "user", "content": "one two"}]


async def asked(path: str, **members: Any) -> tuple[int, bytes]:
    async with listen(Engine().handle) as server:
        body = json.dumps({"model": "m", **members}).encode()
        response, content = await exchange(server.url, b"POST", path.encode(), (), body)
        return response.status, content


async def whole(path: str, **members: Any) -> Any:
    status, content = await asked(path, **members)
    assert status == 200
    return json.loads(content)


def events(content: bytes) -> list[Any]:
    return [json.loads(line[6:]) for line in content.split(b"\n\n") if line.startswith(b"data: {")]


@pytest.mark.anyio
async def test_a_text_is_counted_and_finished() -> None:
    answer = await whole("/v1/chat/completions", messages=SAY, max_tokens=2)
    assert answer["object"] == "chat.completion"
    assert answer["choices"] == [
        {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "word0 word1 "}}
    ]
    assert answer["usage"] == {"prompt_tokens": 2, "completion_tokens": 2, "total_tokens": 4}


@pytest.mark.anyio
async def test_a_stream_ends_with_a_reason_and_its_usage() -> None:
    options = {"include_usage": True}
    _, content = await asked("/v1/completions", prompt="one", stream=True, max_tokens=2, stream_options=options)
    first, second, usage = events(content)
    assert [event["choices"][0]["finish_reason"] for event in (first, second)] == [None, "stop"]
    assert usage["usage"] == {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
    assert usage["choices"] == []


@pytest.mark.anyio
@pytest.mark.parametrize("choice", [None, "auto", {"type": "function", "function": {"name": "other"}}])
async def test_an_offered_tool_is_called(choice: Any) -> None:
    members = {"messages": SAY, "tools": [TOOL], "tool_choice": choice}
    name = "other" if isinstance(choice, dict) else "look_up"
    call = {"index": 0, "id": "call_0", "type": "function", "function": {"name": name, "arguments": "{}"}}
    answer = await whole("/v1/chat/completions", **members)
    assert answer["choices"][0]["finish_reason"] == "tool_calls"
    assert answer["choices"][0]["message"] == {"role": "assistant", "tool_calls": [call]}
    assert answer["usage"]["completion_tokens"] == 1
    _, content = await asked("/v1/chat/completions", **members, stream=True)
    (event,) = events(content)
    assert event["choices"] == [{"index": 0, "delta": {"tool_calls": [call]}, "finish_reason": "tool_calls"}]


@pytest.mark.anyio
@pytest.mark.parametrize(
    "members",
    [
        {"messages": SAY, "tools": [TOOL], "tool_choice": "none"},
        {"messages": [*SAY, {"role": "tool", "content": "found"}], "tools": [TOOL]},
        {"messages": SAY, "tools": []},
    ],
)
async def test_no_tool_is_called(members: dict[str, Any]) -> None:
    answer = await whole("/v1/chat/completions", **members)
    assert answer["choices"][0]["message"]["content"].startswith("word0")


@pytest.mark.anyio
async def test_a_tool_in_the_form_of_the_other_chat() -> None:
    answer = await whole("/api/chat", messages=SAY, tools=[TOOL])
    assert answer["message"]["tool_calls"] == [{"function": {"name": "look_up", "arguments": {}}}]
    assert answer["done"] is True


@pytest.mark.anyio
async def test_an_image_counts_as_one_word() -> None:
    parts = [{"type": "text", "text": "what is this"}, IMAGE, IMAGE]
    answer = await whole("/v1/chat/completions", messages=[{"role": "user", "content": parts}])
    assert answer["usage"]["prompt_tokens"] == 5
    other = await whole("/api/chat", messages=[{"role": "user", "content": "one", "images": ["AAAA", "BBBB"]}])
    assert other["prompt_eval_count"] == 3


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("path", "body", "status"),
    [("/v1/models", b"{}", 404), ("/api/chat", b"[]", 400), ("/api/chat", b"{", 400), ("/api/chat", b"", 400)],
)
async def test_what_it_does_not_understand(path: str, body: bytes, status: int) -> None:
    async with listen(Engine().handle) as server:
        response, _ = await exchange(server.url, b"POST", path.encode(), (), body)
        assert response.status == status


def abridged(text: bytes, size: int) -> bytes:
    reader = Abridged()
    for start in range(0, len(text), size):
        reader.feed(text[start : start + size])
    return reader.finish()


@pytest.mark.parametrize("size", [1000, KEPT, KEPT + 1, 65536, 10**6])
def test_of_a_long_image_little_is_held(size: int) -> None:
    text = json.dumps({"a": "one two", "url": "data:image/png;base64," + "Az09+/" * 100_000, "b": 1}).encode()
    held = abridged(text, size)
    assert len(held) < KEPT + 100
    value = json.loads(held)
    assert (value["a"], value["b"], len(value["url"])) == ("one two", 1, KEPT + len("data:image/png;base64,"))


@pytest.mark.parametrize("length", [KEPT - 1, KEPT])
def test_shorter_runs_stay_as_they_are(length: int) -> None:
    text = b'{"a":"' + b"A" * length + b'"}'
    assert abridged(text, 1000) == text
    assert abridged(text, len(text)) == text


@given(
    st.lists(st.sampled_from([b"A" * 5000, b"/" * 3000, b"\\u0041", b"\\n", b" ", b"x", "é".encode()]), max_size=12),
    st.integers(1, 9000),
)
def test_the_cuts_of_the_pieces_change_nothing(parts: list[bytes], size: int) -> None:
    text = b'{"a":"' + b"".join(parts) + b'"}'
    held = abridged(text, size)
    assert held == abridged(text, len(text))
    assert len(json.loads(held)["a"].split()) == len(json.loads(text)["a"].split())
