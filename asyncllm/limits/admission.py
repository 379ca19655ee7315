"""Admission: from a request that wants to be sent to one that may."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import anyio

from ..errors import DeadlineExceededError, OverloadedError
from .budget import Budget
from .provider_limits import ProviderLimits
from .slots import Slots, Waiter

if TYPE_CHECKING:
    from ..pipeline.deadline import Deadline


class Admission:
    """A slot and what was reserved for one request; released exactly once.

    Attributes:
        queued_s: Seconds it was waited for.
    """

    __slots__ = ("_bucket", "_released", "_slots", "_waiter", "queued_s")

    def __init__(self, slots: Slots, bucket: ProviderLimits, waiter: Waiter | None, queued_s: float) -> None:
        self._slots = slots
        self._bucket = bucket
        self._waiter = waiter
        self._released = False
        self.queued_s = queued_s

    @property
    def worst_usd(self) -> float:
        """What the request may cost at the most; 0 where no budget asks for it."""
        return 0.0 if self._waiter is None else self._waiter.worst_usd

    def refused(self, seconds: float | None) -> float:
        """Close the bucket, because the provider refused this request; to be called before the release.

        Args:
            seconds: What the provider asked for; None for a pause that grows with each refusal in a row.

        Returns:
            The seconds for which it is closed.
        """
        return self._bucket.close(seconds, self._waiter)

    def answered(self, headers: Mapping[str, str], output_tokens: int | None = None) -> None:
        """Tell the bucket that the provider answered; to be called before the release.

        Args:
            headers: The answer's `x-ratelimit-*` headers, lower case.
            output_tokens: The length of an answer that came as fast as the provider could; None for others.
        """
        self._bucket.succeeded()
        if self._waiter is not None and self._waiter.followed is not None:
            self._bucket.learn(self._waiter, headers, output_tokens)

    def release(self, used_tokens: int | None = None, cost_usd: float | None = None) -> None:
        """Give the slot back and settle with the tokens that were used and what they cost.

        Args:
            used_tokens: Input and output; None, not known, counts as what was reserved.
            cost_usd: In US dollars; None, not known, counts as the worst case.
        """
        if self._released:
            return
        self._released = True
        if self._waiter is None:
            self._slots.give_back()
        else:
            self._slots.release(self._waiter, used_tokens, cost_usd)


async def admit(
    slots: Slots,
    bucket: ProviderLimits,
    tokens: int,
    deadline: Deadline,
    *,
    adaptive: bool = False,
    budgets: tuple[Budget, ...] = (),
    worst_usd: float = 0.0,
    patient: bool = False,
    again: bool = False,
    too_long: Callable[[float], None] | None = None,
) -> Admission:
    """Wait until a request may be sent, and take what it needs, all at once.

    Args:
        slots: The client's slots.
        bucket: Where the request goes.
        tokens: What the request will need at the most, input and output.
        deadline: When the whole call must end.
        adaptive: Whether it follows the adaptive control.
        budgets: What it is paid from.
        worst_usd: What it may cost at the most.
        patient: Whether it belongs to a batch, which `max_queue` does not count.
        again: Whether it was sent before, and may wait however many do.
        too_long: Told for how long the bucket is closed; raises when that is longer than anybody would wait.

    Raises:
        BudgetExceededError: It does not fit into what is left of a budget.
        DeadlineExceededError: The deadline comes first.
        OverloadedError: More callers wait than `max_queue` allows.
        RequestTooLargeError: It needs more tokens than a minute has.
    """
    if not adaptive and not budgets and bucket.is_free and deadline.admits(0) and slots.take_free():
        return Admission(slots, bucket, None, 0.0)  # as nearly every call is; the rest takes several times as long
    waiter = Waiter(
        slots,
        bucket,
        tokens,
        adaptive=adaptive,
        budgets=budgets,
        worst_usd=worst_usd,
        too_long=too_long,
        patient=patient,
    )
    bucket.check_size(tokens)
    if deadline.admits(0) and slots.try_admit(waiter):
        return Admission(slots, bucket, waiter, 0.0)
    if slots.max_queue is not None and not patient and not again and slots.callers_waiting >= slots.max_queue:
        raise _overloaded(slots)
    started = bucket.clock()
    if deadline.at is None:
        await slots.wait(waiter)
        return Admission(slots, bucket, waiter, bucket.clock() - started)
    error: DeadlineExceededError | None = None
    try:
        with anyio.fail_after(deadline.remaining()):
            await slots.wait(waiter)
    except TimeoutError:
        error = deadline.error("waiting for a slot and the rate limits")
    if error is not None:
        raise error
    return Admission(slots, bucket, waiter, bucket.clock() - started)


def _overloaded(slots: Slots) -> OverloadedError:
    seconds = slots.turn_in_s()
    when = "" if seconds is None else f" A slot may be free in about {seconds:.1f} s."
    return OverloadedError(
        f"{slots.callers_waiting} callers wait already, and max_queue is {slots.max_queue}; nothing was sent.{when}",
        hint="Come back later, or raise max_concurrency or max_queue.",
        retry_after=seconds,
    )
