"""The budget of a deferred job: what its batches and what goes out live may cost together."""

from __future__ import annotations

from ..errors import BudgetExceededError
from .budget import ROUNDING_USD, Budget


class DeferredBudget(Budget):
    """A budget of which a part is held for the requests in batches.

    Live calls reserve and settle as in any budget. They are refused what is held: it is free again when the batches
    end, for which no live call waits.

    Args:
        held_usd: The worst cases of the requests that earlier runs left in batches.

    Attributes:
        held_usd: The worst cases of the requests in batches, with what refused answers to them have cost.
    """

    __slots__ = ("held_usd",)

    def __init__(self, limit_usd: float, spent_usd: float, held_usd: float) -> None:
        super().__init__(limit_usd, spent_usd)
        self.held_usd = held_usd

    def check(self, worst_usd: float) -> None:
        """Reject a request that does not fit beside what is spent and held.

        Raises:
            BudgetExceededError: It does not.
        """
        left_usd = self.limit_usd - self.spent_usd - self.held_usd
        if worst_usd > left_usd + ROUNDING_USD:
            raise BudgetExceededError(
                f"the request may cost ${worst_usd:.4f}, and of the budget ${max(left_usd, 0.0):.4f} is left; it was "
                "not sent.",
                hint="Raise budget_usd, or run the batch again when what is under way has ended for less.",
            )

    def fits(self, worst_usd: float) -> bool:
        """Return whether it fits beside all that is spent, reserved and held."""
        return super().fits(self.held_usd + worst_usd)

    def hold(self, worst_usd: float, refused_usd: float) -> float:
        """Hold the worst case of a request, and what the refused answers to it have cost; return both together.

        Raises:
            BudgetExceededError: It does not fit.
        """
        self.check(worst_usd)
        self.spent_usd -= refused_usd
        self.held_usd += worst_usd + refused_usd
        return worst_usd + refused_usd

    def settle_held(self, held_usd: float, cost_usd: float | None) -> None:
        """Replace what is held for a request by its cost; an unknown cost counts as the worst case."""
        self.held_usd = max(0.0, self.held_usd - held_usd)
        self.spent_usd += held_usd if cost_usd is None else cost_usd
