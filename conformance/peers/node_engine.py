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
