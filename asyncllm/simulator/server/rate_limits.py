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

    Example:
        ```python
        from asyncllm.testing import Limit, Simulator

        simulator = Simulator(limits=[Limit("requests", per_minute=500), Limit("tokens", per_minute=200_000)])
        ```
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
        choices = {
            "kind": ("requests", "tokens"),
            "scope": ("key", "all"),
            "algorithm": tuple(_COUNTERS),
            "retry_after": get_args(RetryAfterForm),
        }
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} must be one of {', '.join(allowed)}, not {getattr(self, name)!r}")
        if (self.per_minute is None) == (self.per_second is None):
            raise ValueError("a limit needs exactly one of per_minute and per_second")
        if self.amount <= 0 or (self.burst is not None and self.burst <= 0):
            raise ValueError("a limit must be greater than 0")

    @property
    def amount(self) -> float:
        """The number that fits into a window."""
        return self.per_minute or self.per_second or 0.0

    @property
    def window_s(self) -> float:
        """The window in seconds."""
        return 1.0 if self.per_minute is None else 60.0


class LimitCounter(ABC):
    """The count of one limit for one key, as of the moment that it was last advanced to."""

    def __init__(self, limit: Limit, now: float) -> None:
        self.capacity = limit.amount
        self.window_s = limit.window_s
        self.now = now
        self._used = 0.0

    def advance(self, now: float) -> None:
        """Advance to a later moment."""
        self.now = now

    @abstractmethod
    def wait_s(self, amount: float) -> float:
        """Return the seconds until `amount`, which is within the capacity, would be admitted."""

    def take(self, amount: float) -> None:
        """Count `amount`."""
        self._used += amount

    @property
    def remaining(self) -> float:
        """How much would be admitted now."""
        return self.capacity - self._used

    @property
    @abstractmethod
    def reset_s(self) -> float:
        """The seconds until all of it is available again."""


class TokenBucketLimit(LimitCounter):
    """Fills at a steady rate up to a burst."""

    def __init__(self, limit: Limit, now: float) -> None:
        super().__init__(limit, now)
        self.capacity = limit.burst or limit.amount
        self._rate = limit.amount / limit.window_s
        self._level = self.capacity
        self._taken_at = now

    def wait_s(self, amount: float) -> float:
        missing = amount - self.remaining
        return missing / self._rate if missing > _TOLERANCE * self.capacity else 0.0

    def take(self, amount: float) -> None:
        self._level = max(0.0, self.remaining - amount)
        self._taken_at = self.now

    @property
    def remaining(self) -> float:
        return min(self.capacity, self._level + (self.now - self._taken_at) * self._rate)

    @property
    def reset_s(self) -> float:
        return (self.capacity - self.remaining) / self._rate


class FixedWindowLimit(LimitCounter):
    """Starts anew at the beginning of every window; windows are counted from the first moment."""

    def __init__(self, limit: Limit, now: float) -> None:
        super().__init__(limit, now)
        self._start = now

    def advance(self, now: float) -> None:
        super().advance(now)
        passed = math.floor((now - self._start) / self.window_s + _TOLERANCE)
        if passed > 0:
            self._start += passed * self.window_s
            self._used = 0.0

    def wait_s(self, amount: float) -> float:
        return 0.0 if amount <= self.remaining else self.reset_s

    @property
    def reset_s(self) -> float:
        return self._start + self.window_s - self.now


class SlidingWindowLimit(LimitCounter):
    """Looks back over the last window."""

    def __init__(self, limit: Limit, now: float) -> None:
        super().__init__(limit, now)
        self._taken: deque[tuple[float, float]] = deque()

    def advance(self, now: float) -> None:
        super().advance(now)
        while self._taken and now - self._taken[0][0] >= self.window_s * (1 - _TOLERANCE):
            self._used -= self._taken.popleft()[1]

    def wait_s(self, amount: float) -> float:
        missing = amount - self.remaining
        for at, taken in self._taken:
            if missing <= 0:
                break
            missing -= taken
            if missing <= 0:
                return at + self.window_s - self.now
        return 0.0

    def take(self, amount: float) -> None:
        super().take(amount)
        self._taken.append((self.now, amount))

    @property
    def reset_s(self) -> float:
        return self._taken[-1][0] + self.window_s - self.now if self._taken else 0.0


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
        self._counters: dict[tuple[int, str], LimitCounter] = {}

    def admit(self, key: str, tokens: int, now: float) -> LimitDecision:
        """Count one request of so many tokens, or return the limit that refuses it."""
        refused_by, wait_s = None, 0.0
        counters = [(limit, self._counter(index, limit, key, now)) for index, limit in enumerate(self.limits)]
        for limit, counter in counters:
            amount = tokens if limit.kind == "tokens" else 1
            wait = counter.wait_s(amount) if amount <= counter.capacity else math.inf
            if wait > wait_s:
                refused_by, wait_s = limit, wait
        if refused_by is None:
            for limit, counter in counters:
                counter.take(tokens if limit.kind == "tokens" else 1)
        shown = ((limit, counter) for limit, counter in counters if limit.headers)
        states = tuple(LimitState(limit, counter.remaining, counter.reset_s) for limit, counter in shown)
        return LimitDecision(states, refused_by, wait_s)

    def _counter(self, index: int, limit: Limit, key: str, now: float) -> LimitCounter:
        name = (index, key if limit.scope == "key" else "")
        if name not in self._counters:
            self._counters[name] = _COUNTERS[limit.algorithm](limit, now)
        self._counters[name].advance(now)
        return self._counters[name]
