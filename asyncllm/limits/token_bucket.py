"""A rate that is known: a bucket that fills steadily, with the time passed in."""

from __future__ import annotations

# A rate is followed at this share of what is allowed, and may run ahead by BURST of a minute's worth. In any minute
# that makes 99.5 % of the limit at the most, so that providers that count in fixed windows refuse nothing either.
HEADROOM = 0.98
BURST = 0.015


class TokenBucket:
    """A bucket that fills steadily, and that a large request may overdraw once it is full; time is passed in.

    Args:
        per_minute: What the provider allows.
        now: Monotonic time in seconds.
    """

    __slots__ = ("_level", "_size", "_updated", "per_minute", "per_s")

    def __init__(self, per_minute: float, now: float) -> None:
        self.per_minute = per_minute
        self.per_s = per_minute * HEADROOM / 60
        self._size = max(1.0, per_minute * BURST)
        self._level = self._size
        self._updated = now

    def available_at(self, amount: float, now: float) -> float:
        """Return the time at which an amount may be taken; now or earlier when it may be at once."""
        self._refill(now)
        return now + max(0.0, min(amount, self._size) - self._level) / self.per_s

    def take(self, amount: float, now: float) -> None:
        """Take an amount; the level may go below nothing, and is paid back by waiting."""
        self._refill(now)
        self._level -= amount

    def give_back(self, amount: float, now: float) -> None:
        """Return what was taken and not used; a negative amount takes more."""
        self._refill(now)
        self._level = min(self._size, self._level + amount)

    def _refill(self, now: float) -> None:
        if now > self._updated:
            self._level = min(self._size, self._level + (now - self._updated) * self.per_s)
            self._updated = now
