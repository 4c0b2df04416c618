"""Drawing sessions, shrinking the one that goes wrong, and doing a saved one again."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any, Protocol

import anyio

from conformance.exploration import bank, nonce_lock
from conformance.exploration.search import Disagreement, Operation, Session
from conformance.exploration.shrink import shortest
from conformance.registry import Check
from conformance.roles import Role
from conformance.verdicts import Violation

EXPLORED_ROLES = (Role.BANK, Role.NONCE_LOCK)

SESSIONS = 150
"""How many sessions are drawn before subject and model are taken to agree."""

_REQUIREMENTS = {
    Role.BANK: ("PAY-140", "PAY-076", "PAY-080", "PAY-085"),
    Role.NONCE_LOCK: ("PAY-101", "PAY-102", "PAY-104"),
}
_OPERATIONS: Mapping[Role, Mapping[str, tuple[int, ...]]] = {
    Role.BANK: bank.OPERATIONS,
    Role.NONCE_LOCK: nonce_lock.OPERATIONS,
}
_STEPS = 8
_AT_ONCE = 3
_DRAWING, _SHRINKING = 0.6, 0.9
"""The parts of a case's time after which no session is drawn any more, and no shorter one tried."""


class Player(Protocol):
    """The parties of one session."""

    async def play(self, session: Session) -> None:
        """Do a session. Raises :class:`Disagreement`."""


class SessionInvalid(Exception):
    """A file holds no saved session; the text says what was expected."""


class _Enough(BaseException):
    """Ends a search from within: Hypothesis has nothing more to do."""


def player(role: Role, case: Any) -> Player:
    """Return fresh parties for a session."""
    return bank.BankPlayer(case) if role is Role.BANK else nonce_lock.NonceLockPlayer(case)


def exploration(role: Role, *, seed: str, time_s: float, save_to: Path, sessions: int = SESSIONS) -> Check:
    """Return a check that explores; a session that goes wrong is written to ``save_to``."""

    async def explore(case: Any) -> None:
        began = monotonic()

        def before(share: float) -> bool:
            return monotonic() - began < time_s * share

        async def play(session: Session) -> None:
            await player(role, case).play(session)

        found = await anyio.to_thread.run_sync(partial(_draw, role, case, seed, sessions, partial(before, _DRAWING)))
        if found is not None:
            found = await shortest(found, play, goes_on=partial(before, _SHRINKING))
            await anyio.Path(save_to).write_text(encode_session(role, found.session), encoding="utf-8")
            raise _violation(found, f"saved as {save_to}")

    return _check(role, "sessions", f"{sessions} drawn sessions go as the model allows", explore)


def repetition(role: Role, session: Session) -> Check:
    """Return a check that does a saved session again."""

    async def repeat(case: Any) -> None:
        try:
            await player(role, case).play(session)
        except Disagreement as found:
            raise _violation(found, "as saved") from found

    return _check(role, "saved-session", "A saved session goes as the model allows", repeat)


def _check(role: Role, name: str, title: str, function: Any) -> Check:
    return Check(
        id=f"{role}.exploration.{name}",
        title=title,
        requirements=_REQUIREMENTS[role],
        needs=(),
        costly=True,
        function=function,
    )


def _violation(found: Disagreement, where: str) -> Violation:
    return Violation(
        "answers and balances that the model allows",
        f"in {len(found.session)} steps, {where}: {found.observed}",
    )


def _draw(role: Role, case: Any, seed: str, sessions: int, goes_on: Callable[[], bool]) -> Disagreement | None:
    """Draw sessions until one goes wrong, and return how. Runs in a thread beside the event loop."""
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis import seed as seeded

    found: list[Disagreement] = []

    def one(session: Session) -> None:
        if not goes_on():
            raise _Enough
        try:
            anyio.from_thread.run(player(role, case).play, session)
        except Disagreement as disagreement:
            found.append(disagreement)
            raise _Enough from disagreement

    search = settings(
        max_examples=sessions,
        deadline=None,
        database=None,
        derandomize=False,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
        print_blob=False,
    )(seeded(seed)(given(session=_sessions(role))(one)))
    with suppress(_Enough):
        search()
    return found[0] if found else None


def _sessions(role: Role) -> Any:
    from hypothesis import strategies

    operations = strategies.one_of(
        [
            strategies.tuples(*[strategies.integers(0, choices - 1) for choices in numbers]).map(
                partial(Operation, name)
            )
            for name, numbers in _OPERATIONS[role].items()
        ]
    )
    alone = operations.map(lambda operation: (operation,))
    mixed = strategies.lists(operations, min_size=2, max_size=_AT_ONCE).map(tuple)
    the_same = operations.map(lambda operation: (operation,) * _AT_ONCE)
    steps = strategies.one_of(alone, mixed, the_same)
    return strategies.lists(steps, min_size=1, max_size=_STEPS).map(tuple)


def encode_session(role: Role, session: Session) -> str:
    """Return a session as a file: a list of steps, each a list of operations, each its name and its numbers."""
    steps = [[[operation.do, *operation.numbers] for operation in step] for step in session]
    lines = ",\n  ".join(json.dumps(step) for step in steps)
    return f'{{"role": "{role}", "session": [\n  {lines}\n]}}\n'


def decode_session(text: str) -> tuple[Role, Session]:
    """Return role and session of a file. Raises :class:`SessionInvalid`."""
    try:
        document = json.loads(text)
        role = Role(document["role"])
        known = _OPERATIONS[role]
        session = tuple(tuple(Operation(do, tuple(numbers)) for do, *numbers in step) for step in document["session"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise SessionInvalid(f"expected a saved session of a bank or a nonce lock: {error}") from error
    for operation in (operation for step in session for operation in step):
        choices = known.get(operation.do)
        if choices is None or len(choices) != len(operation.numbers):
            raise SessionInvalid(f"expected one of {', '.join(known)} with its numbers, found {operation}")
        for number, limit in zip(operation.numbers, choices, strict=True):
            if type(number) is not int or not 0 <= number < limit:
                raise SessionInvalid(f"expected numbers from 0 to {limit - 1} in {operation.do}, found {number!r}")
    return role, session
