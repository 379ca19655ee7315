"""The rules of shared limits in Python, for a store that is one object; `renew.lua` has the same for Redis.

Pure: the time is passed in.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from .store import (
    BUDGET_TTL_S,
    DEAD_S,
    LOOK_AHEAD_S,
    MEMBER_S,
    RATE_TTL_S,
    SHORT_S,
    BudgetAsk,
    BudgetGrant,
    LeaseReply,
    LeaseRequest,
    RateAsk,
    RateGrant,
)


@dataclass(slots=True)
class RateLine:
    """A rate as a line in time, of which leases are cut from the front.

    Attributes:
        at: The time up to which it is leased.
        per_s: The lowest rate of the processes that use it.
        lowest_at: When a process named that rate last.
        used_at: When it was used last.
    """

    at: float = 0.0
    per_s: float = 0.0
    lowest_at: float = 0.0
    used_at: float = 0.0


@dataclass(slots=True)
class BudgetShare:
    """What one process has of a budget; sums since it began.

    Attributes:
        granted: Leased.
        spent: Settled.
        returned: Given back.
        seen_at: When it renewed last.
    """

    granted: float
    spent: float
    returned: float
    seen_at: float

    @property
    def leased(self) -> float:
        """What it holds."""
        return max(0.0, self.granted - self.spent - self.returned)


@dataclass(slots=True)
class BudgetAccount:
    """A budget: what is spent, what each process holds, until when it is short, and when it was used last."""

    limit: float
    spent: float = 0.0
    short_until: float = 0.0
    used_at: float = 0.0
    shares: dict[str, BudgetShare] = field(default_factory=dict[str, BudgetShare])


@dataclass(slots=True)
class AccountState:
    """An account: when its processes renewed last, their shares, its cooldown, rates and budgets."""

    seen: dict[str, float] = field(default_factory=dict[str, float])
    shares: dict[str, float] = field(default_factory=dict[str, float])
    cooldown_until: float = 0.0
    rates: dict[str, RateLine] = field(default_factory=dict[str, RateLine])
    budgets: dict[str, BudgetAccount] = field(default_factory=dict[str, BudgetAccount])


class LimitLedger:
    """The limits of all accounts; of one thread."""

    def __init__(self) -> None:
        self._accounts: dict[str, AccountState] = {}

    def renew(self, request: LeaseRequest, now: float) -> LeaseReply:
        """Renew the leases of a process.

        Args:
            request: What it uses and wants.
            now: The time in seconds, by one clock for all processes.
        """
        account = self._accounts.setdefault(request.account, AccountState())
        _forget(account, now)
        account.cooldown_until = max(account.cooldown_until, now + request.cooldown_s)
        share = _share(account, request, now)
        members = max(1, len(account.seen))
        rates = tuple(_lease_rate(account, ask, members, now) for ask in request.rates)
        budgets = tuple(_lease_budget(account, ask, request, members, now) for ask in request.budgets)
        reply = LeaseReply(members, share, max(0.0, account.cooldown_until - now), rates, budgets)
        if not (account.seen or account.rates or account.budgets) and account.cooldown_until <= now:
            del self._accounts[request.account]
        return reply


def _forget(account: AccountState, now: float) -> None:
    for member in [member for member, seen_at in account.seen.items() if now - seen_at > MEMBER_S]:
        del account.seen[member], account.shares[member]
    for name in [name for name, line in account.rates.items() if now - line.used_at > RATE_TTL_S]:
        del account.rates[name]
    for name in [name for name, budget in account.budgets.items() if now - budget.used_at > BUDGET_TTL_S]:
        del account.budgets[name]


def _share(account: AccountState, request: LeaseRequest, now: float) -> float:
    """Note the process, and return its share: an equal one, as far as the others have made room for it."""
    member = request.member
    account.shares.pop(member, None)
    if request.leaving:
        account.seen.pop(member, None)
        return 0.0
    account.seen[member] = now
    room = max(0.0, 1 - sum(account.shares.values()))
    share = account.shares[member] = min(room, 1 / len(account.seen))
    return share


def _lease_rate(account: AccountState, ask: RateAsk, members: int, now: float) -> RateGrant:
    line = account.rates.setdefault(ask.name, RateLine())
    if line.per_s == 0 or ask.per_s <= line.per_s or now - line.lowest_at > MEMBER_S:
        line.per_s, line.lowest_at = ask.per_s, now
    line.used_at = now
    line.at = max(line.at - ask.unused / line.per_s, now - ask.size / line.per_s)
    most = max(LOOK_AHEAD_S * line.per_s / members, ask.least)
    units = max(0.0, min(ask.want, most - ask.held))
    start_s = line.at - now
    line.at += units / line.per_s
    return RateGrant(units, start_s, line.per_s, most)


def _lease_budget(
    account: AccountState, ask: BudgetAsk, request: LeaseRequest, members: int, now: float
) -> BudgetGrant:
    budget = account.budgets.setdefault(ask.name, BudgetAccount(ask.limit_usd))
    budget.limit = min(budget.limit, ask.limit_usd) if len(budget.shares) else ask.limit_usd
    budget.used_at = now
    share = budget.shares.get(request.member)
    if share is None:  # it is new, or the store has lost its state
        share = budget.shares[request.member] = BudgetShare(ask.granted_usd, 0.0, 0.0, now)
    budget.spent += ask.spent_usd - share.spent
    share.spent, share.returned, share.seen_at = ask.spent_usd, ask.returned_usd, now
    for member, other in list(budget.shares.items()):
        if now - other.seen_at > DEAD_S:  # corrected by its own sums if it lives after all
            budget.spent += other.leased
            other.spent += other.leased
        if now - other.seen_at > BUDGET_TTL_S:
            del budget.shares[member]
    free = budget.limit - budget.spent - sum(other.leased for other in budget.shares.values())
    if ask.least_usd > free:
        budget.short_until = now + SHORT_S
    else:
        share.granted += max(0.0, min(ask.want_usd, max(ask.least_usd, free / (2 * members))))
    granted = share.granted
    if request.leaving:
        del budget.shares[request.member]
    return BudgetGrant(granted, budget.spent, budget.limit, budget.short_until > now)
