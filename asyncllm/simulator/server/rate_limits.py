"""Rate limits as providers keep them: three algorithms, pure, with the clock passed in."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

Algorithm = Literal["token_bucket", "fixed_window", "sliding_window"]
RetryAfterForm = Literal["seconds", "fraction", "date", "ms", "none"]

# A wait computed from rates may miss its end by rounding; a client that comes back exactly then must be let in.
_TOLERANCE = 1e-9


@dataclass(frozen=True, slots=True)
class Limit:
    """One rate limit.

    Args:
        kind: What is counted: requests, or the tokens of prompt and answer together.
        per_minute: How many in a minute; exactly one of this and `per_second` is given.
        per_second: How many in a second.
        algorithm: `token_bucket` fills steadily up to `burst`; `fixed_window` starts anew every minute (or second);
            `sliding_window` looks back over the last minute (or second).
        burst: What a full bucket holds; by default the stated number.
        scope: Counted for each key by itself, or for all together.
        retry_after: How a refusal says when to come back: in whole `seconds`, as a `fraction`, an HTTP `date`, `ms` (in
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
        """How many fit into a window."""
        return self.per_minute or self.per_second or 0.0

    @property
    def window_s(self) -> float:
        """The window in seconds."""
        return 1.0 if self.per_minute is None else 60.0

    def counter(self, now: float) -> Count:
        """Start counting at a moment."""
        return _COUNTERS[self.algorithm](self, now)


class Count(ABC):
    """What one limit has counted for one key."""

    def __init__(self, limit: Limit, now: float) -> None:
        self.amount = limit.amount
        self.window_s = limit.window_s

    @abstractmethod
    def wait_s(self, amount: float, now: float) -> float:
        """Seconds until `amount` would be let in: 0 for now, infinity for never."""

    @abstractmethod
    def take(self, amount: float, now: float) -> None:
        """Count `amount`."""

    @abstractmethod
    def remaining(self, now: float) -> float:
        """How much would be let in now."""

    @abstractmethod
    def reset_s(self, now: float) -> float:
        """Seconds until all of it is available again."""


class TokenBucket(Count):
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


class FixedWindow(Count):
    """Starts anew at the beginning of every window; windows are counted from the first moment."""

    def __init__(self, limit: Limit, now: float) -> None:
        super().__init__(limit, now)
        self._start = now
        self._used = 0.0

    def _turn(self, now: float) -> None:
        passed = math.floor((now - self._start) / self.window_s + _TOLERANCE)
        if passed > 0:
            self._start += passed * self.window_s
            self._used = 0.0

    def wait_s(self, amount: float, now: float) -> float:
        self._turn(now)
        if amount > self.amount:
            return math.inf
        return 0.0 if self._used + amount <= self.amount else self.reset_s(now)

    def take(self, amount: float, now: float) -> None:
        self._turn(now)
        self._used += amount

    def remaining(self, now: float) -> float:
        self._turn(now)
        return self.amount - self._used

    def reset_s(self, now: float) -> float:
        self._turn(now)
        return self._start + self.window_s - now


class SlidingWindow(Count):
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


_COUNTERS: dict[str, type[Count]] = {
    "token_bucket": TokenBucket,
    "fixed_window": FixedWindow,
    "sliding_window": SlidingWindow,
}


@dataclass(frozen=True, slots=True)
class State:
    """Where one limit stands after a request, for the headers."""

    limit: Limit
    remaining: float
    reset_s: float


@dataclass(frozen=True, slots=True)
class LimitDecision:
    """Whether a request was let in; if not, by which limit and for how long (infinity: it never fits)."""

    states: tuple[State, ...] = ()
    refused_by: Limit | None = None
    wait_s: float = 0.0


class Limiter:
    """Several limits together: a request is let in by all of them or counted by none."""

    def __init__(self, limits: Iterable[Limit]) -> None:
        self.limits = tuple(limits)
        self.counts_tokens = any(limit.kind == "tokens" for limit in self.limits)
        self._counts: dict[tuple[int, str], Count] = {}

    def admit(self, key: str, tokens: int, now: float) -> LimitDecision:
        """Count one request of so many tokens, or say which limit refuses it."""
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
            State(limit, count.remaining(now), count.reset_s(now)) for limit, count in counted if limit.headers
        )
        return LimitDecision(states, refused_by, wait_s)

    def _count(self, index: int, limit: Limit, key: str, now: float) -> Count:
        name = (index, key if limit.scope == "key" else "")
        if name not in self._counts:
            self._counts[name] = limit.counter(now)
        return self._counts[name]
