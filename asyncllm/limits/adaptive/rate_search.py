"""The rate that a provider allows and does not announce: found from its 429s, followed when it moves; pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

from .parameters import AdaptiveParameters

# The shortest window in which providers count, in seconds: a step of a probe lasts for one, and nothing shorter is a
# measurement.
WINDOW_S = 1.0
STOOD_S = 5 * WINDOW_S  # a rate without a 429 for so long is right, or nearly so
# A step lasts for so many requests at the least: with fewer, a slow rate would be raised before it can be throttled.
STEP_REQUESTS = 5
LONGEST_PAUSE_S = 300.0  # between two probes, whatever they cost: a limit that rose is met within five minutes
# Requests that a scheduler's delay held up may go at once, as far as they come from this many seconds.
SLACK_S = 0.1
# A rate below this share of what it was before the last probe has moved, and may move back: so many probes follow soon,
# whatever they cost.
MOVED, SOON_PROBES = 0.75, 8
SLOWEST_PER_S = 1 / 60  # any slower, a probe would take an hour


class RateState(Enum):
    """What the search does with the rate."""

    UNLIMITED = "unlimited"
    """No 429 has come: there is no rate, and the number in flight grows."""
    LOWERED = "lowered"
    """Lowered after a 429 to what got through since the one before; probed once it has stood for a window, or, where a
    rate that had stood was lowered a little, at the time of the next probe."""
    PROBING = "probing"
    """Raised in growing steps, until one is throttled."""
    HOLDING = "holding"
    """Found by a probe; probed again when it is time."""


@dataclass(slots=True)
class Pacer:
    """Spaces requests evenly.

    Attributes:
        per_s: Requests a second; infinity while no rate is known.
        next_at: The time at which the next one may go.
        pressed: Whether one had to wait since this was reset. A rate that no request waits for shows nothing.
    """

    per_s: float = math.inf
    next_at: float = 0.0
    pressed: bool = False

    def available_at(self, now: float) -> float:
        """Return the time at which the next request may go; now or earlier: at once."""
        if self.next_at > now:
            self.pressed = True
        return self.next_at

    def take(self, now: float) -> None:
        """Count a request that goes now."""
        self.next_at = max(self.next_at, now - SLACK_S) + 1 / self.per_s


@dataclass(slots=True)
class Passed:
    """Requests that got through since a 429.

    Attributes:
        since: The time of that 429, or of the start of counting.
        cooldown_s: Seconds after it in which nothing was sent.
        requests: Their number; those in flight count until they are throttled.
    """

    since: float = -math.inf
    cooldown_s: float = 0.0
    requests: float = 0.0

    def per_s(self, now: float) -> float:
        """Return the rate that the provider allows by this measurement.

        A provider with a steady refill allows what got through in all the time between two 429s, one whose windows
        start anew what got through outside the cooldown. No single measurement shows which it is: the geometric mean
        errs least.
        """
        elapsed = max(0.1 * WINDOW_S, now - self.since)
        steady = self.requests / elapsed
        windows = self.requests / max(WINDOW_S, elapsed - self.cooldown_s)
        return math.sqrt(steady * max(steady, windows))


@dataclass(slots=True)
class Probe:
    """The probe under way, or the last one, and the time of the next.

    Attributes:
        steps: Steps taken.
        base: The rate before the last probe that ended; 0 before the first.
        start: The rate before the first step.
        before: The rate two steps ago.
        last: The rate one step ago.
        next_at: The time of the next probe.
        pause_s: Seconds between this one and the next.
        soon: How many of the next follow soon, whatever they cost.
    """

    steps: int = 0
    base: float = 0.0
    start: float = 0.0
    before: float = 0.0
    last: float = 0.0
    next_at: float = 0.0
    pause_s: float = 0.0
    soon: int = 0


class RateSearch:
    """Paces requests once one was throttled; the time is passed in, in monotonic seconds.

    Attributes:
        state: What is done with the rate.
        throttled_at: The time of the last burst of 429s.
    """

    def __init__(self, parameters: AdaptiveParameters) -> None:
        self.state = RateState.UNLIMITED
        self.throttled_at = -math.inf
        self._parameters = parameters
        self._pacer = Pacer()
        self._passed = Passed()
        self._probe = Probe(pause_s=parameters.probe_soon_s)
        self._ceiling = math.inf  # the lowest rate that is known to be too much
        self._due_at = math.inf  # the time at which something changes without a 429

    @property
    def per_s(self) -> float | None:
        """The rate in requests a second; None while nothing was throttled."""
        return None if self.state is RateState.UNLIMITED else self._pacer.per_s

    def available_at(self, now: float) -> float:
        """Return the time at which the next request may go; now or earlier: at once."""
        if now >= self._due_at:
            self._elapsed(now)
            self._pacer.pressed = False
        return self._pacer.available_at(now)

    def take(self, now: float) -> None:
        """Count a request that goes now."""
        self._pacer.take(now)
        passed = self._passed
        if self.state is RateState.UNLIMITED and now - passed.since > WINDOW_S:
            # The number in flight grows: what was sent a second ago says nothing of now.
            passed.since, passed.requests = now - WINDOW_S / 2, passed.requests / 2
        passed.requests += 1

    def returned(self, sent_at: float) -> None:
        """Take back a request that did not get through."""
        if sent_at >= self._passed.since:
            self._passed.requests = max(0.0, self._passed.requests - 1)

    def pause(self, until: float) -> None:
        """Send nothing until then, and make up for none of it."""
        self._pacer.next_at = max(self._pacer.next_at, until)

    def declared(self, per_s: float, now: float) -> None:
        """Follow a rate that the provider names; it is not probed, and a 429 shows when it no longer holds."""
        if self.state is RateState.UNLIMITED:
            self._pacer.next_at = now
        self._ceiling = self._probe.base = per_s
        self._enter(RateState.HOLDING, self._parameters.headroom * per_s, now, math.inf)

    def forget(self, now: float) -> None:
        """Start anew: it was not the rate that was throttled."""
        self.state, self._pacer, self._passed = RateState.UNLIMITED, Pacer(next_at=now), Passed(now)
        self.throttled_at, self._due_at = now, math.inf

    def throttled(self, now: float, cooldown_s: float, *, answered: bool) -> None:
        """Note a burst of 429s.

        Args:
            now: The time.
            cooldown_s: Seconds in which nothing is sent now.
            answered: Whether anything was answered since the last one. An outage says nothing of the rate, and the
                cooldowns protect the provider.
        """
        passed, at = self._passed, now + cooldown_s
        if self.state is RateState.UNLIMITED:
            # A part of what got through was the provider's reserve.
            self._enter(RateState.LOWERED, self._parameters.first_cut * passed.per_s(now), at, WINDOW_S)
        elif not answered:
            self._enter(RateState.LOWERED, self._standing, at, WINDOW_S)
        elif self.state is RateState.PROBING and self._probe.steps > 1:
            self._end_probe(now, cooldown_s)
        else:
            self._lower(now, cooldown_s)
        if now - passed.since >= WINDOW_S / 2:  # else too little got through since then to be counted apart
            self._passed = Passed(now, cooldown_s)
        self.throttled_at = self._pacer.next_at = now
        self._pacer.pressed = False
        self.pause(at)

    @property
    def _standing(self) -> float:
        """The rate, without what a probe adds to it."""
        return self._probe.start if self.state is RateState.PROBING else self._pacer.per_s

    def _end_probe(self, now: float, cooldown_s: float) -> None:
        """Hold the rate that stood last, and set the time of the next probe by what this one cost."""
        probe, pacer, parameters = self._probe, self._pacer, self._parameters
        # What was throttled is the end of a window that began in the step before; the window before that one stood.
        share = min(1.0, max(0.0, 1 - (self._due_at - now) / WINDOW_S))
        self._ceiling = share * pacer.per_s + (1 - share) * probe.last
        stood = share * probe.last + (1 - share) * probe.before
        probe.base = probe.start
        probe.pause_s = min(LONGEST_PAUSE_S, max(parameters.probe_soon_s, cooldown_s / parameters.probe_cost))
        if probe.soon > 0:
            probe.soon, probe.pause_s = probe.soon - 1, parameters.probe_soon_s
        found = max(probe.start, parameters.headroom * stood)
        self._enter(RateState.HOLDING, found, now + cooldown_s, probe.pause_s)

    def _lower(self, now: float, cooldown_s: float) -> None:
        """Lower the rate that was throttled to what got through since the 429 before."""
        probe, passed, parameters = self._probe, self._passed, self._parameters
        rate = self._ceiling = self._standing
        least, pause_s = 0.0, WINDOW_S
        if self.state is RateState.HOLDING:  # what stood before the probe may still stand
            least, pause_s = probe.base, probe.pause_s
        elapsed = now - passed.since
        if elapsed > STOOD_S:  # a hiccup, or the first sign of a lower limit, which the next 429 tells
            least, pause_s = rate, probe.pause_s
        # Less than a window is less of a measurement.
        least = max(least, rate * parameters.deepest_cut ** min(1.0, elapsed / WINDOW_S))
        lowered = parameters.headroom * min(rate, max(least, passed.per_s(now)))
        if lowered < MOVED * probe.base:
            probe.soon = SOON_PROBES
        self._enter(RateState.LOWERED, lowered, now + cooldown_s, pause_s)

    def _elapsed(self, now: float) -> None:
        """Let time change the rate: by the next step of a probe, the next probe, or a creep."""
        pacer, probe = self._pacer, self._probe
        if not pacer.pressed:
            self._due_at = now + WINDOW_S
        elif self.state is RateState.PROBING:
            self._step(now)
        elif now >= probe.next_at:
            self.state = RateState.PROBING
            probe.steps, probe.start, probe.last = 0, pacer.per_s, pacer.per_s
            self._step(now)
        else:
            most = self._parameters.headroom * self._ceiling
            if pacer.per_s < most < math.inf:
                pacer.per_s = min(most, pacer.per_s * (1 + self._parameters.creep))
            self._due_at = min(now + WINDOW_S, probe.next_at)

    def _step(self, now: float) -> None:
        probe = self._probe
        probe.steps += 1
        probe.before, probe.last = probe.last, self._pacer.per_s
        self._pacer.per_s *= 1 + probe.steps * self._parameters.probe_step
        self._due_at = now + max(WINDOW_S, STEP_REQUESTS / self._pacer.per_s)

    def _enter(self, state: RateState, per_s: float, at: float, pause_s: float) -> None:
        self.state = state
        self._pacer.per_s = max(SLOWEST_PER_S, per_s)
        self._probe.next_at = at + pause_s
        self._due_at = at + min(WINDOW_S, pause_s)
