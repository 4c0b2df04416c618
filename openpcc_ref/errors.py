"""The one way in which the reference refuses an input.

Every module has one subclass of :class:`Rejected`; every check in a decoder is one call of
:func:`require`. Because all refusals pass through that function, a single check can be switched off
(:func:`without_check`): that is how the build proves that a negative vector has exactly one fault.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_switched_off: ContextVar[frozenset[str]] = ContextVar("switched_off", default=frozenset())


class Rejected(Exception):
    """The peer's input violates the protocol.

    ``code`` is stable and dotted, from general to particular; ``where`` is an offset or field path;
    ``expected`` says what would have been right. No value of the input is ever part of the text.
    """

    def __init__(self, code: str, *, where: str, expected: str) -> None:
        super().__init__(f"{code} at {where}: expected {expected}")
        self.code = code
        self.where = where
        self.expected = expected


def require(holds: bool, rejection: type[Rejected], code: str, *, where: str, expected: str) -> None:
    """Raise ``rejection`` unless ``holds``; the code after a call must stay total with the check off."""
    if not holds and code not in _switched_off.get():
        raise rejection(code, where=where, expected=expected)


@contextmanager
def without_check(*codes: str) -> Iterator[None]:
    """Switch checks off by code: a mutant of the reference, for proofs about vectors and nothing else."""
    token = _switched_off.set(_switched_off.get() | set(codes))
    try:
        yield
    finally:
        _switched_off.reset(token)
