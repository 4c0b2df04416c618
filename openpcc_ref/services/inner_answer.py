"""What a gateway says on its own account: problems in clear, answers inside an encapsulated response.

Before a request is opened nothing can be sealed, so the relay reads the problem too; afterwards only the client may.
Requirements: OHT-062 to OHT-064.
"""

from __future__ import annotations

import json
from enum import Enum

from openpcc_ref.binary_http import Fields

PROBLEM_MEDIA_TYPE = b"application/problem+json"


class Problem(Enum):
    """A problem type with its title (RFC 9457; RFC 9458 section 5.3)."""

    KEY = (
        "https://iana.org/assignments/http-problem-types#ohttp-key",
        "Oblivious HTTP key configuration not acceptable",
    )
    BLANK = ("about:blank", "See HTTP Status Code")

    def document(self) -> bytes:
        """Return the JSON document, as deployed gateways write it."""
        kind, title = self.value
        return json.dumps({"type": kind, "title": title}, separators=(",", ":")).encode() + b"\n"


class InnerAnswer(Exception):
    """An answer of the gateway itself that only the client gets to see. ``text`` is its plain text content."""

    def __init__(self, status: int, text: bytes, fields: Fields = ()) -> None:
        super().__init__(f"{status} {text.decode().strip()}")
        self.status = status
        self.text = text
        self.fields = fields


def bad_request() -> InnerAnswer:
    """The request was opened and is not acceptable. Requirements: OHT-064."""
    return InnerAnswer(400, b"Bad Request\n")
