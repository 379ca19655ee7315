"""What a process uses of one provider, endpoint and key: its leases, and its part of the shared cooldown."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from weakref import WeakMethod, WeakSet

from .leased_budget import LeasedBudget
from .leased_rate import LeasedRate
from .store import LOOK_AHEAD_S, LeaseReply, LeaseRequest

# Seconds between two renewals while there are calls: a cooldown that another process starts is known after as long.
RENEW_EVERY_S = 0.25
# Seconds without a call after which everything is given back and nothing is renewed.
IDLE_S = 1.0
# Of its share, a process uses so much without the store: the rest is for those that begin meanwhile, and have none.
ALONE = 0.8
# What each of those uses of the limit: four are within what the others leave.
NEWCOMER_SHARE = 0.05


@dataclass(frozen=True, slots=True)
class Renewal:
    """A renewal under way: its request, and the leases that it is for, in the request's order."""

    request: LeaseRequest
    rates: tuple[LeasedRate, ...]
    budgets: tuple[LeasedBudget, ...]


class RenewalState:
    """When an account is renewed.

    Attributes:
        is_urgent: Whether a request waits for it, or a lease is nearly used up.
        used_at: The time of the last call.
        renewed_at: The time of the last renewal.
        is_member: Whether the store counts this process.
        is_lost: Whether the store cannot be reached.
        share: The share of the rates without the store.
        was_alone: Whether that was used since the last renewal.
    """

    __slots__ = ("is_lost", "is_member", "is_urgent", "renewed_at", "share", "used_at", "was_alone")

    def __init__(self, now: float, *, is_lost: bool) -> None:
        self.is_urgent = False
        self.used_at = self.renewed_at = now
        self.is_member = False
        self.is_lost = is_lost
        self.share = 0.0
        self.was_alone = is_lost


