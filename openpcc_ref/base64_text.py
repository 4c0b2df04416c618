"""The text form of octets in HTTP fields: base64 in the standard alphabet, with padding (RFC 4648 section 4)."""

from __future__ import annotations

import base64
import re

from openpcc_ref.errors import Rejected, require

_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")


def to_text(data: bytes) -> str:
    """Return the text form of ``data``."""
    return base64.b64encode(data).decode("ascii")


def from_text(text: str, rejection: type[Rejected], code: str) -> bytes:
    """Return the bytes of a text form. Raises ``rejection`` with ``code``.

    With that check off, the URL-safe alphabet and missing padding are understood as well.
    """
    require(
        _BASE64.fullmatch(text) is not None,
        rejection,
        code,
        where="text",
        expected="base64 in the standard alphabet with padding",
    )
    characters = re.sub(r"[^A-Za-z0-9+/]", "", text.replace("-", "+").replace("_", "/"))
    whole = characters[: len(characters) - (len(characters) % 4 == 1)]
    return base64.b64decode(whole + "=" * (-len(whole) % 4))
