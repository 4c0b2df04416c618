"""A small inference engine that always says the same: a stand-in for a model, with usage counts and streams.

Run it as ``python -m openpcc_ref.services.engine`` with the configuration ``{}``. It speaks the four paths of a compute
node, streams when asked to, and counts a token for each word and each image. Offered tools, it calls one unless the
last message is what a tool answered. What it says depends on the request alone. Of images it holds the beginning only.
"""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any, Self

from openpcc_ref.http1 import IncomingRequest, Responder
from openpcc_ref.services.abridged import Abridged
from openpcc_ref.services.config import Settings
from openpcc_ref.services.launch import Service, main

MAX_TOKENS = 5
"""Tokens of an answer to a request that does not say."""

_OPENAI = ("/v1/completions", "/v1/chat/completions")
_PATHS = (*_OPENAI, "/api/generate", "/api/chat")


class Engine(Service):
    """Answers prompts with numbered words."""

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        Settings(config).end()
        return cls()

    async def handle(self, request: IncomingRequest, responder: Responder) -> None:
        path = request.target.decode("latin-1")
        content = Abridged()
        async for chunk in request.body():
            content.feed(chunk.data)
        try:
            asked = json.loads(content.finish())
        except ValueError:
            asked = None
        if path not in _PATHS or request.method != b"POST" or not isinstance(asked, dict):
            await self.answer(responder, 404 if path not in _PATHS else 400, {"error": "not understood"})
        elif asked.get("stream"):
            await self.stream(responder, path, asked)
        else:
            await self.answer(responder, 200, self.whole(path, asked))

    async def answer(self, responder: Responder, status: int, value: Any) -> None:
        """Send a JSON value."""
        content = _line(value)
        length = (b"content-length", str(len(content)).encode())
        await responder.send_head(status, ((b"content-type", b"application/json"), length))
        await responder.send(content)
        await responder.finish()

    async def stream(self, responder: Responder, path: str, asked: dict[str, Any]) -> None:
        """Send the answer in pieces, one a token."""
        openai = path in _OPENAI
        kind = b"text/event-stream" if openai else b"application/x-ndjson"
        await responder.send_head(200, ((b"content-type", kind), (b"transfer-encoding", b"chunked")))
        async for piece in self.pieces(path, asked):
            await responder.send(b"data: " + _line(piece) + b"\n\n" if openai else _line(piece) + b"\n")
        if openai:
            await responder.send(b"data: [DONE]\n\n")
        await responder.finish()

    async def pieces(self, path: str, asked: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
        """Yield the messages of a streamed answer, the last with the usage if that is wanted."""
        if tool := called_tool(path, asked):
            yield _piece(path, asked, _call(path, tool), "tool_calls")
        else:
            *tokens, last = self.tokens(asked)
            for token in tokens:
                yield _piece(path, asked, token)
            yield _piece(path, asked, last, "stop")
        if path not in _OPENAI:
            yield {**_piece(path, asked, ""), "done": True, **self.counts(path, asked)}
        elif (asked.get("stream_options") or {}).get("include_usage"):
            head = {"object": _object(path, "chunk"), "model": asked.get("model")}
            yield {**head, "choices": [], **self.counts(path, asked)}

    def whole(self, path: str, asked: dict[str, Any]) -> dict[str, Any]:
        """Return an answer that is not streamed."""
        tool = called_tool(path, asked)
        said = _call(path, tool) if tool else "".join(self.tokens(asked))
        piece = _piece(path, asked, said, "tool_calls" if tool else "stop")
        if path not in _OPENAI:
            return {**piece, "done": True, **self.counts(path, asked)}
        choice = piece["choices"][0]
        if "delta" in choice:
            choice["message"] = {"role": "assistant", **choice.pop("delta")}
        return {**piece, "object": _object(path, ""), **self.counts(path, asked)}

    def tokens(self, asked: dict[str, Any]) -> Iterator[str]:
        """Yield the tokens of an answer, at least one."""
        wanted = asked.get("max_completion_tokens") or asked.get("max_tokens") or MAX_TOKENS
        return (f"word{number} " for number in range(max(1, wanted)))

    def counts(self, path: str, asked: dict[str, Any]) -> dict[str, Any]:
        """Return the usage: a token for each word and image that was read and each word that was written."""
        read = _size(asked.get("prompt")) + sum(map(_message_size, asked.get("messages") or []))
        written = 1 if called_tool(path, asked) else len(list(self.tokens(asked)))
        if path not in _OPENAI:
            return {"prompt_eval_count": read, "eval_count": written}
        return {"usage": {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}}


def called_tool(path: str, asked: dict[str, Any]) -> str | None:
    """Return the name of the function that the answer calls: the one that must be called, or the first one offered."""
    messages, choice = asked.get("messages") or [{}], asked.get("tool_choice")
    tools = asked.get("tools") if "chat" in path else None
    if not tools or choice == "none" or messages[-1].get("role") == "tool":
        return None
    wanted = choice if isinstance(choice, dict) else tools[0]
    return str(wanted["function"]["name"])


def _message_size(message: dict[str, Any]) -> int:
    return _size(message.get("content")) + len(message.get("images") or ())


def _size(content: Any) -> int:
    """Return the words of a text, or of the parts of a content, where anything but a text counts as one word."""
    if isinstance(content, list):
        return sum(_size(part.get("text", "image")) for part in content)
    return len(str(content or "").split())


def _call(path: str, name: str) -> dict[str, Any]:
    """Return the part of a message that calls a function without arguments."""
    if path in _OPENAI:
        called = {"name": name, "arguments": "{}"}
        return {"tool_calls": [{"index": 0, "id": "call_0", "type": "function", "function": called}]}
    return {"content": "", "tool_calls": [{"function": {"name": name, "arguments": {}}}]}


def _object(path: str, kind: str) -> str:
    name = "chat.completion" if "chat" in path else "text_completion"
    return f"{name}.{kind}" if kind and "chat" in path else name


def _piece(path: str, asked: dict[str, Any], said: str | dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    """Return one message of an answer; ``said`` is a text, or the call of a tool."""
    head = {"model": asked.get("model")}
    message = {"content": said} if isinstance(said, str) else said
    match path:
        case "/api/generate":
            return {**head, "response": said, "done": False}
        case "/api/chat":
            return {**head, "message": {"role": "assistant", **message}, "done": False}
        case "/v1/completions":
            choice = {"index": 0, "text": said, "finish_reason": finish}
            return {**head, "object": _object(path, "chunk"), "choices": [choice]}
    choice = {"index": 0, "delta": message, "finish_reason": finish}
    return {**head, "object": _object(path, "chunk"), "choices": [choice]}


def _line(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


if __name__ == "__main__":
    main(Engine, sys.argv[1:])
