"""Slots: how many requests of a client are on their way, and the lines of those that wait."""

from __future__ import annotations

import itertools
import math
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress

import anyio

from .. import telemetry
from ..errors import AsyncLLMError
from ..threads import into_this_loop
from .adaptive.controller import AdaptiveController
from .budget import Budget
from .provider_limits import ProviderLimits, Reason

# A limit that takes turns with another is told in the log once in so many seconds.
TOLD_EVERY_S = 1.0
# A timer that is this close does as well as another.
_SAME_S = 0.001

_arrivals = itertools.count()


class Waiter:
    """One request, and what it must have before it is sent.

    Args:
        slots: Its client's slots.
        bucket: Where it goes.
        tokens: What it needs at the most, input and output.
        adaptive: Whether it follows the adaptive control.
        budgets: What it is paid from: the client's budget, the batch's.
        worst_usd: What it may cost at the most.
        too_long: Told for how long the bucket is closed; raises when that is longer than anybody would wait.
        patient: Whether it belongs to a batch, and may wait however many do.
    """

    __slots__ = (
        "adaptive",
        "arrival",
        "bucket",
        "budgets",
        "due",
        "error",
        "event",
        "followed",
        "granted",
        "in_flight",
        "parked",
        "patient",
        "sent_at",
        "slots",
        "tokens",
        "too_long",
        "wake_at",
        "worst_usd",
    )

    def __init__(
        self,
        slots: Slots,
        bucket: ProviderLimits,
        tokens: int = 0,
        *,
        adaptive: bool = False,
        budgets: tuple[Budget, ...] = (),
        worst_usd: float = 0.0,
        too_long: Callable[[float], None] | None = None,
        patient: bool = False,
    ) -> None:
        self.slots = slots
        self.bucket = bucket
        self.tokens = tokens
        self.adaptive = adaptive
        self.budgets = budgets
        self.worst_usd = worst_usd
        self.too_long = too_long
        self.patient = patient
        self.arrival = next(_arrivals)
        self.parked = False
        self.due = math.inf
        self.followed: AdaptiveController | None = None
        self.sent_at = 0.0
        self.in_flight = 0
        self.granted = False
        self.error: AsyncLLMError | None = None
        self.event: anyio.Event | None = None
        self.wake_at = math.inf

    @property
    def needs(self) -> tuple[int, ...]:
        """What it waits for: those that wait for the same stand in one line."""
        return (id(self.bucket), self.adaptive, *map(id, self.budgets))

    def wake(self) -> None:
        """Let the slots see, in their own loop, who can go."""
        self.slots.wake()


