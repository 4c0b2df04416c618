"""How the parties that a client depends on can fail it."""

from __future__ import annotations

from openpcc_ref.errors import Rejected


class NoAnswer(Exception):
    """No answer came, or none that is whole: what became of the request is unknown."""


class Refused(Exception):
    """A party answered that it will not; ``status`` is its HTTP status."""

    def __init__(self, party: str, status: int, text: str) -> None:
        super().__init__(f"{party} answered with status {status}: {text}")
        self.status = status


class ClientRejected(Rejected):
    """What a party answered is not what it must be. Codes begin with ``client``."""
