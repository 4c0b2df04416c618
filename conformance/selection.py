"""Which checks a run covers: by role, by id pattern, by requirement."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence

from conformance.registry import Check
from conformance.roles import Role


class SelectionInvalid(Exception):
    """A pattern or id matches nothing; the text suggests what may have been meant."""


def select(
    checks: Mapping[str, Check],
    *,
    roles: Sequence[Role] = (),
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    requirements: Sequence[str] = (),
) -> list[Check]:
    """Return the checks that every given criterion admits; an empty criterion admits all.

    Raises :class:`SelectionInvalid` for a pattern or requirement that no check of the suite has.
    """
    for pattern in (*include, *exclude):
        if not any(matches(pattern, name) for name in checks):
            raise SelectionInvalid(f"no check matches {pattern!r}{suggestion(pattern, checks)}")
    cited = {name for check in checks.values() for name in check.requirements}
    for name in requirements:
        if name not in cited:
            raise SelectionInvalid(f"no check verifies requirement {name!r}{suggestion(name, cited)}")
    return [
        check
        for name, check in checks.items()
        if (not roles or check.role in roles)
        and (not include or any(matches(pattern, name) for pattern in include))
        and not any(matches(pattern, name) for pattern in exclude)
        and (not requirements or set(requirements) & set(check.requirements))
    ]


def matches(pattern: str, name: str) -> bool:
    """Say whether an id matches: ``*`` is (part of) one segment, ``**`` any number of segments."""
    parts = re.split(r"(\*\*|\*)", pattern)
    expression = "".join({"**": ".*", "*": "[^.]*"}.get(part, re.escape(part)) for part in parts)
    return re.fullmatch(expression, name) is not None


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return "; did you mean …?" with the nearest known name, or nothing."""
    near = difflib.get_close_matches(name, [str(other) for other in known], n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else ""
