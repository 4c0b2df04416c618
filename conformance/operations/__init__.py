"""The operations that vectors exercise: ``area.verb-noun`` to a function from JSON input to JSON result.

Octets are lower-case hex in both directions. An operation either returns its result or raises
:class:`openpcc_ref.errors.Rejected`; anything else is a fault of the reference. The same names and shapes are
what a library under test answers to, so an operation never exposes Python types.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from typing import Any

Operation = Callable[[dict[str, Any]], dict[str, Any]]

_operations: dict[str, Operation] = {}


def operation(name: str) -> Callable[[Operation], Operation]:
    """Register the decorated function under ``name``."""

    def register(function: Operation) -> Operation:
        if name in _operations:
            raise ValueError(f"operation {name} is defined twice")
        _operations[name] = function
        return function

    return register


def operations() -> dict[str, Operation]:
    """Return all operations by name; every module of this package is loaded."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    return dict(sorted(_operations.items()))
