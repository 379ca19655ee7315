"""Estimates of how long a batch will go on, as a range."""

from __future__ import annotations

import math
from collections import deque
from itertools import pairwise

from .formatting import duration

# Readings kept, and how many it takes for an estimate: with fewer, the start would be taken for the whole.
_KEPT, _LEAST = 120, 5


class TimeLeft:
    """Estimates the time that is left from the pace so far.

    The range is as wide as the pace varies: its mean over the last minutes, and its scatter between readings.
    """

    def __init__(self) -> None:
        self._readings: deque[tuple[float, float]] = deque(maxlen=_KEPT)

    def read(self, at_s: float, done: float) -> None:
        """Add a reading: how much was done at a moment."""
        self._readings.append((at_s, done))

    def range(self, left: float) -> tuple[float, float] | None:
        """Return the least and the most seconds that the rest will take; None while there is no estimate."""
        if len(self._readings) < _LEAST:
            return None
        steps = [
            (done - done_before) / (at - before)
            for (before, done_before), (at, done) in pairwise(self._readings)
            if at > before
        ]
        if not steps or (rate := sum(steps) / len(steps)) <= 0:
            return None
        scatter = math.sqrt(sum((step - rate) ** 2 for step in steps) / len(steps))
        # Twice the standard error of the mean: 95 % confidence, if the pace stays what it was. A quarter of the rate is
        # kept however it scatters, so that the range is never infinite.
        error = min(2 * scatter / math.sqrt(len(steps)), 0.75 * rate)
        return left / (rate + error), left / (rate - error)

    def shown(self, left: float) -> str | None:
        """Return the range for people, such as `10 min to 12 min`; None while there is no estimate."""
        found = self.range(left)
        if found is None:
            return None
        low, high = map(duration, found)
        return low if low == high else f"{low} to {high}"
