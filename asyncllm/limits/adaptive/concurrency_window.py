"""The concurrency that a provider serves without a queue, found from latency and throughput; pure."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable

START = 16.0  # in flight at the start; with each answer one more, which doubles it in the time of one
SLOW = 2.5  # an answer that took so many times the latency known does not let the number grow
LEAST_ROUND, LARGEST_ROUND = 8, 32  # answers that a measurement takes
# A round with so many times more in flight and less than so many times more throughput: the rest is waiting in a queue.
MORE_IN_FLIGHT, MORE_THROUGHPUT = 1.5, 1.15
MUCH_SLOWER = 2.0  # than the best round: no provider gets so slow by itself while it is found out
# Of what the provider serves at its best, in flight. The rest waits at the provider, so that no slot of it is ever
# empty, and bridges errors of measurement.
ROOM = 1.5
# Below what it serves, for as long as it takes to see its latency without a queue.
DRAINED = 0.75
MEASURE_EVERY_S, MEASURE_EVERY_ROUNDS = 30.0, 40.0
BETTER = 0.9  # a measurement that shows less than this of the latency known is followed by another
ROUNDS_KEPT = 8  # of which the best throughput counts
# What has been on its way for so many times the latency of a round, and for so long in seconds, hangs rather than being
# served, and takes no slot of those that are; as long as not more hang than may be in flight.
HANGS, HANGS_S = 10.0, 5.0
# A queue of so many seconds harms nobody, and so many seconds' worth of requests may always be in flight.
SHORT_S = 0.1
FIRST_HOLD_S, LONGEST_HOLD_S = 8.0, 60.0  # before going beyond what was refused
# A process that computed for so much of a round is what the answers waited for, rather than the provider; and the more
# it has at a time, the less each costs it. So many times more may then be in flight in the next round.
BUSY, MORE_WHEN_BUSY = 0.8, 1.5


class ConcurrencyWindow:
    """Bounds what is in flight; the times are passed in, in monotonic seconds.

    By Little's law a provider serves throughput times latency at a time, of which neither grows by a queue if the best
    throughput and the least latency are taken. Latency is counted for each output token, so that long answers are not
    mistaken for slow ones, and over whole rounds.

    Args:
        cpu: Gives the seconds for which this process has computed.

    Attributes:
        size: How many may be in flight.
    """

    def __init__(self, cpu: Callable[[], float]) -> None:
        self._cpu = cpu
        self.size = START
        self._out: dict[object, float] = {}  # when each was sent that does not hang, in that order
        self._hanging = 0
        self._late_s = math.inf  # seconds after which a request hangs
        self._each = 1.0  # output tokens of an answer
        self._starting = True
        self._measuring = False
        self._ceiling = math.inf
        self._ceiling_until = 0.0
        self._hold_s = FIRST_HOLD_S
        self._least_s: float | None = None  # seconds of latency for an output token, without a queue
        self._measured_at = 0.0
        self._best: deque[float] = deque(maxlen=ROUNDS_KEPT)  # output tokens a second
        self._before = (0.0, 0.0)  # in flight and throughput of the last round that brought more
        self._begin(0.0)

    @property
    def in_flight(self) -> int:
        """How many are in flight."""
        return len(self._out) + self._hanging

    @property
    def has_room(self) -> bool:
        """Whether one more may go whatever hangs."""
        return len(self._out) + self._hanging < self.size - 1

    def free_at(self, now: float) -> float:
        """Return when one more may go unless another comes back before: now, when the first hangs, or never."""
        most = max(1, int(self.size))
        while True:
            excess = max(0, self._hanging - most)
            if len(self._out) + excess < most:
                return now
            first = next(iter(self._out), None)
            if first is None or self._hanging >= most:
                return math.inf
            hangs_at = self._out[first] + self._late_s
            if hangs_at > now:
                return hangs_at
            del self._out[first]
            self._hanging += 1

    def sent(self, request: object, now: float) -> None:
        """Count a request that goes now."""
        if not self.in_flight:
            self._begin(now)  # what was measured before everybody was gone would count the time in between
        self._out[request] = now

    def left(self, request: object) -> None:
        """Count a request that has come back, or was not sent after all."""
        if self._out.pop(request, None) is None:
            self._hanging -= 1

    def pressed(self) -> None:
        """Note that a request has to wait."""
        self._pressed = True

    def paced(self) -> None:
        """Note that a request has to wait for something else, so that its number says nothing."""
        self._paced = True

    def throttled(self, most: int, now: float) -> None:
        """Note that the provider refused because there were too many in flight.

        Args:
            most: How many it served.
            now: The time.
        """
        self.size = self._ceiling = float(max(1, most))
        self._ceiling_until = now + self._hold_s
        self._hold_s = min(LONGEST_HOLD_S, 2 * self._hold_s)
        self._starting = self._measuring = False

    def unbound(self) -> None:
        """Note that what was refused had nothing to do with how many were in flight."""
        self._ceiling, self._hold_s = math.inf, FIRST_HOLD_S
        self._starting = False

    def answered(self, sent_at: float, now: float, output_tokens: int) -> None:
        """Note an answer, how long it took and how long it is."""
        if self._starting and self._pressed:
            slow = self._least_s is not None and now - sent_at > SLOW * self._least_s * output_tokens
            self.size += not slow
        self._tokens += output_tokens
        if sent_at >= self._begun_at:
            self._answers += 1
            self._sampled_s += now - sent_at
            self._sampled_tokens += output_tokens
        if self._answers >= self._round:
            self._end(now)

    def _begin(self, now: float) -> None:
        self._begun_at, self._begun_cpu = now, self._cpu()
        self._round = min(LARGEST_ROUND, max(LEAST_ROUND, int(self.size)))
        self._answers = self._tokens = self._sampled_tokens = 0
        self._sampled_s = 0.0
        self._pressed = self._paced = False

    def _end(self, now: float) -> None:
        elapsed = now - self._begun_at
        if self._sampled_tokens:
            self._late_s = max(HANGS_S, HANGS * self._sampled_s / self._answers)
            self._each = self._sampled_tokens / self._answers
        bound = self._pressed or (self._starting and not self._paced)
        if self._cpu() - self._begun_cpu > BUSY * elapsed:
            self._measuring = False
            self.size *= MORE_WHEN_BUSY if self._pressed else 1.0
        elif elapsed > 0 and self._sampled_tokens > 0 and bound:
            latency, throughput = self._sampled_s / self._sampled_tokens, self._tokens / elapsed
            if self._measuring:
                self._measured(latency, throughput, now)
            else:
                self._look(latency, throughput, now)
        elif self._measuring:
            self._measuring = False  # too few callers to measure anything
            self._resize()
        self._bound(now)
        self._begin(now)

    def _look(self, latency: float, throughput: float, now: float) -> None:
        self._best.append(throughput)
        self._least_s = latency if self._least_s is None else min(latency, self._least_s)
        if not self._starting:
            round_s = self._sampled_s / self._answers
            if now - self._measured_at > max(MEASURE_EVERY_S, MEASURE_EVERY_ROUNDS * round_s):
                self._measure(self._served(self._least_s))
            else:
                self._resize()
            return
        in_flight = throughput * latency
        more, faster = (in_flight / self._before[0], throughput / self._before[1]) if self._before[0] else (1.0, 2.0)
        if faster >= MORE_THROUGHPUT:
            self._before = (in_flight, throughput)
        if latency >= MUCH_SLOWER * self._least_s or (more >= MORE_IN_FLIGHT and faster < MORE_THROUGHPUT):
            self._starting = False
            self._measure(self._served(self._least_s))

    def _served(self, latency: float) -> float:
        """Return how many the provider serves at a time, if this is its latency for an output token without a queue."""
        return max(self._best) * max(latency, SHORT_S / self._each)

    def _measure(self, served: float) -> None:
        self._measuring = True
        self.size = max(1.0, DRAINED * served)

    def _measured(self, latency: float, throughput: float, now: float) -> None:
        before = self._least_s
        self._least_s = latency
        self._measured_at = now
        if before is not None and latency < BETTER * before and self.size > 1:
            self._measure(self._served(latency))
            return
        self._measuring = False
        self._resize()

    def _resize(self) -> None:
        if self._best and self._least_s is not None and not self._starting:
            self.size = max(2.0, ROOM * self._served(self._least_s))

    def _bound(self, now: float) -> None:
        """Keep below what was refused; after some time, go beyond it step by step."""
        if now >= self._ceiling_until and self._ceiling < math.inf:
            self._ceiling += max(1.0, 0.02 * self._ceiling)
        self.size = min(self.size, self._ceiling)
