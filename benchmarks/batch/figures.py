"""A figure with its bound, as a row."""

from __future__ import annotations

import sys
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """A measured figure.

    Attributes:
        what: Its name.
        found: Its value, as text.
        bound: Its bound, as text.
        fine: Whether it is within the bound.
    """

    what: str
    found: str
    bound: str
    fine: bool

    def show(self) -> None:
        """Print it as a row."""
        print(f"{'ok  ' if self.fine else 'MISS'}  {self.what:64} {self.found:>34}   ({self.bound})", flush=True)


def at_most(what: str, value: float, bound: float, unit: str = "", digits: int = 0) -> Figure:
    """Return the figure of a value that has an upper bound."""
    return Figure(what, f"{value:,.{digits}f}{unit}", f"<= {bound:,g}{unit}", value <= bound)


def at_least(what: str, value: float, bound: float, unit: str = "", digits: int = 2) -> Figure:
    """Return the figure of a value that has a lower bound."""
    return Figure(what, f"{value:,.{digits}f}{unit}", f">= {bound:,g}{unit}", value >= bound)


def skipped(what: str, why: str) -> None:
    """Print a row for what cannot be measured here."""
    print(f"skip  {what:64} {why}", file=sys.stdout, flush=True)
