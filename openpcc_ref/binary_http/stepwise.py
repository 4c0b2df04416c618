"""Parsing input that arrives piece by piece: steps that pause until the next bytes are there."""

from __future__ import annotations

from collections.abc import Generator
from typing import TypeAlias, TypeVar

from openpcc_ref.binary_http.messages import BinaryHttpRejected
from openpcc_ref.errors import require
from openpcc_ref.varint import varint_length

_T = TypeVar("_T")
Steps: TypeAlias = Generator[None, None, _T]
"""A parsing step: pauses for more input, returns its value."""


class Input:
    """The bytes that have arrived and are not yet consumed; ``offset`` is where they begin in the message."""

    def __init__(self, data: bytes = b"", *, offset: int = 0, ended: bool = False) -> None:
        self._buffer = bytearray(data)
        self.ended = ended
        self.offset = offset

    def append(self, data: bytes) -> None:
        """Take bytes that have arrived."""
        self._buffer += data

    def at_end(self) -> Steps[bool]:
        """Say whether the input is over; pauses until that is known."""
        while not self._buffer and not self.ended:
            yield
        return not self._buffer

    def exactly(self, length: int, part: str) -> Steps[bytes]:
        """Return the next ``length`` bytes; the part is truncated when they do not come."""
        while len(self._buffer) < length and not self.ended:
            yield
        require(
            len(self._buffer) >= length,
            BinaryHttpRejected,
            f"binary-http.{part}.truncated",
            where=f"offset {self.offset}",
            expected=f"{length} bytes, {len(self._buffer)} left",
        )
        return self.up_to(length)

    def up_to(self, length: int) -> bytes:
        """Return what is there of the next ``length`` bytes."""
        taken = bytes(self._buffer[:length])
        del self._buffer[: len(taken)]
        self.offset += len(taken)
        return taken

    def varint(self, part: str) -> Steps[int]:
        """Return the next integer, in whichever of its four lengths. Requirements: MSG-001, MSG-003."""
        first = yield from self.exactly(1, part)
        length = varint_length(first[0]) if first else 1
        rest = yield from self.exactly(length - 1, part)
        return int.from_bytes(first + rest, "big") & (1 << (8 * length - 2)) - 1
