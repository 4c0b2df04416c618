"""What a request cost, and what its credit leaves. Requirements: NODE-050 to NODE-054."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from openpcc_ref.compute_node.errors import require_node
from openpcc_ref.credits.currency import CurrencyValue, exact, neighbours

INPUT_PRICE = 0.5
OUTPUT_PRICE = 2.0
"""Credits per token. Requirements: NODE-051."""

MAX_COUNTED_LINE = 2**16
"""Bytes of one line of a stream in which text is looked for; a token is shorter."""

MAX_LINE = 2**24
"""Bytes of one line of an answer that are kept to look for usage in; a longer line has none."""


_TEXTS = ("text", "content", "reasoning_content", "response", "thinking")
"""Members that hold generated text, in both dialects."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens that the engine read and wrote."""

    input_tokens: int
    output_tokens: int

    @property
    def cost(self) -> float:
        """What they cost, in credits. Requirements: NODE-051."""
        return INPUT_PRICE * self.input_tokens + OUTPUT_PRICE * self.output_tokens


def refund(credit_amount: int, status: int, usage: Usage | None, factor: float) -> CurrencyValue | None:
    """Return the refund of a request that the engine answered with ``status``, or None for no refund.

    An error refunds everything; an answer refunds what its usage leaves, rounded to a neighbour with the uniform
    ``factor`` of :func:`~openpcc_ref.credits.currency.rounding_factor`, and never more than the credit. A refund of 0
    is none (PAY-124). Requirements: NODE-050 to NODE-054. Raises
    :class:`~openpcc_ref.compute_node.ComputeNodeRejected` with ``compute-node.engine.status`` for another status.
    """
    if status >= 400:
        return exact(credit_amount)
    require_node(200 <= status <= 299, "engine.status", "status", "200 to 299, or at least 400")
    if usage is None or usage.cost >= credit_amount:
        return None
    rounding = neighbours(credit_amount - usage.cost)
    chosen = rounding.choose(factor)
    rounded = chosen if chosen <= credit_amount else rounding.lower
    return exact(rounded) if rounded else None


class UsageReader:
    """Reads the usage out of an answer while it streams by, line by line.

    ``tokens`` is how many tokens the answer has so far, at least: one for each line with text in it. That is all that
    can be known of a stream before its end. Requirements: NODE-056.

    On ``/v1/`` paths it is in the last line that holds a JSON object, with or without ``data: `` in front; on the
    others in the last line that is not blank. Numbers that are no counts are no usage. Requirements: NODE-052.
    """

    def __init__(self, path: str) -> None:
        self._openai = path.startswith("/v1/")
        self._line = bytearray()
        self._overlong = False
        self._last = b""
        self.tokens = 0

    def feed(self, data: bytes) -> None:
        """Look at a piece of the answer."""
        *ended, rest = data.split(b"\n")
        for piece in ended:
            self._append(piece)
            self._end_line()
        self._append(rest)

    def finish(self) -> Usage | None:
        """Say that the answer is over and return its usage, or None if it has none."""
        self._end_line()
        try:
            members = json.loads(self._last)
        except (ValueError, RecursionError):
            return None
        if not isinstance(members, dict):
            return None
        if not self._openai:
            return _usage(members, "prompt_eval_count", "eval_count")
        return _usage(members.get("usage"), "prompt_tokens", "completion_tokens")

    def _append(self, piece: bytes) -> None:
        self._overlong = self._overlong or len(self._line) + len(piece) > MAX_LINE
        if not self._overlong:
            self._line += piece

    def _end_line(self) -> None:
        line = bytes(self._line).strip()
        if self._openai:
            line = line.removeprefix(b"data: ")
            line = line if line.startswith(b"{") and line.endswith(b"}") else b""
        self.tokens += len(line) <= MAX_COUNTED_LINE and _has_text(line)
        if line or self._overlong:
            self._last = b"" if self._overlong else line
        self._line.clear()
        self._overlong = False


def _has_text(line: bytes) -> bool:
    """Say whether a line of a stream has generated text in it, in either dialect."""
    try:
        members = json.loads(line)
    except (ValueError, RecursionError):
        return False
    if not isinstance(members, dict):
        return False
    choices = members.get("choices")
    spoken = [members, *(choices if isinstance(choices, list) else ())]
    parts = [part for part in spoken if isinstance(part, dict)]
    parts += [part[name] for part in parts for name in ("delta", "message") if isinstance(part.get(name), dict)]
    return any(isinstance(part.get(name), str) and part[name] for part in parts for name in _TEXTS)


def _usage(members: Any, read: str, written: str) -> Usage | None:
    if not isinstance(members, dict):
        return None
    tokens_read, tokens_written = _count(members.get(read)), _count(members.get(written))
    return None if tokens_read is None or tokens_written is None else Usage(tokens_read, tokens_written)


def _count(value: Any) -> int | None:
    """Return a number of tokens; a negative one would refund more than was paid."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53 else None
