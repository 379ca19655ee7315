"""One row of the result: a case, what was measured, what it must be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Row:
    """A figure.

    Attributes:
        case: What was measured, and against which algorithm.
        figure: Which figure.
        value: Its value.
        relation: How it must stand to the target; None for a figure that is shown beside ours.
        target: The target.
        unit: The unit, as a suffix.
    """

    case: str
    figure: str
    value: float
    relation: Literal["<=", ">="] | None = None
    target: float = 0.0
    unit: str = ""

    @property
    def is_met(self) -> bool:
        """Whether the value stands to the target as it must."""
        if self.relation is None:
            return True
        return self.value <= self.target if self.relation == "<=" else self.value >= self.target

    def __str__(self) -> str:
        wanted = "" if self.relation is None else f"{self.relation} {self.target:g}{self.unit}"
        verdict = "" if self.relation is None else "met" if self.is_met else "MISSED"
        return f"{self.case:52} {self.figure:34}{self.value:9.4g}{self.unit:3}{wanted:>12}  {verdict}"
