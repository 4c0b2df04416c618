"""A small inference engine that always says the same: a stand-in for a model, with usage counts and streams.

Run it as ``python -m openpcc_ref.services.engine`` with the configuration ``{}``. It speaks the four paths of a compute
node, streams when asked to, and counts a token for each word. What it says depends on the request alone.
"""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any, Self

from openpcc_ref.http1 import IncomingRequest, Responder
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
        content = b"".join([chunk.data async for chunk in request.body()])
        try:
            asked = json.loads(content)
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
        for token in self.tokens(asked):
            yield _piece(path, asked, token)
        if path not in _OPENAI:
            yield {**_piece(path, asked, ""), "done": True, **self.counts(path, asked)}
        elif (asked.get("stream_options") or {}).get("include_usage"):
            yield {
                "object": _object(path, "chunk"),
                "model": asked.get("model"),
                "choices": [],
                **self.counts(path, asked),
            }

    def whole(self, path: str, asked: dict[str, Any]) -> dict[str, Any]:
        """Return an answer that is not streamed."""
        text = "".join(self.tokens(asked))
        if path not in _OPENAI:
            return {**_piece(path, asked, text), "done": True, **self.counts(path, asked)}
        piece = _piece(path, asked, text)
        choice = piece["choices"][0]
        if "delta" in choice:
            choice["message"] = {"role": "assistant", **choice.pop("delta")}
        return {**piece, "object": _object(path, ""), **self.counts(path, asked)}

    def tokens(self, asked: dict[str, Any]) -> Iterator[str]:
        """Yield the tokens of an answer."""
        wanted = asked.get("max_completion_tokens") or asked.get("max_tokens") or MAX_TOKENS
        return (f"word{number} " for number in range(wanted))

    def counts(self, path: str, asked: dict[str, Any]) -> dict[str, Any]:
        """Return the usage: a token for each word that was read and written."""
        read = len(_prompt(asked).split())
        written = len(list(self.tokens(asked)))
        if path not in _OPENAI:
            return {"prompt_eval_count": read, "eval_count": written}
        return {"usage": {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}}


def _prompt(asked: dict[str, Any]) -> str:
    messages = [message.get("content") for message in asked.get("messages") or []]
    return " ".join(str(part) for part in (asked.get("prompt") or "", *messages))


def _object(path: str, kind: str) -> str:
    name = "chat.completion" if "chat" in path else "text_completion"
    return f"{name}.{kind}" if kind and "chat" in path else name


def _piece(path: str, asked: dict[str, Any], text: str) -> dict[str, Any]:
    head = {"model": asked.get("model")}
    match path:
        case "/api/generate":
            return {**head, "response": text, "done": False}
        case "/api/chat":
            return {**head, "message": {"role": "assistant", "content": text}, "done": False}
        case "/v1/completions":
            return {**head, "object": _object(path, "chunk"), "choices": [{"index": 0, "text": text}]}
    return {**head, "object": _object(path, "chunk"), "choices": [{"index": 0, "delta": {"content": text}}]}


def _line(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


if __name__ == "__main__":
    main(Engine, sys.argv[1:])
