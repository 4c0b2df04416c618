"""The text form of values and credits in HTTP fields: padded standard base64. Requirements: PAY-033."""

from __future__ import annotations

from openpcc_ref import base64_text
from openpcc_ref.base64_text import to_text
from openpcc_ref.credits.errors import CreditRejected

__all__ = ["from_text", "to_text"]


def from_text(text: str, code: str) -> bytes:
    """Return the bytes of a text form. Raises :class:`CreditRejected` with ``code``."""
    return base64_text.from_text(text, CreditRejected, code)
