"""Sessions with a nonce lock: the model of what it may do, and the services that do it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from conformance.exploration.search import Disagreement, Observed, Operation, Session, Step, possible_after, told
from conformance.peers.at_once import at_once
from conformance.peers.bank import Reply
from conformance.peers.nonce_lock import NonceLockCase
from conformance.verdicts import Violation
from openpcc_ref.banking import messages

NONCES = 3
OPERATIONS = {"lock": (NONCES,), "consume": (NONCES, 6), "release": (NONCES, 6)}
"""Operation to how many choices each of its numbers has: nonce, ticket."""

_FREE, _LOCKED, _CONSUMED = "free", "locked", "consumed"
NonceStates = tuple[tuple[str, int], ...]
"""For each nonce its state and the number of the ticket that it is in under."""

ALL_FREE: NonceStates = ((_FREE, -1),) * NONCES


class NonceLockModel:
    """What a nonce lock may do. Answering a repeated consumption with 200 is allowed, and so is refusing it."""

    def after(
        self, state: NonceStates, operation: Operation, observed: Observed, beside: Step
    ) -> Iterator[NonceStates]:
        """Yield the states in which ``operation`` can leave ``state`` if this was observed of it."""
        nonce = operation.numbers[0]
        kind, ticket = state[nonce]
        if operation.do == "lock":
            if observed.done and kind == _FREE:
                yield _set(state, nonce, (_LOCKED, observed.numbers[0]))
            elif not observed.done and kind != _FREE:
                yield state
            return
        right = kind != _FREE and operation.numbers[1] == ticket
        if kind == _LOCKED and right:
            if observed.done:
                yield _set(state, nonce, (_CONSUMED, ticket) if operation.do == "consume" else (_FREE, -1))
        elif not observed.done or (kind == _CONSUMED and right and operation.do == "consume"):
            yield state


def _set(state: NonceStates, nonce: int, value: tuple[str, int]) -> NonceStates:
    return (*state[:nonce], value, *state[nonce + 1 :])


class NonceLockPlayer:
    """The services of one session."""

    def __init__(self, case: NonceLockCase) -> None:
        self._case = case
        self._nonces = [case.nonce() for _ in range(NONCES)]
        self._tickets = [""]
        self._model = NonceLockModel()

    async def play(self, session: Session) -> None:
        """Do a session. Raises :class:`Disagreement`."""
        states = frozenset({ALL_FREE})
        done: list[str] = []
        played: list[Step] = []
        for step in session:
            meant = tuple(self._meant(operation) for operation in step)
            played.append(meant)
            try:
                replies = await at_once([partial(self._ask, operation) for operation in meant])
                observed = [self._read(one, reply) for one, reply in zip(meant, replies, strict=True)]
                done.append(told(meant, observed))
                states = possible_after(self._model, states, meant, observed)
            except Violation as violation:
                done.append(str(violation))
                states = frozenset()
            if not states:
                raise Disagreement(tuple(played), "; ".join(done))

    def _meant(self, operation: Operation) -> Operation:
        """Return the operation with the number of a ticket that there is; 0 is none."""
        if operation.do == "lock":
            return operation
        return replace(operation, numbers=(operation.numbers[0], operation.numbers[1] % len(self._tickets)))

    async def _ask(self, operation: Operation) -> Reply:
        nonce = self._nonces[operation.numbers[0]]
        if operation.do == "lock":
            return await self._case.ask_lock(nonce)
        ticket = self._tickets[operation.numbers[1]]
        settle = self._case.ask_consume if operation.do == "consume" else self._case.ask_release
        return await settle(nonce, ticket)

    def _read(self, operation: Operation, reply: Reply) -> Observed:
        if reply.status >= 400:
            return Observed(False)
        if operation.do != "lock":
            return Observed(True)
        ticket = reply.read(messages.decode_lock_response, "a lock")
        if ticket not in self._tickets:
            self._tickets.append(ticket)
        return Observed(True, (self._tickets.index(ticket),))
