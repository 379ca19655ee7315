"""The rate that a provider allows and does not tell: found from its refusals, followed when it moves; pure."""

from __future__ import annotations

import math

# Requests that a scheduler's hiccup delayed may go at once, as far as they come from this many seconds.
SLACK_S = 0.1
# Of the rate at which the first refusal came. It came after a provider's reserve was used up, so the limit is lower.
FIRST_CUT = 0.7
# Of a rate that is refused again so soon that nothing can be measured yet.
QUICK_CUT = 0.9
# Of what got through between two refusals. A provider that refused at both ends let through all that it allows.
HEADROOM = 0.98
# Of what a look has found: a whole request more or less in a window looks like two in a hundred.
CAUTION = 0.99
# Of a rate that stood long and is refused once: a hiccup, or the first sign of a lower limit, which the next refusal
# tells.
SINGLE_CUT = 0.97
# Shorter, a measurement between two refusals is no measurement; longer, it says nothing of now; in seconds.
SHORTEST_MEASURE_S, LONGEST_MEASURE_S = 0.5, 6.0
# Where windows start anew, the pause took a part of what is allowed, and the measurement is too low: by half where the
# rate was nearly right. One that may be, and does not agree with the one before, lowers the rate by this share alone.
DOUBTFUL, AGREEING, DOUBTFUL_CUT = 0.4, 0.85, 0.8
# Even a measurement lowers the rate no further than to this share at once.
DEEPEST_CUT = 0.1
# Looking for more starts with this step over the rate that stands; each next one is so many times as large, to a bound.
# Faster, and the step that is refused says less of where the limit is; slower, and a limit that rose is met late.
FIRST_STEP, STEP_GROWTH, LARGEST_STEP = 0.01, 1.7, 0.25
STEP_S = 1.0  # as long as the shortest window in which providers count,
STEP_REQUESTS = 5  # and long enough to be refused
# The rate is held for so long before looking for more: after a cut; after a look that failed, at the least and at the
# most; in between so that the pauses of failed looks take no more than the share COST of the time.
SETTLING_S, SHORTEST_HOLD_S, LONGEST_HOLD_S = 1.0, 8.0, 300.0
COST = 0.01
# A look that failed so far above what stood has found little; another follows, once what it found stood so long that a
# provider's reserve would be used up.
WIDE, WIDE_HOLD_S = 1.15, 4.0
# While the rate is held it creeps by this share every so many seconds, to a little below what is known to be refused:
# that costs no refusal, as looking does.
CREEP, CREEP_EVERY_S, BELOW_REFUSED = 0.005, 2.0, 0.985
# A limit that fell so far has moved, and may move back: so many looks follow without delay, whatever they cost.
MOVED, MOVED_LOOKS = 0.75, 8
# A rate that was not refused for so long stood.
LONG_S = 5.0
PROVEN_S = 2.5  # and for so long, to count as what a limit that moved has moved from
SLOWEST_PER_S = 1 / 60
_BIN_S = 0.5


