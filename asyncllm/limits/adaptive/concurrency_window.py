"""The number of requests that a provider serves at a time without a queue, found from latency and throughput; pure."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from .parameters import AdaptiveParameters

# Answers in a round, which is what is measured over: as many as are in flight, within these.
LEAST_ROUND, LARGEST_ROUND = 8, 32
ROUNDS_KEPT = 8  # of which the best throughput counts
# Latency so many times the least known is a queue: no provider gets that slow by itself while it is found out.
QUEUED = 2.0
SLOW = 2.5  # times the latency known: an answer that took longer does not let the number grow
# A measurement that shows less than this share of the latency known shows a queue that empties.
EMPTYING = 0.9
# A queue this long, in seconds, harms nothing: where answers take less, so many seconds' worth may be in flight.
SHORT_S = 0.1
# The least seconds after which a request hangs, and between two measurements: where answers take milliseconds, ten
# times as long is a matter of chance, and measuring all the time would cost throughput.
HANG_S, MEASURE_EVERY_S = 5.0, 30.0
# Share of a round for which this process computed, above which the answers waited for it rather than for the provider.
BUSY = 0.8


class WindowState(Enum):
    """What the window does with the number in flight."""

    GROWING = "growing"
    """One more with each answer, which doubles it in the time of an answer, until latency shows a queue."""
    MEASURING = "measuring"
    """Below what the provider serves at a time, to see its latency without a queue."""
    STEADY = "steady"
    """A little above what the provider serves at a time; measured again when it is time."""


class InFlight:
    """The requests in flight; those that hang rather than being served are counted apart.

    A request that hangs takes no slot of those that are served, as long as no more hang than may be in flight.

    Attributes:
        number: Their number.
        late_s: Seconds after which a request hangs.
    """

    __slots__ = ("_hanging", "_sent_at", "late_s", "number")

    def __init__(self) -> None:
        self.number = 0
        self.late_s = math.inf
        self._sent_at: dict[object, float] = {}  # of those that do not hang, in that order
        self._hanging = 0

    def add(self, request: object, now: float) -> None:
        """Count a request that goes now."""
        self.number += 1
        self._sent_at[request] = now

    def remove(self, request: object) -> None:
        """Count a request that has ended."""
        self.number -= 1
        if self._sent_at.pop(request, None) is None:
            self._hanging -= 1

    def free_at(self, most: int, now: float) -> float:
        """Return when one more may go if none ends before: now, when the next one hangs, or never."""
        while True:
            excess = max(0, self._hanging - most)
            if len(self._sent_at) + excess < most:
                return now
            first = next(iter(self._sent_at), None)
            if first is None or self._hanging >= most:
                return math.inf
            hangs_at = self._sent_at[first] + self.late_s
            if hangs_at > now:
                return hangs_at
            del self._sent_at[first]
            self._hanging += 1


@dataclass(slots=True)
class Round:
    """A number of answers that are measured together; latency is that of an output token, so that long answers are not
    mistaken for slow ones.

    Attributes:
        began_at: When it began.
        cpu_s: Seconds for which the process had computed by then.
        size: Answers that it takes.
        answers: Answers to requests sent since it began.
        answers_s: Seconds that those took.
        answers_tokens: Their output tokens.
        tokens: Output tokens of all answers.
        pressed: Whether a request had to wait for a slot.
        paced: Whether one had to wait for the rate, so that the number in flight shows nothing.
    """

    began_at: float
    cpu_s: float
    size: int
    answers: int = 0
    answers_s: float = 0.0
    answers_tokens: int = 0
    tokens: int = 0
    pressed: bool = False
    paced: bool = False

    def add(self, sent_at: float, now: float, output_tokens: int) -> None:
        """Count an answer."""
        self.tokens += output_tokens
        if sent_at >= self.began_at:
            self.answers += 1
            self.answers_s += now - sent_at
            self.answers_tokens += output_tokens


class ConcurrencyWindow:
    """Bounds what is in flight; the times are passed in, in monotonic seconds.

    By Little's law a provider serves throughput times latency at a time. A queue raises neither the best throughput
    nor the least latency.

    Args:
        cpu: Returns the CPU time of this process in seconds.
        parameters: What it is tuned by.

    Attributes:
        state: What is done with the number in flight.
        size: The number that may be in flight.
        in_flight: The requests that are.
    """

    def __init__(self, cpu: Callable[[], float], parameters: AdaptiveParameters) -> None:
        self.state = WindowState.GROWING
        self.size = parameters.start_in_flight
        self.in_flight = InFlight()
        self._cpu = cpu
        self._parameters = parameters
        self._latency_s: float | None = None  # for an output token, without a queue
        self._answer_tokens = 1.0
        self._throughput: deque[float] = deque(maxlen=ROUNDS_KEPT)  # output tokens a second
        self._measured_at = 0.0
        self._ceiling = math.inf  # a number that was throttled
        self._ceiling_until = 0.0
        self._round = self._new_round(0.0)

    @property
    def has_room(self) -> bool:
        """Whether one more may go, whatever hangs."""
        return self.in_flight.number < self.size - 1

    def free_at(self, now: float) -> float:
        """Return when one more may go if none ends before: now, or later, or never."""
        at = self.in_flight.free_at(max(1, int(self.size)), now)
        if at > now:
            self._round.pressed = True
        return at

    def paced(self) -> None:
        """Note that a request has to wait for the rate."""
        self._round.paced = True

    def sent(self, request: object, now: float) -> None:
        """Count a request that goes now."""
        if not self.in_flight.number:
            self._round = self._new_round(now)  # the idle time before would count as slowness
        self.in_flight.add(request, now)

    def ended(self, request: object) -> None:
        """Count a request that has ended, or was not sent after all."""
        self.in_flight.remove(request)

    def answered(self, sent_at: float, now: float, output_tokens: int) -> None:
        """Note an answer, how long it took and how long it is."""
        if self.state is WindowState.GROWING and self._round.pressed:
            slow = self._latency_s is not None and now - sent_at > SLOW * self._latency_s * output_tokens
            self.size += not slow
        self._round.add(sent_at, now, output_tokens)
        if self._round.answers >= self._round.size:
            self._finish_round(now)

    def throttled(self, most: int, now: float) -> None:
        """Note that the provider throttles the number in flight, of which it served so many."""
        self.size = self._ceiling = float(max(1, most))
        self._ceiling_until = now + self._parameters.probe_soon_s
        self.state = WindowState.STEADY

    def rate_throttled(self) -> None:
        """Note that a 429 had nothing to do with the number in flight."""
        self._ceiling = math.inf
        self.state = WindowState.STEADY

    def _new_round(self, now: float) -> Round:
        return Round(now, self._cpu(), min(LARGEST_ROUND, max(LEAST_ROUND, int(self.size))))

    def _finish_round(self, now: float) -> None:
        done = self._round
        elapsed = now - done.began_at
        if self._cpu() - done.cpu_s > BUSY * elapsed:
            self.state = WindowState.GROWING
        elif elapsed > 0 and done.answers_tokens > 0:
            self.in_flight.late_s = max(HANG_S, self._parameters.hang * done.answers_s / done.answers)
            self._answer_tokens = done.answers_tokens / done.answers
            self._react(done, now)
        if now >= self._ceiling_until and self._ceiling < math.inf:
            self._ceiling += max(1.0, 0.02 * self._ceiling)
        self.size = min(self.size, self._ceiling)
        self._round = self._new_round(now)

    def _react(self, done: Round, now: float) -> None:
        """Let the state react to a round."""
        latency_s = done.answers_s / done.answers_tokens
        throughput = done.tokens / (now - done.began_at)
        match self.state:
            case WindowState.GROWING:
                self._growing(done, latency_s, throughput)
            case WindowState.MEASURING:
                self._measuring(done, latency_s, now)
            case WindowState.STEADY:
                self._steady(done, latency_s, throughput, now)

    def _growing(self, done: Round, latency_s: float, throughput: float) -> None:
        """A queue shows: measure without it."""
        if done.paced and not done.pressed:
            return
        self._note(latency_s, throughput)
        assert self._latency_s is not None
        if latency_s >= QUEUED * self._latency_s:
            self._measure()

    def _measuring(self, done: Round, latency_s: float, now: float) -> None:
        """Measured: settle, or measure again while a queue empties. Too few callers to measure: go on as before."""
        if done.pressed:
            before, self._latency_s, self._measured_at = self._latency_s, latency_s, now
            if before is not None and latency_s < EMPTYING * before and self.size > 1:
                self._measure()
                return
        self.state = WindowState.STEADY
        self._resize()

    def _steady(self, done: Round, latency_s: float, throughput: float, now: float) -> None:
        """Follow what the provider serves; measure its latency when it is time."""
        if not done.pressed:
            return
        self._note(latency_s, throughput)
        every_s = max(MEASURE_EVERY_S, self._parameters.measure_every * done.answers_s / done.answers)
        if now - self._measured_at > every_s:
            self._measure()
        else:
            self._resize()

    def _note(self, latency_s: float, throughput: float) -> None:
        self._throughput.append(throughput)
        self._latency_s = latency_s if self._latency_s is None else min(latency_s, self._latency_s)

    def _measure(self) -> None:
        self.state = WindowState.MEASURING
        self.size = max(1.0, self._parameters.drained * self._served())

    def _resize(self) -> None:
        if self._throughput:
            self.size = max(2.0, self._parameters.queue_room * self._served())

    def _served(self) -> float:
        """Return how many the provider serves at a time."""
        assert self._latency_s is not None
        return max(self._throughput) * max(self._latency_s, SHORT_S / self._answer_tokens)