class SharedAccount:
    """The leases of one account; thread-safe.

    Args:
        name: The account: provider, endpoint and key, hashed.
        wake: Called, from any thread, when the account is to be renewed.
        clock: Returns the monotonic time in seconds.
        is_lost: Whether the store cannot be reached at present.
    """

    def __init__(self, name: str, wake: Callable[[], None], clock: Callable[[], float], *, is_lost: bool) -> None:
        self.name = name
        self.clock = clock
        self._member = uuid.uuid4().hex
        self._wake = wake
        self._state = RenewalState(clock(), is_lost=is_lost)
        self._lock = threading.Lock()
        self._known: WeakSet[LeasedRate | LeasedBudget] = WeakSet()
        self._due: set[LeasedRate | LeasedBudget] = set()
        self._cooldown_until = 0.0
        self._told: list[WeakMethod[Callable[[float], None]]] = []

    def rate(self, name: str, per_minute: float, burst_s: float) -> LeasedRate:
        """Return a new rate of the account."""
        rate = LeasedRate(name, per_minute, self.clock(), burst_s, self.renew)
        with self._lock:
            self._known.add(rate)
            if self._state.is_lost:
                self._go_alone(rate, self.clock())
        return rate

    def budget(self, name: str, limit_usd: float) -> LeasedBudget:
        """Return a new budget of the account."""
        budget = LeasedBudget(name, limit_usd, self.renew)
        with self._lock:
            self._known.add(budget)
        return budget

    def give_up(self) -> None:
        """Let no caller wait for money any longer: the store has been lost for too long."""
        with self._lock:
            for lease in list(self._known):
                if isinstance(lease, LeasedBudget):
                    lease.is_out_of_reach = True
        self._tell()

    def on_renewal(self, told: Callable[[float], None]) -> None:
        """Have a method called after each renewal, with the end of the cooldown; it is not kept alive."""
        with self._lock:
            self._told = [*(method for method in self._told if method() is not None), WeakMethod(told)]

    def cool_down(self, until: float) -> None:
        """Start a cooldown for all processes."""
        with self._lock:
            self._cooldown_until = max(self._cooldown_until, until)
        self._call_for_renewal()

    @property
    def is_orphan(self) -> bool:
        """Whether nothing uses it any more."""
        used_lately = self.clock() - self._state.used_at <= IDLE_S
        return not used_lately and not self._known and not any(method() for method in self._told)

    def use(self) -> None:
        """Note that there are calls: without any, the account is not renewed."""
        state = self._state
        state.used_at = self.clock()
        if not state.is_member:
            self._call_for_renewal()

    def due_in_s(self, now: float) -> float | None:
        """Return the seconds until the account is to be renewed; None when it is not."""
        state = self._state
        if state.is_urgent:
            return 0.0
        return max(0.0, state.renewed_at + RENEW_EVERY_S - now) if state.is_member else None

    def begin(self, now: float, *, closing: bool = False) -> Renewal:
        """Return the renewal that is due; where there were no calls lately, it leaves the account."""
        state = self._state
        with self._lock:
            state.is_urgent = False
            known = list(self._known)
            in_use = any(isinstance(lease, LeasedBudget) and lease.is_in_use for lease in known)
            is_idle = now - state.used_at > IDLE_S
            leaving = closing or (is_idle and not in_use)
            # Of an idle account all: a budget in use may be promised to a request that is gone.
            due = known if leaving or is_idle else list(self._due)
            self._due.clear()
            cooldown_s = max(0.0, self._cooldown_until - now)
        rates = tuple(lease for lease in due if isinstance(lease, LeasedRate))
        budgets = tuple(lease for lease in due if isinstance(lease, LeasedBudget))
        if leaving:
            for rate in rates:
                rate.release(now)
        asks = tuple(rate.ask(now) for rate in rates)
        sums = tuple(budget.ask(leaving=leaving) for budget in budgets)
        return Renewal(
            LeaseRequest(self.name, self._member, asks, sums, cooldown_s, leaving, state.was_alone), rates, budgets
        )

    def finish(self, renewal: Renewal, reply: LeaseReply, now: float) -> None:
        """Take the answer to a renewal over."""
        request, state = renewal.request, self._state
        state.was_alone = False
        state.renewed_at, state.is_member, state.share = now, not request.leaving, reply.share
        for rate, grant in zip(renewal.rates, reply.rates, strict=True):
            rate.granted(grant, reply.members, now)
        for budget, ask, granted in zip(renewal.budgets, request.budgets, reply.budgets, strict=True):
            if request.leaving:
                budget.left(ask)
            else:
                budget.granted(granted, ask)
        if reply.cooldown_s > 0:
            self._cooldown_until = max(self._cooldown_until, now + reply.cooldown_s)
        self._tell()

    def fail(self, renewal: Renewal) -> None:
        """Take back what a renewal gave back, because it did not arrive."""
        for rate, ask in zip(renewal.rates, renewal.request.rates, strict=True):
            rate.failed(ask)
        with self._lock:
            self._due.update(renewal.rates, renewal.budgets)

    def lose(self, now: float) -> None:
        """Go on without the store."""
        with self._lock:
            self._state.is_lost = self._state.was_alone = True
            for lease in list(self._known):
                if isinstance(lease, LeasedRate):
                    self._go_alone(lease, now)
        self._tell()

    def regain(self, now: float) -> None:
        """Lease from the store again."""
        with self._lock:
            self._state.is_lost, self._state.is_member, self._state.is_urgent = False, False, True
            for lease in list(self._known):
                if isinstance(lease, LeasedRate):
                    lease.rejoin(now)
                else:
                    lease.is_out_of_reach = False
                self._due.add(lease)

    def _go_alone(self, rate: LeasedRate, now: float) -> None:
        if self._state.share > 0:
            # What the others had leased is used up by then.
            rate.go_alone(self._state.share * ALONE, now + LOOK_AHEAD_S)
        else:
            per_s = rate.per_s * NEWCOMER_SHARE
            rate.go_alone(NEWCOMER_SHARE, now - 1 / per_s)  # which lets one request go at once

    def renew(self, lease: LeasedRate | LeasedBudget, urgent: bool = False) -> None:
        """Renew a lease: at once, or with the next renewal of another."""
        with self._lock:
            self._due.add(lease)
        if urgent:
            self._call_for_renewal()

    def _call_for_renewal(self) -> None:
        if not self._state.is_urgent:
            self._state.is_urgent = True
            self._wake()

    def _tell(self) -> None:
        for method in self._told:
            told = method()
            if told is not None:
                told(self._cooldown_until)
