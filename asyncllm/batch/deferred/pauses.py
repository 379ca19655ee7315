"""The pauses between questions to a provider."""

from __future__ import annotations

import random

# Providers answer small batches within minutes, and large ones within hours: the pauses grow from one to the other.
_FIRST_S, _LONGEST_S, _GROWTH = 5.0, 300.0, 1.5
_SPREAD = 0.2  # of a pause, so that jobs that began together do not ask together


class Pauses:
    """Pauses that grow.

    Args:
        fixed_s: Seconds of each, instead.
    """

    def __init__(self, fixed_s: float | None = None) -> None:
        self._fixed_s = fixed_s
        self._next_s = _FIRST_S

    def next(self) -> float:
        """Return the next pause in seconds."""
        if self._fixed_s is not None:
            return self._fixed_s
        pause, self._next_s = self._next_s, min(self._next_s * _GROWTH, _LONGEST_S)
        return pause * random.uniform(1 - _SPREAD, 1 + _SPREAD)

    def reset(self) -> None:
        """Begin with short pauses again: where one batch has ended, others may be about to."""
        self._next_s = _FIRST_S