class RateSearch:
    """Paces requests once the provider has refused one; the time is passed in, in monotonic seconds.

    The rate is *held* while nothing is refused, and *looked* beyond from time to time, in steps that grow. A refusal
    during a look ends it at the last step that stood. A refusal of a held rate lowers it to what got through since the
    refusal before, which is what a provider with a steady refill allows, whatever its reserve.

    Attributes:
        per_s: The rate in requests a second; None while nothing has been refused.
    """

    def __init__(self) -> None:
        self.per_s: float | None = None
        self._held = 0.0  # the rate below the look that is under way, or the rate itself
        self._base = 0.0  # the rate below the last look
        self._known = 0.0  # the last rate that stood for long, or the first that did not
        self._proven = False  # which of the two it is
        self._stood = (0.0, 0.0)  # the last two steps of the look that stood
        self._refused = 0.0  # the lowest rate that is known to be too much
        self._creep_at = 0.0
        self._size = 0.0  # of the step under way
        self._step = -1  # the number of the step under way; -1: no look
        self._step_until = 0.0
        self._look_at = 0.0
        self._look_began = 0.0
        self._look_sent = 0
        self._hold_s = SETTLING_S
        self._pause_s = SHORTEST_HOLD_S  # what the last look was worth
        self._moved = 0  # looks that are still worth any cost
        self._looked = False  # whether the rate is what the last look has found
        self._pressed = False
        self._next_at = 0.0
        self._cut_at: float | None = None
        self._cooldown_s = 0.0  # after the last cut
        self._measured_from = 0.0
        self._sent = 0  # since then, refused ones not counted
        self._measured = 0.0  # what got through between the last two refusals, requests a second
        self._recent = [0, 0]  # sent in the last half second and in the one before
        self._recent_until = 0.0

    def available_at(self, now: float) -> float:
        """Return the time at which the next request may go; now, or earlier, when it may at once."""
        if self.per_s is None:
            return now
        self._advance(now)
        if self._next_at > now:
            self._pressed = True
        return self._next_at

    def take(self, now: float) -> None:
        """Count a request that goes now."""
        self._sent += 1
        self._look_sent += 1
        if self.per_s is not None:
            self._next_at = max(self._next_at, now - SLACK_S) + 1 / self.per_s
        while now >= self._recent_until:
            idle = now - self._recent_until > 2 * _BIN_S
            self._recent = [0, 0 if idle else self._recent[0]]
            self._recent_until = now + _BIN_S if idle else self._recent_until + _BIN_S
        self._recent[0] += 1

    def returned(self) -> None:
        """Take back a request that was counted and not sent."""
        self._sent -= 1
        self._look_sent -= 1

    def is_news(self, sent_at: float) -> bool:
        """Tell whether the refusal of a request that was let go then belongs to no burst that was seen to already."""
        return self._cut_at is None or sent_at > self._cut_at

    def pause(self, until: float) -> None:
        """Let nothing be made up for that could not be sent while the provider wanted to be left alone."""
        self._next_at = max(self._next_at, until)

    def forget(self, now: float) -> None:
        """Start anew: it was not the rate that was refused."""
        self.per_s, self._cut_at, self._step, self._looked = None, now, -1, False

    def throttled(self, now: float, cooldown_s: float) -> None:
        """Note a burst of refusals.

        Args:
            now: The time.
            cooldown_s: How long nothing is sent now.
        """
        self.returned()
        since = None if self._cut_at is None else now - self._measured_from
        if self._step < 0 and self._held and self._stands(now, PROVEN_S):
            self._known, self._proven = self._held, True
        rate = max(self._lowered(since, now, cooldown_s), SLOWEST_PER_S)
        # A window that looks back is still full of what was too much in the last step of a look.
        excess_s = STEP_S * min(1.0, (self.per_s or rate) / rate - 1) if self._looked and self._step > 0 else 0.0
        self._held = self.per_s = rate
        self._step = -1
        self._look_at = now + cooldown_s + self._hold_s
        self._creep_at = now + cooldown_s + CREEP_EVERY_S
        self._cut_at, self._cooldown_s, self._pressed = now, cooldown_s, False
        if since is None or since >= SHORTEST_MEASURE_S:
            self._measured_from, self._sent = now, 0
        self._next_at = now + excess_s

    def _lowered(self, since: float | None, now: float, cooldown_s: float) -> float:
        """Return the rate after a refusal, and set how long it is held; `since`: seconds from the refusal before."""
        self._hold_s = SETTLING_S
        if self.per_s is None:
            self._known = FIRST_CUT * self._recent_rate(now)
            return self._known
        if self._sent <= 0 and since is not None and since >= SHORTEST_MEASURE_S:
            # Nothing gets through at all: an outage says nothing of the rate, and the pauses protect the provider.
            return max(FIRST_CUT * self.per_s, DEEPEST_CUT * self._known)
        if not self._pressed:
            # Something else bounds what is sent, and that was too much.
            return min(self._held, self._recent_rate(now))
        if self._step > 0 or (self._step == 0 and self._stands(now - STEP_S)):
            return self._after_look(now, cooldown_s)
        return self._after_hold(since, now)

    def told(self, per_s: float, now: float) -> None:
        """Follow a rate that the provider names."""
        if self.per_s is None:
            self._next_at = now
        self._held = self._known = self.per_s = HEADROOM * per_s
        self._step, self._hold_s = -1, LONGEST_HOLD_S
        self._look_at = now + LONGEST_HOLD_S

    def _after_look(self, now: float, cooldown_s: float) -> float:
        assert self.per_s is not None
        # What went beyond the held rate was gained, and pays for the pause.
        gained_s = self._look_sent / self._held - (now - self._look_began)
        lost_s = max(0.0, cooldown_s - max(0.0, gained_s))
        self._hold_s = self._pause_s = min(LONGEST_HOLD_S, max(SHORTEST_HOLD_S, lost_s / COST))
        self._base = self._held
        # What was refused is the end of a window, which began in the step before; the window before that one stood.
        share = min(1.0, max(0.0, 1 - (self._step_until - now) / STEP_S))
        stood = share * self._stood[1] + (1 - share) * self._stood[0]
        self._refused = share * self.per_s + (1 - share) * self._stood[1]
        found = max(self._held, CAUTION * stood) if self._step else HEADROOM * self._held
        if self._moved > 0:
            self._moved -= 1
            self._hold_s = self._pause_s = SHORTEST_HOLD_S
        if self.per_s > WIDE * found:
            self._hold_s = WIDE_HOLD_S
        self._looked = True
        return found

    def _after_hold(self, since: float | None, now: float) -> float:
        held, looked = self._held, self._looked
        self._refused = held
        # What stood before the look may still stand.
        least = self._base if looked else DEEPEST_CUT * held
        self._hold_s = self._pause_s if looked else SETTLING_S
        if since is not None and since < SHORTEST_MEASURE_S:
            return max(QUICK_CUT * held, least)
        self._looked = False
        if since is None or since > LONGEST_MEASURE_S:
            self._hold_s = self._pause_s
            return SINGLE_CUT * held
        measured, before, self._measured = self._sent / since, self._measured, self._sent / since
        agrees = AGREEING <= measured / max(before, SLOWEST_PER_S) <= 1 / AGREEING
        if not agrees:
            # Between what a steady refill and what windows that start anew would mean.
            fresh = self._sent / max(STEP_S, since - self._cooldown_s)
            measured = math.sqrt(measured * max(measured, min(held, fresh)))
            least = max(least, DOUBTFUL_CUT * held if measured >= DOUBTFUL * held else 0.0)
        rate = min(0.97 * held, max(HEADROOM * measured, least))
        if self._proven and rate < MOVED * self._known:
            self._moved = MOVED_LOOKS
        return rate

    def _advance(self, now: float) -> None:
        assert self.per_s is not None
        if self._step < 0:
            if now < self._look_at or not self._pressed:
                self._creep(now)
                return
            if self._stands(now, PROVEN_S):
                self._known, self._proven = self._held, True
            if self._stands(now):
                self._measured = 0.0
            self._stood = (self._held, self._held)
            self._size = FIRST_STEP
            self._look_began, self._look_sent = now, 0
        elif now < self._step_until:
            return
        elif self._pressed:
            self._stood = (self._stood[1], self.per_s)
        if self._pressed:  # a step that nobody had to wait in has shown nothing
            self._step += 1
            self.per_s *= 1 + self._size
            self._size = min(LARGEST_STEP, STEP_GROWTH * self._size)
        self._step_until = now + max(STEP_S, STEP_REQUESTS / self.per_s)
        self._pressed = False

    def _creep(self, now: float) -> None:
        most = BELOW_REFUSED * self._refused
        if self._pressed and now >= self._creep_at and self._held < most:
            self._creep_at = now + CREEP_EVERY_S
            self._held = self.per_s = min(most, self._held * (1 + CREEP))

    def _stands(self, now: float, long_s: float = LONG_S) -> bool:
        """Tell whether the rate has not been refused for long."""
        return self._cut_at is None or now - self._cut_at > long_s

    def _recent_rate(self, now: float) -> float:
        elapsed = 2 * _BIN_S - max(0.0, self._recent_until - now)
        count, before = self._recent
        if not before:
            elapsed -= _BIN_S
        return (count + before) / max(elapsed, 0.1)
