"""What both ends of a connection exchange."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

Fields: TypeAlias = tuple[tuple[bytes, bytes], ...]
"""Field lines in order. Received names are lower-case; names are sent as given."""

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


def field_values(fields: Fields, name: bytes) -> tuple[bytes, ...]:
    """Return the values of all lines with that name, in order; names compare without case."""
    return tuple(value for line_name, value in fields if line_name.lower() == name.lower())


def field_value(fields: Fields, name: bytes) -> bytes | None:
    """Return the first value for a name, or None."""
    values = field_values(fields, name)
    return values[0] if values else None
