"""Tenants: the callers of one client that share it fairly, each with limits of its own."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import BudgetExceededError
from .budget import Budget
from .fair_queue import Turns
from .token_bucket import REQUESTS_BURST_S, TokenBucket

if TYPE_CHECKING:
    from .shared.account import SharedAccount

# A tenant without calls is forgotten after this time, in which a rate of its own is long full again.
_IDLE_S = 120.0
# Bounds the memory, at 300 bytes each; of more, the one that is idle for longest is forgotten, with what it has spent.
_MOST = 10_000
# Idle tenants that are looked at with each new one: more than come, so that they do not pile up.
_SWEPT = 2


@dataclass(frozen=True, slots=True)
class TenantLimits:
    """The limits of every tenant; None for no limit.

    Attributes:
        max_concurrency: The most slots in use.
        requests_per_minute: The most requests sent.
        budget_usd: The most that may be spent, in US dollars.
        max_queue: The most callers that may wait.
    """

    max_concurrency: int | None = None
    requests_per_minute: float | None = None
    budget_usd: float | None = None
    max_queue: int | None = None


@dataclass(frozen=True, slots=True)
class TenantStats:
    """The present state of a tenant.

    Attributes:
        in_flight: Slots in use.
        waiting: Requests waiting.
        admitted: Attempts admitted since it was last idle for long.
        spent_usd: The costs in US dollars. Of a request that was cut short it is the worst case with a budget, and the
            part that arrived without one.
    """

    in_flight: int
    waiting: int
    admitted: int
    spent_usd: float


class Tenant:
    """One tenant, while it is known.

    Attributes:
        name: Its name.
        in_flight: The number of its slots in use.
        waiting: The number of its requests that wait.
        callers_waiting: The number of those that are not part of a batch.
    """

    __slots__ = ("_admitted", "_budget", "_limits", "_rate", "_spent_usd", "callers_waiting", "idle_at", "in_flight",
                 "name", "waiting")  # fmt: skip

    def __init__(
        self, name: str, limits: TenantLimits, now: float, shared: tuple[SharedAccount, str] | None = None
    ) -> None:
        self.name = name
        self.in_flight = self.waiting = self.callers_waiting = self._admitted = 0
        self.idle_at = now
        self._limits = limits
        self._spent_usd = 0.0
        self._budget = None if limits.budget_usd is None else Budget(limits.budget_usd)
        per_minute = limits.requests_per_minute
        self._rate = None if per_minute is None else TokenBucket(per_minute, now, REQUESTS_BURST_S)
        if shared is not None:
            account, owner = shared
            key = _hashed(owner, name)
            if self._budget is not None:
                self._budget = account.budget(key, self._budget.limit_usd)
            if per_minute is not None:
                self._rate = account.rate(key, per_minute, REQUESTS_BURST_S)

    @property
    def stats(self) -> TenantStats:
        """Its present state."""
        return TenantStats(self.in_flight, self.waiting, self._admitted, self._spent_usd)

    @property
    def is_idle(self) -> bool:
        """Whether it has no request."""
        return not self.in_flight and not self.waiting

    def available_at(self, worst_usd: float, now: float) -> float:
        """Return when its own limits admit a request; infinity when a request of it has to end first.

        Raises:
            BudgetExceededError: It exceeds what is left of the tenant's budget.
        """
        most = self._limits.max_concurrency
        if self._budget is not None:
            self._check_budget(self._budget, worst_usd)
            if not self._budget.fits(worst_usd):
                return math.inf
        if most is not None and self.in_flight >= most:
            return math.inf
        return now if self._rate is None else self._rate.available_at(1, now)

    def take(self, worst_usd: float, now: float) -> None:
        """Count a request that is admitted."""
        self.in_flight += 1
        self._admitted += 1
        if self._rate is not None:
            self._rate.take(1, now)
        if self._budget is not None:
            self._budget.reserve(worst_usd)

    def release(
        self, worst_usd: float, cost_usd: float | None, now: float, *, least_usd: float = 0.0, sent: bool
    ) -> None:
        """Settle a request that has ended."""
        self.in_flight -= 1
        self.idle_at = now
        self._spent_usd += max(worst_usd, least_usd) if cost_usd is None else cost_usd
        if self._rate is not None and not sent:
            self._rate.give_back(1, now)
        if self._budget is not None:
            self._budget.settle(worst_usd, cost_usd)

    def _check_budget(self, budget: Budget, worst_usd: float) -> None:
        try:
            budget.check(worst_usd)
        except BudgetExceededError as error:
            text = str(error.message).replace("the budget", f"the budget of the tenant {self.name!r}", 1)
            raise BudgetExceededError(text, hint="Raise tenant_budget_usd, or lower max_output_tokens.") from None


class Tenants:
    """The tenants of one client that are known.

    Attributes:
        turns: The ranks of their requests that wait.

    Args:
        limits: The limits of each of them.
    """

    def __init__(self, limits: TenantLimits) -> None:
        self.limits = limits
        self.turns = Turns()
        self._shared: tuple[SharedAccount, str] | None = None
        self._known: dict[str, Tenant] = {}  # the one that was used last at the end

    def share(self, account: SharedAccount, owner: str) -> None:
        """Share the rates and budgets of tenants with the processes that use the same account and owner."""
        self._shared = (account, owner)

    def get(self, name: str, now: float) -> Tenant:
        """Return a tenant; a new one for a name that is not known."""
        tenant = self._known.pop(name, None)
        if tenant is None:
            self._sweep(now)
            tenant = Tenant(name, self.limits, now, self._shared)
        self._known[name] = tenant
        return tenant

    def stats(self) -> dict[str, TenantStats]:
        """Return the state of each known tenant."""
        return {name: tenant.stats for name, tenant in self._known.items()}

    def _sweep(self, now: float) -> None:
        """Forget the tenants that were used least recently, if they are idle for long or too many."""
        for _ in range(_SWEPT):
            name = next(iter(self._known), None)
            if name is None:
                return
            oldest = self._known[name]
            has_spent = self.limits.budget_usd is not None
            too_many = len(self._known) >= _MOST
            if oldest.is_idle and (too_many or (not has_spent and now - oldest.idle_at > _IDLE_S)):
                del self._known[name]
            elif not oldest.is_idle:
                self._known[name] = self._known.pop(name)  # in use, although it began nothing lately
            else:
                return


def _hashed(owner: str, tenant: str) -> str:
    """Return the name of a tenant in a shared store, which does not show it."""
    text = f"{owner}\0{tenant}"
    return "tenant-" + hashlib.blake2b(text.encode(), digest_size=16, person=b"asyncllm-tenant").hexdigest()
