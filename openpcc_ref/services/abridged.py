"""Reading JSON without the bulk of the images in it, which a reader that looks at words has no use for."""

from __future__ import annotations

import re

KEPT = 4096
"""Characters of a run that are kept."""

_RUN = rb"0-9A-Za-z+/=_-"
_LONG = re.compile(rb"(?<![%b])([%b]{%d})[%b]+" % (_RUN, _RUN, KEPT, _RUN))
_ALPHABET = bytes(octet for octet in range(128) if re.match(rb"[%b]" % _RUN, bytes([octet])))


class Abridged:
    """Takes a JSON text in pieces and holds it with every run of base64 characters cut to 4096.

    Outside of strings JSON has no such runs, and inside it none is part of an escape beyond its beginning: what was
    JSON remains JSON, with as many words. A text of which an image is most is held in a few kilobytes.
    """

    def __init__(self) -> None:
        self._text = bytearray()
        self._run = 0
        """Where the run begins that the text so far ends with."""

    def feed(self, data: bytes) -> None:
        """Take the next piece."""
        self._text += data
        self._text[self._run :] = _LONG.sub(rb"\1", self._text[self._run :])
        self._run += len(self._text[self._run :].rstrip(_ALPHABET))

    def finish(self) -> bytes:
        """Return what was kept."""
        return bytes(self._text)
