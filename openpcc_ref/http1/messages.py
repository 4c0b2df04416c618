"""What both ends of a connection exchange."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

Tap: TypeAlias = Callable[[int, str, float, bytes], None]
"""Told of every read and write: connection id, "in" or "out", monotonic seconds, the bytes."""

MAX_HEAD = 256 * 1024
"""Bytes of one start line with its fields, or of one trailer section."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of content as it arrived.

    With the chunked transfer coding ``starts`` and ``ends`` say whether it opens and closes a chunk of the wire; a
    chunk may arrive in several pieces. Without that coding both are false.
    """

    data: bytes
    starts: bool = False
    ends: bool = False
