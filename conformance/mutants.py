"""Mutants: the reference with exactly one check switched off.

Most are made by :func:`openpcc_ref.errors.without_check`. Where a check cannot be left out because the
code behind it has nothing to go on with (a tag that does not verify yields no plaintext), the mutant is
written here.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from openpcc_ref.errors import without_check

_written: dict[str, Callable[[], AbstractContextManager[None]]] = {}
"""Error code to the mutant that ignores it, for checks that need more than being left out."""


def mutant(code: str) -> AbstractContextManager[None]:
    """Return a context in which the reference lacks the check that refuses with ``code``."""
    return _written[code]() if code in _written else without_check(code)
