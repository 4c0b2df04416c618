"""The text form of values and credits in HTTP fields: padded standard base64. Requirements: PAY-033."""

from __future__ import annotations

import base64
import re

from openpcc_ref.credits.errors import CreditRejected
from openpcc_ref.errors import require

_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")


def to_text(data: bytes) -> str:
    """Return the text form of ``data``."""
    return base64.b64encode(data).decode("ascii")


def from_text(text: str, code: str) -> bytes:
    """Return the bytes of a text form. Raises :class:`CreditRejected` with ``code``.

    With that check off, the URL-safe alphabet and missing padding are understood as well.
    """
    require(
        _BASE64.fullmatch(text) is not None,
        CreditRejected,
        code,
        where="text",
        expected="base64 in the standard alphabet with padding",
    )
    characters = re.sub(r"[^A-Za-z0-9+/]", "", text.replace("-", "+").replace("_", "/"))
    whole = characters[: len(characters) - (len(characters) % 4 == 1)]
    return base64.b64decode(whole + "=" * (-len(whole) % 4))
