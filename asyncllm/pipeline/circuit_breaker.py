"""The circuit breaker of an endpoint."""

from __future__ import annotations

import time
from collections.abc import Callable

# Calls in a row that an endpoint must fail to be passed over: fewer may be chance, and each one more is a user waiting.
FAILURES_TO_OPEN = 3
# For so many seconds, then a single call tries it again; each time in vain for twice as long, up to the second.
FIRST_PAUSE_S = 15.0


LONGEST_PAUSE_S = 240.0


class CircuitBreaker:
    """Opens when an endpoint keeps failing, so that calls with a fallback do not wait for it.

    Args:
        clock: Returns the monotonic time in seconds.
    """

    __slots__ = ("_clock", "_failures", "_open_until", "_pause_s")

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures = 0
        self._open_until = 0.0
        self._pause_s = FIRST_PAUSE_S

    def admits(self) -> bool:
        """Return whether a call may try the endpoint; after a pause, True for one trial call."""
        if self._failures < FAILURES_TO_OPEN:
            return True
        now = self._clock()
        if now < self._open_until:
            return False
        # The next pause begins with the trial, which may be cancelled and never report its end.
        self._pause_s = min(LONGEST_PAUSE_S, 2 * self._pause_s)
        self._open_until = now + self._pause_s
        return True

    def failed(self) -> None:
        """Note that the endpoint failed a call."""
        self._failures += 1
        if self._failures == FAILURES_TO_OPEN:
            self._open_until = self._clock() + self._pause_s

    def succeeded(self) -> None:
        """Note that the endpoint served a call."""
        self._failures = 0
        self._pause_s = FIRST_PAUSE_S
