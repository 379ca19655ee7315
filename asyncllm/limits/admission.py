"""Admission of requests: the wait for slot, rates, cooldown and budget at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import anyio

from ..errors import DeadlineExceededError, OverloadedError
from .provider_limits import ProviderLimits
from .slots import Slots
from .tenants import Tenant
from .waiter import Needs, Waiter

if TYPE_CHECKING:
    from ..pipeline.deadline import Deadline


class Admission:
    """A slot and what was reserved for one request; released exactly once.

    Attributes:
        queued_s: Seconds in the queue.
    """

    __slots__ = ("_limits", "_released", "_slots", "_waiter", "queued_s")

    def __init__(self, slots: Slots, limits: ProviderLimits, waiter: Waiter | None, queued_s: float) -> None:
        self._slots = slots
        self._limits = limits
        self._waiter = waiter
        self._released = False
        self.queued_s = queued_s

    @property
    def worst_usd(self) -> float:
        """The highest possible cost of the request; 0 without a budget."""
        return 0.0 if self._waiter is None else self._waiter.needs.worst_usd

    def throttled(self, seconds: float | None) -> float:
        """Start a cooldown, because the provider throttled this request; to be called before the release.

        Args:
            seconds: What the provider asked for; None for a cooldown that grows with each 429 in a row.

        Returns:
            The length of the cooldown in seconds.
        """
        return self._limits.cool_down(seconds, self._waiter)

    def answered(self, headers: Mapping[str, str], output_tokens: int | None = None) -> None:
        """Note an answer of the provider; to be called before the release.

        Args:
            headers: The answer's `x-ratelimit-*` headers, lower case.
            output_tokens: The length of an answer whose pace the provider set; None for others.
        """
        self._limits.succeeded()
        if self._waiter is not None and self._waiter.flight is not None:
            self._limits.learn(self._waiter, headers, output_tokens)

    def release(self, used_tokens: int | None = None, cost_usd: float | None = None, *, least_usd: float = 0.0) -> None:
        """Release the slot, and settle with the tokens that were used and their cost.

        Args:
            used_tokens: Input and output; None, unknown, counts as what was reserved.
            cost_usd: In US dollars; None, unknown, counts as the worst case.
            least_usd: The least that an unknown cost can be: that of the part of the answer that arrived.
        """
        if self._released:
            return
        self._released = True
        if self._waiter is None:
            self._slots.give_back()
        else:
            self._slots.release(self._waiter, used_tokens, cost_usd, least_usd=least_usd)


def admit_at_once(slots: Slots, limits: ProviderLimits, deadline: Deadline) -> Admission | None:
    """Admit a request that needs nothing but a slot, as nearly every one; None where it has to take what it needs.

    What `admit` prepares for the others takes several times as long.
    """
    if limits.is_free and deadline.admits(0) and slots.take_free():
        return Admission(slots, limits, None, 0.0)
    return None


async def admit(
    slots: Slots, limits: ProviderLimits, needs: Needs, deadline: Deadline, *, again: bool = False
) -> Admission:
    """Wait until a request may be sent, and take what it needs, all at once.

    Args:
        slots: The client's slots.
        limits: The limits of the provider.
        needs: What the request needs.
        deadline: The deadline of the whole call.
        again: Whether it was sent before; `max_queue` does not count it then.

    Raises:
        BudgetExceededError: It exceeds what is left of a budget.
        DeadlineExceededError: The deadline comes first.
        OverloadedError: More callers wait than `max_queue`, `tenant_max_queue`, or the tenant's share of it, allows.
        RequestTooLargeError: It needs more tokens than a minute has.
    """
    waiter = Waiter(slots, limits, needs)
    if needs.tenant is not None:
        waiter.tenant = slots.tenants.get(needs.tenant, limits.clock())
    limits.check_size(needs.tokens)
    if deadline.admits(0) and slots.try_admit(waiter):
        return Admission(slots, limits, waiter, 0.0)
    if slots.max_queue is not None and not needs.patient and not again and slots.callers_waiting >= slots.max_queue:
        raise _overloaded(slots)
    if waiter.tenant is not None and not needs.patient and not again:
        _check_share(slots, waiter.tenant)
    started = limits.clock()
    if deadline.at is None:
        await slots.wait(waiter)
    else:
        await _wait(waiter, deadline)
    return Admission(slots, limits, waiter, limits.clock() - started)


def _check_share(slots: Slots, tenant: Tenant) -> None:
    """Raise if no further caller of a tenant may wait.

    Without a limit of its own, a tenant may have no more callers waiting than the queue has room for others: one alone
    takes half of it, two a third each, and there is always room for a tenant with none.

    Source: Choudhury and Hahne, "Dynamic Queue Length Thresholds for Shared-Memory Packet Switches", 1998.

    Raises:
        OverloadedError: It has as many as it may.
    """
    own, waiting = slots.tenants.limits.max_queue, tenant.callers_waiting
    room = None if slots.max_queue is None else slots.max_queue - slots.callers_waiting
    most = room if own is None else own
    if most is None or waiting < most:
        return
    if own is None:
        limit, hint = f"the rest of max_queue = {slots.max_queue} is for others", "set tenant_max_queue"
    else:
        limit, hint = f"tenant_max_queue is {own}", "raise tenant_max_queue"
    raise OverloadedError(
        f"{_waiting(waiting, f' of the tenant {tenant.name!r}')} already, and {limit}; nothing was sent.",
        hint=f"Come back later, or {hint}.",
        retry_after=slots.turn_in_s(),
        tenant=tenant.name,
    )


def _waiting(count: int, whose: str = "") -> str:
    return f"1 caller{whose} waits" if count == 1 else f"{count} callers{whose} wait"


async def _wait(waiter: Waiter, deadline: Deadline) -> None:
    error: DeadlineExceededError | None = None
    try:
        with anyio.fail_after(deadline.remaining()):
            await waiter.slots.wait(waiter)
    except TimeoutError:
        error = deadline.error("waiting for a slot and the rate limits")
    if error is not None:
        raise error


def _overloaded(slots: Slots) -> OverloadedError:
    seconds = slots.turn_in_s()
    when = "" if seconds is None else f" A slot may be free in about {seconds:.1f} s."
    return OverloadedError(
        f"{_waiting(slots.callers_waiting)} already, and max_queue is {slots.max_queue}; nothing was sent.{when}",
        hint="Come back later, or raise max_concurrency or max_queue.",
        retry_after=seconds,
    )
