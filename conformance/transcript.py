"""Transcripts: every byte on the wire during a case, as a CBOR sequence (RFC 8742).

The first item describes the case; each further item is one read or write:
``{"t": seconds, "party": …, "connection": n, "direction": "in" | "out", "data": bytes}``, in the order seen by the
runner; ``t`` counts from the first. ``party`` is the role the runner plays on that connection.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cbor2

MAX_BYTES = 4 * 2**20
"""What one transcript keeps; events beyond it are counted and left out."""


class Transcript:
    """Collects the events of one case."""

    def __init__(self, case_id: str, seed: str) -> None:
        self.case_id = case_id
        self._head = {"format": "openpcc-transcript", "version": 1, "case": case_id, "seed": seed}
        self._events: list[dict[str, Any]] = []
        self._started: float | None = None
        self._size = 0
        self._left_out = 0

    def record(self, party: str, connection: int, direction: str, time: float, data: bytes) -> None:
        """Add one read or write at a monotonic time in seconds."""
        self._started = time if self._started is None else self._started
        if self._size + len(data) > MAX_BYTES:
            self._left_out += 1
            return
        self._size += len(data)
        event = {"t": round(time - self._started, 6), "party": party, "connection": connection}
        self._events.append({**event, "direction": direction, "data": data})

    def encode(self) -> bytes:
        """Return the CBOR sequence."""
        items = [{**self._head, "left_out": self._left_out}, *self._events]
        return b"".join(cbor2.dumps(item, canonical=True) for item in items)

    def write(self, folder: Path) -> Path:
        """Write the transcript to ``folder`` under the case's id and return the path."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.case_id}.cborseq"
        path.write_bytes(self.encode())
        return path


def read(data: bytes) -> Iterator[dict[str, Any]]:
    """Yield the items of a transcript."""
    import io

    stream = io.BytesIO(data)
    decode: Callable[[], Any] = cbor2.CBORDecoder(stream).decode
    while stream.tell() < len(data):
        yield decode()
