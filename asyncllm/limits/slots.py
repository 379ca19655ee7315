"""Slots: the requests of a client that are in flight, and the queues of those that wait."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import anyio

from .. import telemetry
from ..errors import AsyncLLMError
from ..threads import Soon
from .budget import Budget
from .fair_queue import FairQueue
from .provider_limits import Reason
from .refusals import TOLD_EVERY_S
from .tenants import TenantLimits, Tenants
from .waiter import Waiter

if TYPE_CHECKING:
    from .shared.account import SharedAccount

# A timer that is this close does as well as another.
_SAME_S = 0.001


class ReleasePace:
    """The pace at which slots are released while requests wait.

    Attributes:
        between_s: Seconds between two releases; None while unknown.
    """

    __slots__ = ("_released_at", "between_s")

    def __init__(self) -> None:
        self.between_s: float | None = None
        self._released_at: float | None = None

    def released(self, now: float) -> None:
        """Note a release."""
        if self._released_at is not None:
            between_s = now - self._released_at
            self.between_s = between_s if self.between_s is None else 0.9 * self.between_s + 0.1 * between_s
        self._released_at = now


class LimitLog:
    """Logs the limit that requests wait for, when it changes.

    Attributes:
        reason: That limit; None when no request waits.
    """

    __slots__ = ("_logged", "_logged_at", "reason")

    def __init__(self) -> None:
        self.reason: Reason | None = None
        self._logged: Reason | None = None
        self._logged_at = -math.inf

    def update(self, first: tuple[Reason, Waiter] | None, waiting: int, now: float) -> None:
        """Note the first of all waiting requests, and the limit that it waits for; None when none waits."""
        if first is None:
            self.reason = None
            return
        reason, waiter = first
        self.reason = reason
        changed = reason != self._logged and now - self._logged_at >= TOLD_EVERY_S
        if not changed or not telemetry.listening(telemetry.INFO):
            return
        self._logged, self._logged_at = reason, now
        per_s, in_flight = waiter.limits.found if reason == "adaptive" else (None, None)
        telemetry.emit(
            telemetry.INFO,
            "limits.waiting",
            limited_by=reason,
            waiting=waiting,
            requests_per_s=per_s,
            max_in_flight=in_flight,
        )


class Slots:
    """The slots of one client and their queues; of one loop at a time.

    A request waits for all limits at once and holds none meanwhile: the first of a queue is admitted when a slot, the
    provider's limits and the budgets have what it needs, all taken in one step. Live calls go before batches that
    yield, and tenants are served in turn; within one, and without any, the earliest goes first.

    Args:
        number: The number of slots.
        max_queue: The number of callers that may wait; None for no limit.
        budget: The budget of the client; None for no limit.
        tenant_limits: The limits of each tenant.
        clock: Returns the monotonic time in seconds.

    Attributes:
        in_use: The number of slots in use.
        callers_waiting: The number of waiting requests that are not part of a batch.
    """

    def __init__(
        self,
        number: int,
        max_queue: int | None = None,
        budget: Budget | None = None,
        tenant_limits: TenantLimits = TenantLimits(),  # noqa: B008  # immutable
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.number = number
        self.max_queue = max_queue
        self.budget = budget
        self.in_use = 0
        self.callers_waiting = 0
        self._clock = clock
        self.tenants = Tenants(tenant_limits)
        self._queues: dict[tuple[int, ...], FairQueue] = {}
        self._short: set[Budget] = set()  # those that the first of a queue waits for
        self._log = LimitLog()
        self._pace = ReleasePace()
        self._soon: Soon | None = None

    def share(self, account: SharedAccount, owner: str) -> None:
        """Share the budget, and the rates and budgets of tenants, with other processes; before the first request.

        Args:
            account: The account in the store of shared limits.
            owner: The name that those of other processes are shared under too: the profile.
        """
        if self.budget is not None:
            self.budget = account.budget(owner, self.budget.limit_usd)
        self.tenants.share(account, owner)
        account.on_renewal(self._renewed)

    @property
    def waiting(self) -> int:
        """The number of waiting requests."""
        return sum(map(len, self._queues.values())) if self._queues else 0

    @property
    def limited_by(self) -> Reason | None:
        """The limit that the first waiting request waits for; None when none waits."""
        return self._log.reason if self._queues else None

    def turn_in_s(self) -> float | None:
        """Estimate the seconds until a request that arrives now would be admitted; None when unknown."""
        heads = (queue.first for queue in self._queues.values())
        cooldown_s = max((head.limits.cooldown_s for head in heads if head is not None), default=0.0)
        if self._pace.between_s is None:
            return cooldown_s or None
        return cooldown_s + self._pace.between_s * (self.waiting + 1)

    def take_free(self) -> bool:
        """Take a slot if one is free and no request waits."""
        if self._queues or self.in_use >= self.number:
            return False
        self.in_use += 1
        return True

    def give_back(self) -> None:
        """Release a slot that was taken alone."""
        self.in_use -= 1
        if self._queues:
            self._pace.released(self._clock())
            self.serve()

    def try_admit(self, waiter: Waiter) -> bool:
        """Take what a request needs if it is available and no other request waits for the same.

        Raises:
            BudgetExceededError: It exceeds what is left of a budget.
            AsyncLLMError: Raised by `too_long`.
        """
        needs = waiter.needs
        if self._queues and (needs.yields or waiter.queue in self._queues or not self._short.isdisjoint(needs.budgets)):
            return False
        admitted = False
        try:
            admitted = self._admit(waiter)[0] is None
        finally:
            if not admitted:
                waiter.limits.withdraw(waiter)
        return admitted

    async def wait(self, waiter: Waiter) -> None:
        """Wait in the queue until a request is admitted.

        Raises:
            BudgetExceededError: It exceeds what is left of a budget.
            AsyncLLMError: Raised by `too_long`.
        """
        if not self._queues:
            self._soon = Soon()
        self._enqueue(waiter)
        try:
            if self._queues[waiter.queue].first is waiter:  # behind others it changes nothing
                self.serve()
            while not waiter.granted:
                if waiter.error is not None:
                    raise waiter.error
                waiter.event = anyio.Event()
                # Only the first of a queue waits for a time; the others are woken in their turn.
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
            self._count_waiting(waiter, -1)

    def serve(self) -> None:
        """Admit the requests that can go, in the order of their ranks."""
        if self._soon is not None:
            self._soon.is_due = False
            if self._soon.is_of_all:
                self._soon.is_of_all = False
                for queue in self._queues.values():
                    queue.all_ready()
        self._short.clear()
        blocked: set[tuple[int, ...]] = set()
        first: tuple[Reason, Waiter] | None = None
        now = self._clock()
        for queue in self._queues.values():
            queue.pass_time(now)
        while (head := self._first_but(blocked)) is not None:
            try:
                reason, pause = self._admit(head)
            except AsyncLLMError as error:
                head.error = error
                head.limits.withdraw(head)
                self._step_out(head)
                continue
            if reason is None:
                head.granted = True
                self._step_out(head)
                continue
            if reason == "tenant":
                self._queues[head.queue].hold(head, now + pause)
            else:
                blocked.add(head.queue)
            if reason == "budget":
                # Later requests leave it what becomes free, however little they need themselves.
                self._short.update(budget for budget in head.needs.budgets if not budget.fits(head.needs.worst_usd))
            if first is None or first[0] == "tenant":
                first = (reason, head)
            self._time(head, now + pause)
        if first is None:
            held = (queue.held for queue in self._queues.values())
            first = next((("tenant", head) for head in held if head is not None), None)
        self._log.update(first, self.waiting, now)

    def release(
        self,
        waiter: Waiter,
        used_tokens: int | None,
        cost_usd: float | None,
        *,
        least_usd: float = 0.0,
        sent: bool = True,
    ) -> None:
        """Release a slot and settle the rest.

        Args:
            waiter: The request, which has ended.
            used_tokens: What it used, input and output; None counts as what was reserved.
            cost_usd: What it cost in US dollars; None counts as the worst case.
            least_usd: The least that an unknown cost can be; a client without a budget knows no worst case.
            sent: Whether it was sent; what was taken for one that was not is returned.
        """
        self.in_use -= 1
        for budget in waiter.needs.budgets:
            budget.settle(waiter.needs.worst_usd, cost_usd)
        # Requests that are woken here are admitted below, all at once.
        if self._soon is not None:
            self._soon.is_due = bool(self._queues)
        waiter.limits.settle(waiter, used_tokens, sent=sent)
        if waiter.tenant is not None:
            waiter.tenant.release(waiter.needs.worst_usd, cost_usd, self._clock(), least_usd=least_usd, sent=sent)
            for queue in self._queues.values():
                queue.ready(waiter.tenant.name)
        if self._queues:
            self._pace.released(self._clock())
            self.serve()

    def wake(self) -> None:
        """Have `serve` called in the loop of the slots, from any thread."""
        if self._soon is not None:
            self._soon.call(self.serve)

    def _renewed(self, cooldown_until: float) -> None:
        """Try all waiting requests again, after leases were renewed; from any thread."""
        if self._queues and self._soon is not None:
            self._soon.is_of_all = True
            self.wake()

    def _admit(self, waiter: Waiter) -> tuple[Reason | None, float]:
        """Take what a request needs, or return the limit that is missing and for how many seconds."""
        if self.in_use >= self.number:
            waiter.limits.withdraw(waiter)
            return "slots", math.inf
        if waiter.tenant is not None:
            now = self._clock()
            pause = waiter.tenant.available_at(waiter.needs.worst_usd, now) - now
            if pause > 0:
                waiter.limits.withdraw(waiter)
                return "tenant", pause
        if waiter.needs.budgets and not self._can_pay(waiter):
            waiter.limits.withdraw(waiter)
            return "budget", math.inf
        reason, pause = waiter.limits.take(waiter)
        if reason is None:
            self._take(waiter)
        elif reason == "cooldown" and waiter.needs.too_long is not None and pause < math.inf:
            waiter.needs.too_long(pause)
        return reason, pause

    def _can_pay(self, waiter: Waiter) -> bool:
        for budget in waiter.needs.budgets:
            budget.check(waiter.needs.worst_usd)
            if not waiter.needs.patient:
                budget.check_store(waiter.needs.worst_usd)
        fits = all(budget.fits(waiter.needs.worst_usd) for budget in waiter.needs.budgets)
        return fits and self._short.isdisjoint(waiter.needs.budgets)

    def _take(self, waiter: Waiter) -> None:
        self.in_use += 1
        for budget in waiter.needs.budgets:
            budget.reserve(waiter.needs.worst_usd)
        if waiter.tenant is not None:
            waiter.tenant.take(waiter.needs.worst_usd, self._clock())
        if self._queues and self.in_use >= self.number:
            # The next requests have no slot now, and must not hold up those of other clients.
            for queue in self._queues.values():
                if queue.first is not None:
                    queue.first.limits.withdraw(queue.first)

    def _time(self, head: Waiter, at: float) -> None:
        """Set the time of the next try of the first of a queue, and wake it when that is earlier than before."""
        earlier = at < head.wake_at - _SAME_S
        head.wake_at = at
        if earlier and head.event is not None:
            head.event.set()

    def _first_but(self, blocked: set[tuple[int, ...]]) -> Waiter | None:
        """Return the first of all queues but those that wait for a limit; None when there is none."""
        found: Waiter | None = None
        for key, queue in self._queues.items():
            head = queue.first
            if head is not None and key not in blocked and (found is None or head.rank < found.rank):
                found = head
        return found

    def _enqueue(self, waiter: Waiter) -> None:
        waiter.rank = self.tenants.turns.next_rank(waiter)
        queue = self._queues.get(waiter.queue)
        if queue is None:
            queue = self._queues[waiter.queue] = FairQueue()
        before = queue.first
        queue.push(waiter)
        if before is not None and queue.first is not before:
            before.limits.withdraw(before)  # it is not its turn any more
        self._count_waiting(waiter, 1)

    def _count_waiting(self, waiter: Waiter, one: int) -> None:
        self.callers_waiting += 0 if waiter.needs.patient else one
        if waiter.tenant is not None:
            waiter.tenant.waiting += one
            waiter.tenant.callers_waiting += 0 if waiter.needs.patient else one

    def _step_out(self, waiter: Waiter) -> None:
        self.tenants.turns.admitted(waiter)
        self._remove(waiter)
        if waiter.event is not None:
            waiter.event.set()

    def _remove(self, waiter: Waiter) -> None:
        queue = self._queues.get(waiter.queue)
        if queue is None:
            return
        if queue.remove(waiter):
            self.tenants.turns.forget(waiter.line)
        if not queue:
            del self._queues[waiter.queue]

    def _leave(self, waiter: Waiter) -> None:
        """Remove a cancelled request, or release what it was admitted with meanwhile."""
        if waiter.granted:
            self.release(waiter, 0, 0.0, sent=False)
            return
        self._remove(waiter)
        waiter.limits.withdraw(waiter)
        self.serve()
