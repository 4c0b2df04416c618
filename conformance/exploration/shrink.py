"""From a session that goes wrong to the shortest one that still does.

Subjects race, so the same session may go wrong now and well then: what does several operations at once is tried a few
times before it counts as going well. A shrinker that takes its subject for deterministic gives up there.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator

from conformance.exploration.search import Disagreement, Session

TRIES = 4
"""How often a session with operations at once is played before it counts as going well."""

Play = Callable[[Session], Awaitable[None]]
"""Does a session, from nothing. Raises :class:`Disagreement`."""


async def shortest(found: Disagreement, play: Play, *, goes_on: Callable[[], bool] = lambda: True) -> Disagreement:
    """Return a disagreement from whose session nothing can be left out, or the best one so far when time is over."""
    tried = {found.session}
    while True:
        for session in _shorter(found.session):
            if session in tried:
                continue
            if not goes_on():
                return found
            tried.add(session)
            again = await _disagreement(session, play)
            if again is not None:
                found = again
                break
        else:
            return found


async def _disagreement(session: Session, play: Play) -> Disagreement | None:
    for _ in range(TRIES if any(len(step) > 1 for step in session) else 1):
        try:
            await play(session)
        except Disagreement as found:
            return found
    return None


def _shorter(session: Session) -> Iterator[Session]:
    """Yield shorter sessions: without half of the steps and fewer, down to one; without one of several operations."""
    size = len(session) // 2
    while size:
        for start in range(0, len(session), size):
            yield session[:start] + session[start + size :]
        size //= 2
    for place, step in enumerate(session):
        if len(step) > 1:
            for number in range(len(step)):
                yield (*session[:place], step[:number] + step[number + 1 :], *session[place + 1 :])