class Slots:
    """The slots of one client, and the lines before them; of one loop at a time.

    A request waits for everything at once and holds nothing meanwhile: its line's first is let go when a slot, the
    bucket and the budgets have what it needs, all taken in one step. Of several lines, the first that came goes first.

    Args:
        number: How many slots there are.
        max_queue: Callers that may wait; None for any number.
        budget: What the client may spend; None for no limit.
        clock: Gives the monotonic time in seconds.

    Attributes:
        in_use: How many slots are taken.
        callers_waiting: How many wait that are not part of a batch.
    """

    def __init__(
        self,
        number: int,
        max_queue: int | None = None,
        budget: Budget | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.number = number
        self.max_queue = max_queue
        self.budget = budget
        self.in_use = 0
        self.callers_waiting = 0
        self._clock = clock
        self._lines: dict[tuple[int, ...], deque[Waiter]] = {}
        self._short: set[Budget] = set()  # those that the first of a line waits for
        self._reason: Reason | None = None
        self._told: tuple[Reason | None, float] = (None, -math.inf)
        self._call_soon: Callable[..., object] | None = None
        self._will_serve = False
        self._released_at: float | None = None
        self._between_s: float | None = None  # two slots given back, while somebody waits

    @property
    def waiting(self) -> int:
        """How many requests wait."""
        return sum(map(len, self._lines.values())) if self._lines else 0

    @property
    def limited_by(self) -> Reason | None:
        """What the first of those that wait is waiting for; None when nobody waits."""
        return self._reason if self._lines else None

    def turn_in_s(self) -> float | None:
        """Estimate the seconds until one who comes now would be let go; None when nothing tells."""
        closed_s = max((line[0].bucket.closed_s for line in self._lines.values()), default=0.0)
        if self._between_s is None:
            return closed_s or None
        return closed_s + self._between_s * (self.waiting + 1)

    def take_free(self) -> bool:
        """Take a slot if one is free and nobody waits."""
        if self._lines or self.in_use >= self.number:
            return False
        self.in_use += 1
        return True

    def give_back(self) -> None:
        """Give back a slot that was all that was taken."""
        self.in_use -= 1
        if self._lines:
            self._measure()
            self.serve()

    def try_admit(self, waiter: Waiter) -> bool:
        """Take what a request needs if it is there and nobody waits for the same.

        Raises:
            BudgetExceededError: It does not fit into what is left.
            AsyncLLMError: What `too_long` raises.
        """
        if self._lines and (waiter.needs in self._lines or not self._short.isdisjoint(waiter.budgets)):
            return False
        admitted = False
        try:
            admitted = self._admit(waiter)[0] is None
        finally:
            if not admitted:
                waiter.bucket.withdraw(waiter)
        return admitted

    async def wait(self, waiter: Waiter) -> None:
        """Wait in line until a request is let go.

        Raises:
            BudgetExceededError: It does not fit into what is left.
            AsyncLLMError: What `too_long` raises.
        """
        if not self._lines:
            self._call_soon, self._will_serve = into_this_loop(), False
        self._lines.setdefault(waiter.needs, deque()).append(waiter)
        self.callers_waiting += not waiter.patient
        try:
            self.serve()
            while not waiter.granted:
                if waiter.error is not None:
                    raise waiter.error
                waiter.event = anyio.Event()
                # Only the first in line waits for a time; the others are woken when their turn comes.
                pause = waiter.wake_at - self._clock()
                if pause == math.inf:
                    await waiter.event.wait()
                    continue
                with anyio.move_on_after(pause):
                    await waiter.event.wait()
                    continue
                self.serve()
        except BaseException:
            self._leave(waiter)
            raise
        finally:
            self.callers_waiting -= not waiter.patient

    def serve(self) -> None:
        """Let go whoever can, in the order of arrival."""
        self._will_serve = False
        self._short.clear()
        blocked: set[int] = set()
        first: tuple[Reason, Waiter] | None = None
        while True:
            heads = [line[0] for line in self._lines.values() if line and line[0].arrival not in blocked]
            if not heads:
                break
            head = heads[0] if len(heads) == 1 else min(heads, key=lambda waiter: waiter.arrival)
            try:
                reason, pause = self._admit(head)
            except AsyncLLMError as error:
                head.error = error
                head.bucket.withdraw(head)
                self._step_out(head)
                continue
            if reason is None:
                head.granted = True
                self._step_out(head)
                continue
            blocked.add(head.arrival)
            if reason == "budget":
                # Who came later leaves it what becomes free, however little they need themselves.
                self._short.update(budget for budget in head.budgets if not budget.fits(head.worst_usd))
            first = first or (reason, head)
            self._time(head, pause)
        self._reason = None if first is None else first[0]
        if first is not None and telemetry.listening(telemetry.INFO):
            self._tell(*first)

    def release(self, waiter: Waiter, used_tokens: int | None, cost_usd: float | None, *, sent: bool = True) -> None:
        """Give a slot back and settle the rest.

        Args:
            waiter: Whose request has ended.
            used_tokens: What it used, input and output; None counts as what was reserved.
            cost_usd: What it cost in US dollars; None counts as the worst case.
            sent: Whether it was sent; what was taken for one that was not is returned.
        """
        self.in_use -= 1
        for budget in waiter.budgets:
            budget.settle(waiter.worst_usd, cost_usd)
        # Whom the bucket wakes is seen to below, all at once.
        self._will_serve = bool(self._lines)
        waiter.bucket.settle(waiter, used_tokens, sent=sent)
        if self._lines:
            self._measure()
            self.serve()

    def wake(self) -> None:
        """Have `serve` called in the loop of the slots, from any thread."""
        if self._will_serve or self._call_soon is None:
            return
        self._will_serve = True
        try:
            self._call_soon(self.serve)
        except RuntimeError:  # the loop is closed: nobody waits any more
            self._will_serve = False

    def _admit(self, waiter: Waiter) -> tuple[Reason | None, float]:
        """Take what a request needs, or say what is missing and for how many seconds."""
        if self.in_use >= self.number:
            waiter.bucket.withdraw(waiter)
            return "slots", math.inf
        if waiter.budgets and not self._can_pay(waiter):
            waiter.bucket.withdraw(waiter)
            return "budget", math.inf
        reason, pause = waiter.bucket.take(waiter)
        if reason is None:
            self._take(waiter)
        elif reason == "closed" and waiter.too_long is not None and pause < math.inf:
            waiter.too_long(pause)
        return reason, pause

    def _can_pay(self, waiter: Waiter) -> bool:
        for budget in waiter.budgets:
            budget.check(waiter.worst_usd)
        fits = all(budget.fits(waiter.worst_usd) for budget in waiter.budgets)
        return fits and self._short.isdisjoint(waiter.budgets)

    def _take(self, waiter: Waiter) -> None:
        self.in_use += 1
        for budget in waiter.budgets:
            budget.reserve(waiter.worst_usd)
        if self._lines and self.in_use >= self.number:
            # Those that a bucket would let go next have no slot now, and must not hold up other clients.
            for line in self._lines.values():
                line[0].bucket.withdraw(line[0])

    def _time(self, head: Waiter, pause: float) -> None:
        """Set when the first of a line tries again by itself, and wake it when that is earlier than it thinks."""
        at = self._clock() + pause
        earlier = at < head.wake_at - _SAME_S
        head.wake_at = at
        if earlier and head.event is not None:
            head.event.set()

    def _step_out(self, head: Waiter) -> None:
        key = head.needs
        line = self._lines[key]
        line.popleft()
        if not line:
            del self._lines[key]
        if head.event is not None:
            head.event.set()

    def _leave(self, waiter: Waiter) -> None:
        """Take out a request that was cancelled, or give back what it was let go with meanwhile."""
        if waiter.granted:
            self.release(waiter, 0, 0.0, sent=False)
            return
        line = self._lines.get(waiter.needs)
        if line is not None:
            with suppress(ValueError):
                line.remove(waiter)
            if not line:
                del self._lines[waiter.needs]
        waiter.bucket.withdraw(waiter)
        self.serve()

    def _measure(self) -> None:
        now = self._clock()
        if self._released_at is not None:
            between = now - self._released_at
            self._between_s = between if self._between_s is None else 0.9 * self._between_s + 0.1 * between
        self._released_at = now

    def _tell(self, reason: Reason, head: Waiter) -> None:
        """Log what limits when it is another than before."""
        now = self._clock()
        told, at = self._told
        if reason == told or now - at < TOLD_EVERY_S:
            return
        self._told = reason, now
        per_s, in_flight = head.bucket.found if reason == "adaptive" else (None, None)
        telemetry.emit(
            telemetry.INFO,
            "limits.waiting",
            limited_by=reason,
            waiting=self.waiting,
            requests_per_s=per_s,
            max_in_flight=in_flight,
        )
