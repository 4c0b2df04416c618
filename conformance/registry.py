"""Checks: how one is declared, and the registry of all."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from conformance.requirements import Level, requirements
from conformance.roles import Role

CheckFunction = Callable[[Any], Awaitable[None]]

_ID = re.compile(r"[a-z-]+(\.[a-z0-9-]+){2,3}(@[a-z]+=[a-z0-9-]+)?")
_checks: dict[str, Check] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One observable fact about one role.

    ``requirements[0]`` is the row whose level decides between failure and warning; the others are shown by the
    same observation. ``needs`` are capabilities of the target (``conformance.capabilities``). A ``costly`` check
    takes seconds and is left out where every fault meets every check.
    """

    id: str
    title: str
    requirements: tuple[str, ...]
    needs: tuple[str, ...]
    costly: bool
    function: CheckFunction

    @property
    def role(self) -> Role:
        return Role(self.id.partition(".")[0])

    @property
    def story(self) -> str:
        """What happens in the check, for people."""
        return inspect.getdoc(self.function) or ""

    @property
    def level(self) -> Level:
        return requirements()[self.requirements[0]].level


def check(
    *, id: str, requirements: Sequence[str], title: str, needs: Sequence[str] = (), costly: bool = False
) -> Callable[[CheckFunction], CheckFunction]:
    """Declare the decorated coroutine function as a check.

    It receives the world of its role, returns when the rule holds and raises ``Violation`` when it does not.
    """

    def register(function: CheckFunction) -> CheckFunction:
        if not _ID.fullmatch(id) or len(id) > 80:
            raise ValueError(f"check id {id!r} is not role.area.fact")
        if id in _checks:
            raise ValueError(f"check {id} is declared twice")
        if not requirements or not function.__doc__:
            raise ValueError(f"check {id} needs a requirement and a story")
        _checks[id] = Check(
            id=id,
            title=title,
            requirements=tuple(requirements),
            needs=tuple(needs),
            costly=costly,
            function=function,
        )
        return function

    return register


@cache
def checks() -> dict[str, Check]:
    """Return all checks by id, in the order of their ids."""
    import conformance.checks as package

    for module in pkgutil.walk_packages(package.__path__, prefix=f"{package.__name__}."):
        importlib.import_module(module.name)
    return dict(sorted(_checks.items()))
