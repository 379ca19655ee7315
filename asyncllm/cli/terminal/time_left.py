"""How long a run will go on, said as exactly as it is known."""

from __future__ import annotations

import math
from itertools import pairwise

from asyncllm.batch.formatting import duration


class TimeLeft:
    """Tells from how the work went how long the rest will take, as a range.

    The spread is what the rate itself did: the mean over the last minutes and its scatter from one reading to the next.
    """

    # Readings kept, and how many it takes to say anything: below that, the start would be taken for the whole.
    _KEPT = 120
    _LEAST = 5

    def __init__(self) -> None:
        self._readings: list[tuple[float, float]] = []

    def read(self, at_s: float, done: float) -> None:
        """Note how much was done at a moment."""
        self._readings.append((at_s, done))
        if len(self._readings) > self._KEPT:
            del self._readings[0]

    def range(self, left: float) -> tuple[float, float] | None:
        """Return between how many seconds the rest will take; None while nothing can be said.

        Args:
            left: How much is to do.
        """
        if len(self._readings) < self._LEAST:
            return None
        steps = [
            (done - done_before) / (at - before)
            for (before, done_before), (at, done) in pairwise(self._readings)
            if at > before
        ]
        if not steps or (rate := sum(steps) / len(steps)) <= 0:
            return None
        scatter = math.sqrt(sum((step - rate) ** 2 for step in steps) / len(steps))
        # Twice the standard error of the mean rate: nineteen times in twenty, if it goes on as it went. A quarter of
        # the rate is left however it scatters, so that the range never ends at infinity.
        error = min(2 * scatter / math.sqrt(len(steps)), 0.75 * rate)
        return left / (rate + error), left / (rate - error)

    def words(self, left: float) -> str:
        """Say the range; `-` while nothing can be said."""
        found = self.range(left)
        if found is None:
            return "-"
        low, high = map(duration, found)
        return low if low == high else f"{low} to {high}"
