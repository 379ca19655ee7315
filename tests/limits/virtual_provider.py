"""A provider and a batch in virtual time: the bucket's own code against the simulator's own limits, without waiting."""

from __future__ import annotations

import heapq
import itertools
import math
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from asyncllm.limits import Needs, ProviderLimits, Slots, Waiter
from asyncllm.limits.adaptive.controller import AdaptiveController
from asyncllm.simulator.server.rate_limits import Limit, Limiter


class Clock:
    """A monotonic clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Log:
    """What happened, in seconds from the start.

    Attributes:
        accepted: When each request was let in by the provider.
        refused: When each was refused.
        in_flight: How many were with the provider, each time one was sent.
        served_s: The seconds of work that the provider did, by when it was done.
    """

    accepted: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    in_flight: list[tuple[float, int]] = field(default_factory=list)
    served_s: list[tuple[float, float]] = field(default_factory=list)

    def rate(self, start: float, end: float) -> float:
        """Return the requests let in a second between two moments."""
        return sum(start <= at < end for at in self.accepted) / (end - start)

    def refusals(self, start: float = 0.0, end: float = math.inf) -> int:
        """Return the requests refused between two moments."""
        return sum(start <= at < end for at in self.refused)


class Provider:
    """Counts with the simulator's limits, and works at a time on as many requests as it has slots.

    Args:
        limits: Its limits.
        slots: Requests that it works on at a time; the others wait, or are refused.
        queue: Whether the others wait.
        first_s: Seconds of work for the first token.
        tokens_per_s: Tokens a second after it.
        tokens: The least and the most tokens of an answer.
        trip_s: Seconds from here to there.
        tail: How unevenly answers take their time, as the deviation of its logarithm; None for within 30 %.
        hangs: The share of requests that are never answered.
        timeout_s: When they are given up.

    Attributes:
        longest_asked_s: The most that a refusal asks to wait.
    """

    def __init__(
        self,
        *limits: Limit,
        slots: int | None = None,
        queue: bool = True,
        first_s: float = 0.1,
        tokens_per_s: float = 100.0,
        tokens: tuple[int, int] = (10, 90),
        trip_s: float = 0.01,
        tail: float | None = None,
        hangs: float = 0.0,
        timeout_s: float = 60.0,
    ) -> None:
        self.limiter = Limiter(limits)
        self.slots = slots
        self.queue = queue
        self.first_s = first_s
        self.tokens_per_s = tokens_per_s
        self.tokens = tokens
        self.trip_s = trip_s
        self.tail = tail
        self.hangs = hangs
        self.timeout_s = timeout_s
        self.longest_asked_s = math.inf
        self.working = 0
        self.waiting: deque[Callable[[], None]] = deque()


class World:
    """Runs a batch with more to do than is ever let through, through a bucket, against a provider.

    Args:
        provider: The provider.
        concurrency: The batch's requests at a time.
        seed: Decides every draw.
        jitter_s: How late the batch's loop may be, at the most.
    """

    def __init__(self, provider: Provider, *, concurrency: int = 100, seed: int = 1, jitter_s: float = 0.004) -> None:
        self.provider = provider
        self.clock = Clock()
        self.computed_s = 0.0
        self.limits = ProviderLimits(self.clock, lambda: self.computed_s)
        self.concurrency = concurrency
        self.log = Log()
        self._dice = random.Random(seed)
        self._delays = random.Random(seed)
        self._jitter_s = jitter_s
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._started = self.clock.now
        self._flying = 0
        self._head: Waiter | None = None
        self._timer: float | None = None

    @property
    def control(self) -> AdaptiveController:
        """The adaptive control, once a request was sent."""
        assert self.limits._control is not None
        return self.limits._control

    def at(self, seconds: float, do: Callable[[], None]) -> None:
        """Do something so many seconds after the start."""
        heapq.heappush(self._events, (self._started + seconds, next(self._numbers), do))

    def run(self, seconds: float) -> Log:
        """Run until so many seconds after the start."""
        self.at(0.0, self._serve)
        while self._events and self._events[0][0] <= self._started + seconds:
            at, _, do = heapq.heappop(self._events)
            self.clock.now = max(self.clock.now, at)
            do()
        return self.log

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return self.clock.now - self._started

    def _later(self, seconds: float, do: Callable[[], None]) -> None:
        self.at(self.elapsed + seconds, do)

    def _serve(self) -> None:
        while self._flying < self.concurrency:
            if self._head is None:
                self._head = Waiter(Slots(1), self.limits, Needs(adaptive=True))
            reason, pause = self.limits.take(self._head)
            if reason is None:
                self._send(self._head)
                self._head = None
                continue
            if pause < math.inf and (self._timer is None or self._timer > self.clock.now + pause + self._jitter_s):
                self._timer = self.clock.now + pause
                self._later(pause + self._delays.uniform(0, self._jitter_s), self._wake)
            return

    def _wake(self) -> None:
        self._timer = None
        self._serve()

    def _send(self, waiter: Waiter) -> None:
        self._flying += 1
        self.log.in_flight.append((self.elapsed, self._flying))
        self._later(self.provider.trip_s, lambda: self._arrive(waiter))

    def _arrive(self, waiter: Waiter) -> None:
        provider = self.provider
        verdict = provider.limiter.admit("key", 1, self.clock.now)
        full = provider.slots is not None and provider.working >= provider.slots
        if verdict.refused_by is not None or (full and not provider.queue):
            asked = _asked(verdict.refused_by, min(verdict.wait_s, provider.longest_asked_s))
            self.log.refused.append(self.elapsed)
            self._later(provider.trip_s, lambda: self._refused(waiter, asked))
            return
        self.log.accepted.append(self.elapsed)
        if provider.hangs and self._dice.random() < provider.hangs:
            self._later(provider.timeout_s, lambda: self._given_up(waiter))
        elif full:
            provider.waiting.append(lambda: self._work(waiter))
        else:
            self._work(waiter)

    def _work(self, waiter: Waiter) -> None:
        provider = self.provider
        provider.working += 1
        tokens = self._dice.randint(*provider.tokens)
        spread = self._dice.uniform(0.7, 1.3) if provider.tail is None else self._dice.lognormvariate(0, provider.tail)
        work_s = (provider.first_s + tokens / provider.tokens_per_s) * spread

        def done() -> None:
            provider.working -= 1
            self.log.served_s.append((self.elapsed, work_s))
            if provider.waiting:
                provider.waiting.popleft()()
            self._later(provider.trip_s, lambda: self._answered(waiter, tokens))

        self._later(work_s, done)

    def _answered(self, waiter: Waiter, tokens: int) -> None:
        self.limits.succeeded()
        self.limits.learn(waiter, {}, tokens)
        self._given_up(waiter)

    def _given_up(self, waiter: Waiter) -> None:
        self._flying -= 1
        self.limits.settle(waiter, None)
        self._serve()

    def _refused(self, waiter: Waiter, asked: float | None) -> None:
        self._flying -= 1
        self.limits.cool_down(asked, waiter)
        self.limits.settle(waiter, 0)
        self._serve()


def _asked(limit: Limit | None, wait_s: float) -> float | None:
    if limit is None or limit.retry_after == "none":
        return None
    return math.ceil(wait_s) if limit.retry_after == "seconds" else wait_s
