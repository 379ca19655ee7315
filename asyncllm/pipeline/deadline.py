"""The end of the time that a whole call may take."""

from __future__ import annotations

import time

from ..errors import AsyncLLMError, DeadlineExceededError


class Deadline:
    """The end of the time that a whole call may take, on the monotonic clock.

    Args:
        seconds: From now; None for no end.
    """

    __slots__ = ("at", "seconds")

    def __init__(self, seconds: float | None) -> None:
        self.seconds = seconds
        self.at = None if seconds is None else time.monotonic() + seconds

    def remaining(self) -> float | None:
        """Return the seconds left, at least 0; None when there is no end."""
        return None if self.at is None else max(0.0, self.at - time.monotonic())

    def clip(self, seconds: float) -> float:
        """Return the time or what is left until the deadline, whichever is less."""
        return seconds if self.at is None else min(seconds, max(0.0, self.at - time.monotonic()))

    def admits(self, wait: float) -> bool:
        """Return whether there is time left after a wait in seconds."""
        return self.at is None or time.monotonic() + wait < self.at

    def error(self, doing: str, last_error: AsyncLLMError | None = None) -> DeadlineExceededError:
        """Return the error for a deadline that has passed.

        Args:
            doing: What the call was doing, e.g. `waiting for a slot`.
            last_error: What the last attempt ended with.
        """
        after = (
            f" after {type(last_error).__name__}: {last_error.message.rstrip('.')}" if last_error is not None else ""
        )
        return DeadlineExceededError(
            f"the call took longer than its deadline of {self.seconds:g} s (it was {doing}){after}.",
            hint="Raise deadline, or lower timeout and num_retries so that more attempts fit.",
            last_error=last_error,
        )
