"""A budget of which a process reserves what it has leased."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from ...errors import OverloadedError
from ..budget import Budget
from .store import ROUNDING_USD, BudgetAsk, BudgetGrant

# Seconds after which a refused caller may try again: a guess at how long a server takes to come back.
RETRY_AFTER_S = 5.0


@dataclass(slots=True)
class LeaseSums:
    """US dollars leased, settled and given back, since this process began to use a budget."""

    granted: float = 0.0
    spent: float = 0.0
    returned: float = 0.0


class LeasedBudget(Budget):
    """A budget that processes share. Reserving and settling are of one loop, renewals of any thread.

    `spent_usd` is what all processes have spent, as far as this one knows.

    Args:
        name: Its name within the account.
        limit_usd: The most that may be spent in US dollars.
        renew: Called when more is needed at once (True), or along with other renewals (False).

    Attributes:
        is_out_of_reach: Whether the store has not been reached for so long that callers do not wait for it.
    """

    __slots__ = (
        "__weakref__",
        "_is_due",
        "_is_short",
        "_lock",
        "_needed",
        "_promised",
        "_renew",
        "_sums",
        "is_out_of_reach",
        "name",
    )

    def __init__(
        self,
        name: str,
        limit_usd: float,
        renew: Callable[[LeasedBudget, bool], None],
    ) -> None:
        super().__init__(limit_usd)
        self.name = name
        self.is_out_of_reach = False
        self._sums = LeaseSums()
        self._needed = 0.0  # by the request that waits
        self._promised = 0.0  # to the request that fits, until it has reserved it
        self._is_due = False
        self._is_short = False  # another process waits for money
        self._renew = renew
        self._lock = threading.Lock()

    @property
    def is_in_use(self) -> bool:
        """Whether requests have reserved some of it, are about to, or wait for it."""
        return self.reserved_usd > ROUNDING_USD or self._promised > 0 or self._needed > 0

    def check_store(self, worst_usd: float) -> None:
        """Reject a request that needs more than is leased, while the store is out of reach.

        Raises:
            OverloadedError: It does.
        """
        if self.is_out_of_reach and worst_usd > self._spare + ROUNDING_USD:
            raise OverloadedError(
                f"the request may cost ${worst_usd:.4f}, and limits_url, where budgets are shared, cannot be reached; "
                "it was not sent.",
                hint="Check limits_url with `asyncllm doctor`.",
                retry_after=RETRY_AFTER_S,
            )

    def fits(self, worst_usd: float) -> bool:
        """Return whether it fits beside all that is reserved; if not, a renewal is asked for."""
        with self._lock:
            if worst_usd <= self._spare + ROUNDING_USD:
                self._needed, self._promised = 0.0, worst_usd
                return True
            self._needed = worst_usd
            if self._is_due:
                return False
            self._is_due = True
        self._renew(self, True)
        return False

    def reserve(self, worst_usd: float) -> None:
        """Reserve the worst case of a request."""
        with self._lock:
            super().reserve(worst_usd)
            self._promised = 0.0

    def settle(self, worst_usd: float, cost_usd: float | None) -> None:
        """Replace the worst case of a request by its cost; an unknown cost counts as the worst case."""
        with self._lock:
            super().settle(worst_usd, cost_usd)
            self._sums.spent += worst_usd if cost_usd is None else cost_usd
        self._renew(self, False)

    def ask(self, *, leaving: bool) -> BudgetAsk:
        """Return what a renewal asks for, and what it gives back: all that is not reserved, where it leaves.

        A request that fits may reserve its part only now, on another thread. One that has not by the next renewal waits
        for something else, and asks anew.
        """
        with self._lock:
            promised, self._promised = self._promised, 0.0
            is_enough = 0 < self._needed <= self._spare + ROUNDING_USD
            if leaving or (self._is_short and not is_enough):
                # Too little for a request of this process may be what another one lacks.
                self._sums.returned += max(0.0, self._spare - promised)
            lacking = max(0.0, self._needed - max(0.0, self._spare))  # an answer may cost more than its worst case
            want = self.limit_usd if lacking else 0.0
            sums = self._sums
            return BudgetAsk(self.name, self.limit_usd, want, lacking, sums.granted, sums.spent, sums.returned)

    def granted(self, grant: BudgetGrant, ask: BudgetAsk) -> None:
        """Take the answer to `ask` over."""
        with self._lock:
            spent_usd = grant.spent_usd + self._sums.spent - ask.spent_usd
            self._sums.granted, self.spent_usd, self.limit_usd = grant.granted_usd, spent_usd, grant.limit_usd
            self._is_short = grant.is_short
            self._is_due = self._needed > self._spare
            again = self._is_due or self._is_short
        if again:  # with the next renewal, when its time has come: it may be others' turn to give back
            self._renew(self, False)

    def left(self, ask: BudgetAsk) -> None:
        """Begin anew after a renewal that left the budget."""
        with self._lock:
            self._sums.granted -= ask.granted_usd
            self._sums.spent -= ask.spent_usd
            self._sums.returned -= ask.returned_usd
            self._is_due = False

    @property
    def _spare(self) -> float:
        return self._sums.granted - self._sums.returned - self._sums.spent - self.reserved_usd
