"""A rate of which a process spends what it has leased; the time is passed in."""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from ..token_bucket import TokenBucket
from .store import LOOK_AHEAD_S, RateAsk, RateGrant

# Sums of units miss the whole by less than this.
_ROUNDING = 1e-6
# Seconds over which a process's use of a rate is averaged.
_AVERAGED_S = 0.5


@dataclass(slots=True)
class Lease:
    """Units that accrue evenly from one time to another; infinity for a share without a store."""

    start: float
    end: float
    per_s: float

    def between(self, since: float, until: float) -> float:
        """Return the units that accrue between two times."""
        return max(0.0, min(self.end, until) - max(self.start, since)) * self.per_s


class RateUse:
    """What a process has used of a rate lately.

    Attributes:
        per_s: Units a second, averaged.
        was_short: Whether a request had to wait since the last renewal.
        least: Units that the last request with too few needed; 0 when none lacked any.
        renew_below: Units held below which the lease is renewed; infinity while a renewal is due.
    """

    __slots__ = ("_since", "_taken", "least", "per_s", "renew_below", "was_short")

    def __init__(self, now: float) -> None:
        self.per_s = 0.0
        self.was_short = False
        self.least = 0.0
        self.renew_below = 0.0
        self._taken = 0.0
        self._since = now

    def take(self, amount: float) -> None:
        """Count what is used; what is given back is negative."""
        self._taken += amount

    def wanted(self, now: float) -> float:
        """Return the units that the next seconds need: twice the use so far, where that was too little."""
        elapsed = now - self._since
        if elapsed > 0:
            weight = 1 - math.exp(-elapsed / _AVERAGED_S)
            self.per_s += weight * (max(0.0, self._taken) / elapsed - self.per_s)
            self._taken, self._since = 0.0, now
        return self.per_s * LOOK_AHEAD_S * (2 if self.was_short else 1) + self.least


class LeasedRate(TokenBucket):
    """A token bucket that fills with what the process has leased; thread-safe.

    Leases are renewed before they are used up, so that a request waits for the store only where there is none.

    Args:
        name: Its name within the account.
        per_minute: The configured limit.
        now: Monotonic time in seconds.
        burst_s: Seconds of the limit that may be used at once, by all processes together.
        renew: Called, from any thread, when a lease is to be renewed at once (True), or along with others (False).
    """

    __slots__ = ("__weakref__", "_cap", "_leases", "_lock", "_need", "_renew", "_unused", "_use", "name")

    def __init__(
        self, name: str, per_minute: float, now: float, burst_s: float, renew: Callable[[LeasedRate, bool], None]
    ) -> None:
        super().__init__(per_minute, now, burst_s)
        self.name = name
        self._level = 0.0
        self._cap = self._size  # a share of the size, so that all processes together use no more at once
        self._need = 0.0  # of the last request
        self._leases: deque[Lease] = deque()
        self._unused = 0.0
        self._use = RateUse(now)
        self._renew = renew
        self._lock = threading.Lock()

    def available_at(self, amount: float, now: float) -> float:
        """Return the time at which an amount may be taken; infinity: when the lease has been renewed."""
        with self._lock:
            self._need = min(amount, self._size)
            self._refill(now)
            at = self._available_at(amount, now)
            if at > now:
                self._use.was_short = True
            if at < math.inf or self._use.renew_below == math.inf:
                return at
            self._use.renew_below = math.inf
        self._renew(self, True)
        return at

    def take(self, amount: float, now: float) -> None:
        """Take an amount that is available."""
        with self._lock:
            self._refill(now)
            self._level -= amount
            self._use.take(amount)
            if self._use.renew_below in (0.0, math.inf) or self._held(now) >= self._use.renew_below:
                return
            self._use.renew_below = math.inf
        self._renew(self, True)

    def give_back(self, amount: float, now: float) -> None:
        """Give back what was taken and not used; a negative amount takes more."""
        with self._lock:
            self._level += amount
            self._use.take(-amount)
            self._refill(now)

    def ask(self, now: float) -> RateAsk:
        """Return what a renewal asks for, and what it gives back."""
        with self._lock:
            self._refill(now)
            held = self._held(now)
            least = self._use.least
            want = max(0.0, self._use.wanted(now) - held)
            unused, self._unused = self._unused, 0.0
            self._use.was_short, self._use.least = False, 0.0
            return RateAsk(self.name, self.per_s, self._size, want, held, least, unused)

    def granted(self, grant: RateGrant, members: int, now: float) -> None:
        """Add a lease, by the answer to `ask`."""
        with self._lock:
            self._refill(now)
            self._cap = self._size / members
            if grant.units > 0:
                start = now + grant.start_s
                lease = Lease(start, start + grant.units / grant.per_s, grant.per_s)
                self._level += lease.between(-math.inf, now)
                self._leases.append(lease)
            low = min(grant.most, self._use.per_s * LOOK_AHEAD_S) / 2
            self._use.renew_below = low if low >= 0.5 else 0.0  # units come in wholes, or in many

    def failed(self, ask: RateAsk) -> None:
        """Take back what a renewal gave back, because it did not arrive."""
        with self._lock:
            self._unused += ask.unused

    def go_alone(self, share: float, start: float) -> None:
        """Accrue a share of the rate without the store, from a time on."""
        with self._lock:
            self._level += max(0.0, self._updated - start) * self.per_s * share
            self._leases.append(Lease(max(start, self._updated), math.inf, self.per_s * share))
            self._cap = max(1.0, self._size * share)
            self._use.renew_below = math.inf

    def rejoin(self, now: float) -> None:
        """Lease from the store again; what accrued without it is no part of that."""
        with self._lock:
            self._refill(now)
            self._leases = deque(lease for lease in self._leases if lease.end < math.inf)
            self._level = min(0.0, self._level)
            self._use.renew_below = 0.0

    def release(self, now: float) -> None:
        """Give everything back with the next renewal."""
        with self._lock:
            self._refill(now)
            self._unused += self._held(now)
            self._level = 0.0
            self._leases.clear()
            self._use.renew_below = 0.0

    def _available_at(self, amount: float, now: float) -> float:
        lacking = self._need - self._level - _ROUNDING
        if self._held(now) < amount - _ROUNDING:
            self._use.least = amount
            return math.inf
        if lacking <= 0:
            return now
        for lease in self._leases:
            begin = max(now, lease.start)
            if lease.per_s * (lease.end - begin) >= lacking:
                return begin + lacking / lease.per_s
            lacking -= max(0.0, lease.end - begin) * lease.per_s
        return math.inf

    def _held(self, now: float) -> float:
        """Return the units that are there, and those that are still to accrue."""
        held = self._level
        for lease in self._leases:
            held += lease.between(now, math.inf) if lease.end > now else 0.0
        return held

    def _refill(self, now: float) -> None:
        if now > self._updated:
            for lease in self._leases:
                self._level += lease.between(self._updated, now)
            while self._leases and self._leases[0].end <= now:
                self._leases.popleft()
            self._updated = now
        cap = max(self._cap, self._need)
        if self._level > cap:
            self._unused += self._level - cap
            self._level = cap
