"""The inference engine behind a node: what it says, and how it may misbehave."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from conformance.peers.scripted import Answer, Received, answer_after_request
from openpcc_ref.http1 import Fields, Responder

PATHS = ("/v1/completions", "/v1/chat/completions", "/api/generate", "/api/chat")
"""What a node serves. Requirements: NODE-030."""

INPUT_TOKENS, OUTPUT_TOKENS = 29, 55
"""The usage that an honest engine reports."""

LIMITS = ("max_tokens", "max_completion_tokens", "num_predict")
"""Members that limit how much an engine says, in both dialects."""

TOKENS = ("one ", "two ", "three ")
"""What an honest engine says."""

JSON: Fields = ((b"content-type", b"application/json"),)
EVENTS: Fields = ((b"content-type", b"text/event-stream"), (b"transfer-encoding", b"chunked"))
LINES: Fields = ((b"content-type", b"application/x-ndjson"), (b"transfer-encoding", b"chunked"))


def is_openai(path: str) -> bool:
    """Say whether a path is one of OpenAI's; the others are Ollama's."""
    return path.startswith("/v1/")


def counts(path: str, read: Any = INPUT_TOKENS, written: Any = OUTPUT_TOKENS) -> dict[str, Any]:
    """Return the members that report usage on this path."""
    if is_openai(path):
        return {"usage": {"prompt_tokens": read, "completion_tokens": written}}
    return {"prompt_eval_count": read, "eval_count": written}


def whole(path: str, text: str = "".join(TOKENS), **usage: Any) -> bytes:
    """Return an answer that is not streamed; ``usage`` replaces the counts of an honest one."""
    reported = usage or counts(path)
    if is_openai(path):
        return json.dumps({"choices": [{"index": 0, "text": text}], **reported}).encode()
    return json.dumps({"response": text, "done": True, **reported}).encode()


def pieces(path: str, tokens: Sequence[str] = TOKENS, **usage: Any) -> list[bytes]:
    """Return the pieces of a streamed answer, a token each, the usage at the end."""
    reported = usage or counts(path)
    if not is_openai(path):
        lines = [*({"response": token, "done": False} for token in tokens), {"response": "", "done": True, **reported}]
        return [json.dumps(line).encode() + b"\n" for line in lines]
    events = [*({"choices": [{"index": 0, "text": token}]} for token in tokens), {"choices": [], **reported}]
    return [*(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events), b"data: [DONE]\n\n"]


def stream_fields(path: str) -> Fields:
    """Return the fields of a streamed answer."""
    return EVENTS if is_openai(path) else LINES


def same_request(got: bytes, sent: bytes) -> bool:
    """Say whether the engine got what the client sent: written anew perhaps, without members that are null, and with
    limits of the node's own, which the credit may set. Requirements: NODE-040, NODE-056."""
    wanted = without_nulls(json.loads(sent))
    return bool(without_nulls(without_limits(json.loads(got), wanted)) == wanted)


def without_limits(got: dict[str, Any], sent: dict[str, Any]) -> dict[str, Any]:
    """Return what the engine got without limits on tokens that the client has not set. Requirements: NODE-056."""
    kept = {name: value for name, value in got.items() if name in sent or name not in LIMITS}
    if isinstance(options := kept.get("options"), dict):
        asked = sent.get("options", {})
        options = {name: value for name, value in options.items() if name in asked or name not in LIMITS}
        kept["options"] = options
        if not options and "options" not in sent:
            del kept["options"]
    return kept


def without_nulls(value: Any) -> Any:
    """Return a JSON value without members that are null, which count as absent. Requirements: NODE-039."""
    if isinstance(value, dict):
        return {name: without_nulls(member) for name, member in value.items() if member is not None}
    return [without_nulls(entry) for entry in value] if isinstance(value, list) else value


async def honest(received: Received, responder: Responder) -> None:
    """Answer as an engine does."""
    await received.end()
    path = received.target.decode("latin-1")
    try:
        asked = json.loads(received.body)
    except ValueError:
        asked = None
    if received.method != b"POST" or path not in PATHS or not isinstance(asked, dict):
        await answer_after_request(received, responder, 400, JSON, b'{"error":"not understood"}')
    elif asked.get("stream") is True:
        await stream(responder, path, pieces(path))
    else:
        await answer_after_request(received, responder, 200, JSON, whole(path))


async def stream(responder: Responder, path: str, parts: Sequence[bytes]) -> None:
    """Send a whole streamed answer."""
    await responder.send_head(200, stream_fields(path))
    for part in parts:
        await responder.send(part)
    await responder.finish()


def saying(content: bytes, *, status: int = 200, fields: Fields = JSON) -> Answer:
    """Return an engine that says this to everything, with its length."""

    async def answer(received: Received, responder: Responder) -> None:
        await answer_after_request(received, responder, status, fields, content)

    return answer


def streaming(parts: Sequence[bytes], path: str = PATHS[0]) -> Answer:
    """Return an engine that streams this to everything."""

    async def answer(received: Received, responder: Responder) -> None:
        await received.end()
        await stream(responder, path, parts)

    return answer
