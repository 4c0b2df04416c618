"""Faults: reference services with one deliberate deviation each, and the checks that must notice it.

A fault is a subclass of a reference service that overrides one named place to misbehave. Run as a program,
``python -m conformance.faults FAULT_ID`` serves it by the launch protocol like any other subject.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

from conformance.roles import Role

Service = TypeVar("Service", bound=type[Any])

_faults: dict[str, Fault] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One deviation of one reference service.

    ``breaks`` are the requirements it breaks; ``trips`` the checks that must not pass; ``also`` further checks that
    notice it as a consequence and may do so; patterns (``conformance.selection.matches``) stand for many. Any other
    check must keep its verdict.
    """

    id: str
    breaks: tuple[str, ...]
    trips: tuple[str, ...]
    also: tuple[str, ...]
    service: type[Any]

    @property
    def role(self) -> Role:
        return Role(self.id.partition(".")[0])

    @property
    def story(self) -> str:
        """What the fault does, for people."""
        return inspect.getdoc(self.service) or ""


def fault(
    *, id: str, breaks: Sequence[str], trips: Sequence[str], also: Sequence[str] = ()
) -> Callable[[Service], Service]:
    """Declare the decorated service class as a fault."""

    def register(service: Service) -> Service:
        if id in _faults:
            raise ValueError(f"fault {id} is declared twice")
        if not trips or not breaks or not service.__doc__:
            raise ValueError(f"fault {id} needs a story, the requirements it breaks and the checks it trips")
        _faults[id] = Fault(id=id, breaks=tuple(breaks), trips=tuple(trips), also=tuple(also), service=service)
        return service

    return register


@cache
def faults() -> dict[str, Fault]:
    """Return all faults by id."""
    for module in pkgutil.walk_packages(__path__, f"{__name__}."):
        if not module.name.endswith(".__main__"):
            importlib.import_module(module.name)
    return dict(sorted(_faults.items()))
