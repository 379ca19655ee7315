"""Rate limits as providers keep them: three algorithms without a clock of their own."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

Algorithm = Literal["token_bucket", "fixed_window", "sliding_window"]
RetryAfterForm = Literal["seconds", "fraction", "date", "ms", "none"]

# A wait computed from rates may miss its end by rounding; a client that comes back exactly then must be admitted.
_TOLERANCE = 1e-9


@dataclass(frozen=True, slots=True)
class Limit:
    """One rate limit.

    Args:
        kind: What is counted: requests, or the tokens of prompt and answer together.
        per_minute: The number in a minute; exactly one of this and `per_second` is given.
        per_second: The number in a second.
        algorithm: `token_bucket` fills steadily up to `burst`; `fixed_window` starts anew every minute (or second);
            `sliding_window` looks back over the last minute (or second).
        burst: The capacity of the bucket; by default the stated number.
        scope: Counted for each key by itself, or for all together.
        retry_after: The form of Retry-After in a 429: whole `seconds`, a `fraction`, an HTTP `date`, `ms` (in
            retry-after-ms), or `none`.
        headers: Whether answers carry the provider's rate-limit headers.
    """

    kind: Literal["requests", "tokens"] = "requests"
    per_minute: float | None = None
    per_second: float | None = None
    algorithm: Algorithm = "token_bucket"
    burst: float | None = None
    scope: Literal["key", "all"] = "key"
    retry_after: RetryAfterForm = "seconds"
    headers: bool = True

    def __post_init__(self) -> None:
        for name, allowed in (("kind", ("requests", "tokens")), ("scope", ("key", "all"))):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} must be one of {', '.join(allowed)}, not {getattr(self, name)!r}")
        if (self.per_minute is None) == (self.per_second is None):
            raise ValueError("a limit needs exactly one of per_minute and per_second")
        if self.amount <= 0 or (self.burst is not None and self.burst <= 0):
            raise ValueError("a limit must be greater than 0")
        if self.algorithm not in _COUNTERS:
            raise ValueError(f"algorithm must be one of {', '.join(_COUNTERS)}, not {self.algorithm!r}")
        if self.retry_after not in get_args(RetryAfterForm):
            raise ValueError(
                f"retry_after must be one of {', '.join(get_args(RetryAfterForm))}, not {self.retry_after!r}"
            )

    @property
    def amount(self) -> float:
        """The number that fits into a window."""
        return self.per_minute or self.per_second or 0.0

    @property
    def window_s(self) -> float:
        """The window in seconds."""
        return 1.0 if self.per_minute is None else 60.0

    def counter(self, now: float) -> LimitCounter:
        """Return a counter that starts at a moment."""
        return _COUNTERS[self.algorithm](self, now)


class LimitCounter(ABC):
    """The count of one limit for one key."""

    def __init__(self, limit: Limit, now: float) -> None:
        self.amount = limit.amount
        self.window_s = limit.window_s

    @abstractmethod
    def wait_s(self, amount: float, now: float) -> float:
        """Return the seconds until `amount` would be admitted: 0 for now, infinity for never."""

    @abstractmethod
    def take(self, amount: float, now: float) -> None:
        """Count `amount`."""

    @abstractmethod
    def remaining(self, now: float) -> float:
        """Return how much would be admitted now."""

    @abstractmethod
    def reset_s(self, now: float) -> float:
        """Return the seconds until all of it is available again."""


class TokenBucketLimit(LimitCounter):
    """Fills at a steady rate up to a burst."""

    def __init__(self, limit: Limit, now: float) -> None:
        super().__init__(limit, now)
        self._capacity = limit.burst or limit.amount
        self._rate = limit.amount / limit.window_s
        self._level = self._capacity
        self._at = now

    def wait_s(self, amount: float, now: float) -> float:
        missing = amount - self.remaining(now)
        if amount > self._capacity:
            return math.inf
        return missing / self._rate if missing > _TOLERANCE * self._capacity else 0.0

    def take(self, amount: float, now: float) -> None:
        self._level = max(0.0, self.remaining(now) - amount)
        self._at = now

    def remaining(self, now: float) -> float:
        return min(self._capacity, self._level + (now - self._at) * self._rate)

    def reset_s(self, now: float) -> float:
        return (self._capacity - self.remaining(now)) / self._rate


class FixedWindowLimit(LimitCounter):
    """Starts anew at the beginning of every window; windows are counted from the first moment."""

    def __init__(self, limit: Limit, now: float) -> None:
        super().__init__(limit, now)
        self._start = now
        self._used = 0.0

    def _advance(self, now: float) -> None:
        passed = math.floor((now - self._start) / self.window_s + _TOLERANCE)
        if passed > 0:
            self._start += passed * self.window_s
            self._used = 0.0

    def wait_s(self, amount: float, now: float) -> float:
        self._advance(now)
        if amount > self.amount:
            return math.inf
        return 0.0 if self._used + amount <= self.amount else self.reset_s(now)

    def take(self, amount: float, now: float) -> None:
        self._advance(now)
        self._used += amount

    def remaining(self, now: float) -> float:
        self._advance(now)
        return self.amount - self._used

    def reset_s(self, now: float) -> float:
        self._advance(now)
        return self._start + self.window_s - now


class SlidingWindowLimit(LimitCounter):
    """Looks back over the last window."""

    def __init__(self, limit: Limit, now: float) -> None:
        super().__init__(limit, now)
        self._taken: deque[tuple[float, float]] = deque()
        self._used = 0.0

    def _forget(self, now: float) -> None:
        while self._taken and now - self._taken[0][0] >= self.window_s * (1 - _TOLERANCE):
            self._used -= self._taken.popleft()[1]

    def wait_s(self, amount: float, now: float) -> float:
        self._forget(now)
        if amount > self.amount:
            return math.inf
        missing = self._used + amount - self.amount
        for at, taken in self._taken:
            if missing <= 0:
                break
            missing -= taken
            if missing <= 0:
                return at + self.window_s - now
        return 0.0

    def take(self, amount: float, now: float) -> None:
        self._forget(now)
        self._taken.append((now, amount))
        self._used += amount

    def remaining(self, now: float) -> float:
        self._forget(now)
        return self.amount - self._used

    def reset_s(self, now: float) -> float:
        self._forget(now)
        return self._taken[-1][0] + self.window_s - now if self._taken else 0.0


_COUNTERS: Mapping[str, type[LimitCounter]] = {
    "token_bucket": TokenBucketLimit,
    "fixed_window": FixedWindowLimit,
    "sliding_window": SlidingWindowLimit,
}


@dataclass(frozen=True, slots=True)
class LimitState:
    """The state of one limit after a request, for the headers."""

    limit: Limit
    remaining: float
    reset_s: float


@dataclass(frozen=True, slots=True)
class LimitDecision:
    """Whether a request is admitted; if not, the limit that refuses it and for how long (infinity: it never fits)."""

    states: tuple[LimitState, ...] = ()
    refused_by: Limit | None = None
    wait_s: float = 0.0


class Limiter:
    """Several limits together: a request is admitted by all of them or counted by none."""

    def __init__(self, limits: Iterable[Limit]) -> None:
        self.limits = tuple(limits)
        self.counts_tokens = any(limit.kind == "tokens" for limit in self.limits)
        self._counts: dict[tuple[int, str], LimitCounter] = {}

    def admit(self, key: str, tokens: int, now: float) -> LimitDecision:
        """Count one request of so many tokens, or return the limit that refuses it."""
        refused_by, wait_s = None, 0.0
        counted = [(limit, self._count(index, limit, key, now)) for index, limit in enumerate(self.limits)]
        for limit, count in counted:
            wait = count.wait_s(tokens if limit.kind == "tokens" else 1, now)
            if wait > wait_s:
                refused_by, wait_s = limit, wait
        if refused_by is None:
            for limit, count in counted:
                count.take(tokens if limit.kind == "tokens" else 1, now)
        states = tuple(
            LimitState(limit, count.remaining(now), count.reset_s(now)) for limit, count in counted if limit.headers
        )
        return LimitDecision(states, refused_by, wait_s)

    def _count(self, index: int, limit: Limit, key: str, now: float) -> LimitCounter:
        name = (index, key if limit.scope == "key" else "")
        if name not in self._counts:
            self._counts[name] = limit.counter(now)
        return self._counts[name]
