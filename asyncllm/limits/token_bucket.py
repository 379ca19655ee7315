"""Token bucket: a configured rate, with the time passed in."""

from __future__ import annotations

# A limit is followed at this share, so that providers that count in fixed windows throttle nothing either.
HEADROOM = 0.98
# Seconds by which it may run ahead. Providers enforce a minute's limit of requests by the second too: with this burst
# no second carries more than 1.1 of its share, or one request more than its share. Tokens come in lumps; their burst
# makes 99.5 % of the limit in any minute.
REQUESTS_BURST_S = 0.12
TOKENS_BURST_S = 0.9


class TokenBucket:
    """A bucket that fills steadily, and that a large request may overdraw once it is full.

    Args:
        per_minute: The configured limit.
        now: Monotonic time in seconds.
        burst_s: Seconds of the limit that it holds when it is full.
    """

    __slots__ = ("_level", "_size", "_updated", "per_minute", "per_s")

    def __init__(self, per_minute: float, now: float, burst_s: float = TOKENS_BURST_S) -> None:
        self.per_minute = per_minute
        self.per_s = per_minute * HEADROOM / 60
        self._size = max(1.0, per_minute / 60 * burst_s)
        self._level = self._size
        self._updated = now

    def available_at(self, amount: float, now: float) -> float:
        """Return the time at which an amount may be taken; now or earlier when it may be at once."""
        self._refill(now)
        return now + max(0.0, min(amount, self._size) - self._level) / self.per_s

    def take(self, amount: float, now: float) -> None:
        """Take an amount; the level may go below zero, and is paid back by waiting."""
        self._refill(now)
        self._level -= amount

    def give_back(self, amount: float, now: float) -> None:
        """Give back what was taken and not used; a negative amount takes more."""
        self._refill(now)
        self._level = min(self._size, self._level + amount)

    def _refill(self, now: float) -> None:
        if now > self._updated:
            self._level = min(self._size, self._level + (now - self._updated) * self.per_s)
            self._updated = now
