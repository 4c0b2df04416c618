"""Which states of the model are still possible after what was observed."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar


@dataclass(frozen=True, slots=True)
class Operation:
    """One request. What the numbers choose among depends on the operation and on what there is at that moment."""

    do: str
    numbers: tuple[int, ...] = ()

    def __str__(self) -> str:
        return f"{self.do}({', '.join(map(str, self.numbers))})"


Step = tuple[Operation, ...]
"""Operations of several clients at once, or a single one."""

Session = tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Observed:
    """What an operation did: whether it was done, and the numbers of its answer that are told apart."""

    done: bool
    numbers: tuple[int, ...] = ()

    def __str__(self) -> str:
        numbers = f" with {', '.join(map(str, self.numbers))}" if self.numbers else ""
        return f"{'done' if self.done else 'refused'}{numbers}"


State = TypeVar("State", bound=Hashable)


class Model(Protocol[State]):
    """What a subject may do. States are values."""

    def after(self, state: State, operation: Operation, observed: Observed, beside: Step) -> Iterator[State]:
        """Yield the states in which ``operation`` can leave ``state`` if this was observed of it.

        ``beside`` are the other operations at the same time.
        """


class Disagreement(Exception):
    """Nothing that the model allows explains what was observed. ``session`` ends with the step that shows it."""

    def __init__(self, session: Session, observed: str) -> None:
        super().__init__(observed)
        self.session = session
        self.observed = observed


def possible_after(
    model: Model[State], states: Iterable[State], step: Step, observed: Sequence[Observed]
) -> frozenset[State]:
    """Return the states that are possible after a step, over all orders in which its operations can take effect."""
    reached: set[State] = set()
    seen: set[tuple[State, frozenset[int]]] = set()
    open_ends: list[tuple[State, frozenset[int]]] = [(state, frozenset()) for state in states]
    everything = frozenset(range(len(step)))
    while open_ends:
        end = open_ends.pop()
        if end in seen:
            continue
        seen.add(end)
        state, done = end
        if done == everything:
            reached.add(state)
        for number in everything - done:
            beside = step[:number] + step[number + 1 :]
            after = model.after(state, step[number], observed[number], beside)
            open_ends.extend((one, done | {number}) for one in after)
    return frozenset(reached)


def told(step: Step, observed: Sequence[Observed]) -> str:
    """Return a step and what came of it, for people."""
    return " beside ".join(f"{operation} {result}" for operation, result in zip(step, observed, strict=True))
