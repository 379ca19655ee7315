"""One request on its way through the limits, and what it needs."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import anyio

    from ..errors import AsyncLLMError
    from .adaptive.controller import Flight
    from .budget import Budget
    from .provider_limits import ProviderLimits
    from .slots import Slots
    from .tenants import Tenant

Line = tuple[str | None, int]
"""A tenant and a priority: 0 for live calls, 1 for batches."""

Rank = tuple[int, int, int]
"""The order of waiting requests: priority, turn, arrival."""

_arrivals = itertools.count()


class Needs(NamedTuple):
    """What a request needs before it is sent.

    Attributes:
        tokens: The most that it may need, input and output.
        adaptive: Whether it follows the adaptive control where no rate is set.
        budgets: The budgets that pay for it: the client's, the batch's.
        worst_usd: Its highest possible cost.
        too_long: Called with the length of a cooldown; raises when it is too long to wait for.
        patient: Whether it belongs to a batch, which `max_queue` does not count.
        tenant: The tenant that it is sent for; None for none.
        yields: Whether live calls go first.
    """

    tokens: int = 0
    adaptive: bool = False
    budgets: tuple[Budget, ...] = ()
    worst_usd: float = 0.0
    too_long: Callable[[float], None] | None = None
    patient: bool = False
    tenant: str | None = None
    yields: bool = False


@dataclass(slots=True, eq=False)
class Waiter:
    """One request that waits, or is in flight.

    Attributes:
        slots: Its client's slots.
        limits: The limits of its provider.
        needs: What it needs.
        parked: Whether it waits for the adaptive control alone.
        due: The time of its next try at the provider's limits.
        flight: What the adaptive control remembers of it; None when that did not admit it.
        granted: Whether it may be sent.
        error: What its wait ends with instead.
        event: Set when it is granted, fails, or has another time to wake.
        wake_at: The time of its next try, as the first of its queue.
        tenant: Its tenant; None for none.
        rank: Its rank among those that wait.
    """

    slots: Slots
    limits: ProviderLimits
    needs: Needs
    parked: bool = field(default=False, init=False)
    due: float = field(default=math.inf, init=False)
    flight: Flight | None = field(default=None, init=False)
    granted: bool = field(default=False, init=False)
    error: AsyncLLMError | None = field(default=None, init=False)
    event: anyio.Event | None = field(default=None, init=False)
    wake_at: float = field(default=math.inf, init=False)
    tenant: Tenant | None = field(default=None, init=False)
    rank: Rank = field(default_factory=lambda: (0, 0, next(_arrivals)), init=False)

    @property
    def arrival(self) -> int:
        """Its number in the order of arrival."""
        return self.rank[2]

    @property
    def line(self) -> Line:
        """Its line within the queue: requests of one tenant and priority."""
        return (self.needs.tenant, int(self.needs.yields))

    @property
    def queue(self) -> tuple[int, ...]:
        """The key of its queue: requests that need the same limits wait in one queue."""
        return (id(self.limits), self.needs.adaptive, *map(id, self.needs.budgets))
