"""Budget of a client or a batch: reserved at the worst case of a request, settled with its cost."""

from __future__ import annotations

import math

from ..errors import BudgetExceededError

# Sums of many small prices miss the sum of their parts by less than this.
ROUNDING_USD = 1e-9


class Budget:
    """A limit on spending; of one loop, like the client or the batch that it belongs to.

    Args:
        limit_usd: The most that may be spent in US dollars.
        spent_usd: The part of it that an earlier run has spent.

    Attributes:
        limit_usd: As given.
        spent_usd: The settled costs so far, those of an earlier run included.
        reserved_usd: The worst case of the requests in flight.
    """

    __slots__ = ("limit_usd", "reserved_usd", "spent_usd")

    spent_usd: float

    def __init__(self, limit_usd: float, spent_usd: float = 0.0) -> None:
        for name, value in (("limit_usd", limit_usd), ("spent_usd", spent_usd)):
            if not (value >= 0 and math.isfinite(value)):
                raise ValueError(f"{name} must be 0 or more, not {value!r}")
        self.limit_usd = limit_usd
        self.spent_usd = spent_usd
        self.reserved_usd = 0.0

    def check(self, worst_usd: float) -> None:
        """Reject a request that cannot fit any more, however cheap the requests in flight turn out to be.

        Raises:
            BudgetExceededError: The settled costs and this worst case exceed the limit.
        """
        if self.spent_usd + worst_usd <= self.limit_usd + ROUNDING_USD:
            return
        raise BudgetExceededError(
            f"${self.spent_usd:.6g} of the budget of ${self.limit_usd:.6g} are spent, and the request may cost "
            f"${worst_usd:.6g}; nothing was sent.",
            hint="Raise budget_usd, or lower max_output_tokens, which bounds what an answer may cost.",
        )

    def check_store(self, worst_usd: float) -> None:
        """Reject a request that would wait for a store that cannot be reached; a budget of one process has none."""

    def fits(self, worst_usd: float) -> bool:
        """Return whether it fits beside all that is reserved; if not, it may fit once those requests are settled."""
        return self.spent_usd + self.reserved_usd + worst_usd <= self.limit_usd + ROUNDING_USD

    def reserve(self, worst_usd: float) -> None:
        """Reserve the worst case of a request."""
        self.reserved_usd += worst_usd

    def settle(self, worst_usd: float, cost_usd: float | None) -> None:
        """Replace the worst case of a request by its cost; an unknown cost counts as the worst case."""
        self.reserved_usd = max(0.0, self.reserved_usd - worst_usd)
        self.spent_usd += worst_usd if cost_usd is None else cost_usd
