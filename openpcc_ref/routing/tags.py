"""Tags: what a node says of itself and a client asks for. Requirements: RTR-017, RTR-018, RTR-095."""

from __future__ import annotations

from collections.abc import Iterable, Set

from openpcc_ref.routing.errors import require_routing

MAX_TAG = 512
"""Bytes of a tag in UTF-8, at most. Requirements: RTR-095."""

MODEL = "model"
"""The key of the tags that name a served model, as in ``model=llama3.2:1b``."""


def decode_tags(tags: Iterable[str], where: str) -> frozenset[str]:
    """Return a set of tags; repeated ones collapse. Requirements: RTR-095.

    Raises :class:`~openpcc_ref.routing.RoutingRejected` with ``routing.tag.long``.
    """
    decoded = frozenset(tags)
    for tag in decoded:
        require_routing(len(tag.encode()) <= MAX_TAG, "tag.long", where, f"at most {MAX_TAG} bytes in a tag")
    return decoded


def matches(requested: Set[str], offered: Set[str]) -> bool:
    """Say whether a node that offers these tags has all requested ones. Requirements: RTR-017, RTR-018."""
    return requested <= offered


def pair(key: str, value: str) -> str:
    """Return the tag ``key=value``. Raises ValueError for an equals sign inside."""
    if "=" in key + value:
        raise ValueError("neither key nor value of a tag contains an equals sign")
    return f"{key}={value}"


def values(tags: Iterable[str], key: str) -> frozenset[str]:
    """Return what the tags give for a key; ``key=`` gives the empty value."""
    return frozenset(tag.removeprefix(f"{key}=") for tag in tags if tag.startswith(f"{key}="))


def parse_field(text: str) -> frozenset[str]:
    """Return the tags in a value of ``X-Confsec-Node-Tags``: separated by commas, blanks around them dropped.

    Nothing but commas and blanks asks for any node. Raises as :func:`decode_tags` does.
    """
    return decode_tags(filter(None, (part.strip() for part in text.split(","))), "X-Confsec-Node-Tags")
