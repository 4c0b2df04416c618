"""What the runner's parties read and write, kept for the transcript and for checks."""

from __future__ import annotations

from conformance.transcript import Transcript
from openpcc_ref.http1 import Tap


class Taps:
    """Taps of the runner's parties; what they are told in a case goes into its transcript and is kept by party."""

    def __init__(self) -> None:
        self.inputs: dict[str, dict[int, bytearray]] = {}
        """Party to connection to the bytes that came in, since the last reset."""
        self.transcript: Transcript | None = None

    def reset(self, transcript: Transcript | None) -> None:
        """Begin a case, or an exchange of which nothing is recorded."""
        self.transcript = transcript
        self.inputs = {}

    def of(self, party: str) -> Tap:
        """Return the tap for the connections of one party."""

        def tap(connection: int, direction: str, time: float, data: bytes) -> None:
            if direction == "in":
                self.inputs.setdefault(party, {}).setdefault(connection, bytearray()).extend(data)
            if self.transcript is not None:
                self.transcript.record(party, connection, direction, time, data)

        return tap
