"""What a test vector is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One known answer.

    ``operation`` names the function that is called (``area.verb-noun``, see ``conformance.operations``);
    ``input`` and ``expected`` are its arguments and result, octets as lower-case hex. A case with ``error``
    is negative: the operation must refuse with that code, and ``control`` names the accepted case it was
    made from by one edit. ``source`` marks values published elsewhere, which are never regenerated.
    """

    id: str
    comment: str
    operation: str
    requirements: tuple[str, ...]
    input: Json
    expected: Json | None = None
    error: str | None = None
    control: str | None = None
    flags: tuple[str, ...] = ()
    source: str | None = None
    steps: Json = field(default_factory=dict)
    """Intermediate values, in the order in which an implementation meets them."""

    def __post_init__(self) -> None:
        if (self.expected is None) == (self.error is None):
            raise ValueError(f"{self.id}: a case has either an expected value or an error")
        if (self.error is None) != (self.control is None):
            raise ValueError(f"{self.id}: a negative case, and only a negative case, names its control")

    @property
    def result(self) -> Literal["valid", "invalid"]:
        return "valid" if self.error is None else "invalid"
