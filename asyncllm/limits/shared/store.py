"""The store of limits that processes share: its interface, and what goes in and out.

A process takes rate and money in small leases, spends them by itself, and renews them before they are used up. One
renewal carries everything of one account: rates, budgets, a cooldown, and what is given back. All of it is plain data.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

LOOK_AHEAD_S = 0.5
"""Seconds of a rate that all processes together may hold in leases: the price is that a lease of a process that dies
is lost, and that a newcomer waits for so long when the rate is used up; the gain is few renewals."""
MEMBER_S = 3.0
"""Seconds without a renewal after which a process is none of the sharers: many times the pause between two."""
SHORT_S = 2.0
"""Seconds for which processes return what they do not need of a budget that another one waits for."""
DEAD_S = 120.0
"""Seconds without a renewal after which what a process leased of a budget counts as spent: it may have been."""
RATE_TTL_S = 120.0
"""Seconds after which an unused rate is forgotten; it is full again long before."""
BUDGET_TTL_S = 3600.0
"""Seconds after which an unused budget is forgotten, with what was spent of it."""


@dataclass(frozen=True, slots=True)
class RateAsk:
    """A process's request for a lease of a rate.

    Attributes:
        name: The rate's name within the account, such as `requests`.
        per_s: The rate by this process's configuration; of several, the lowest holds.
        size: Units that may be used at once after a pause.
        want: Units wanted beyond those held.
        held: Units of earlier leases that are not spent.
        least: Units that the next request needs, those held included; at least so many are leased.
        unused: Units of earlier leases that are given back.
    """

    name: str
    per_s: float
    size: float
    want: float
    held: float
    least: float
    unused: float


@dataclass(frozen=True, slots=True)
class RateGrant:
    """A lease of a rate.

    Attributes:
        units: The units; 0 when enough are held.
        start_s: Seconds until they begin to accrue, at the whole rate; negative: they began in the past.
        per_s: The rate that holds.
        most: Units that a process may hold.
    """

    units: float
    start_s: float
    per_s: float
    most: float


@dataclass(frozen=True, slots=True)
class BudgetAsk:
    """A process's account of a budget, and its request for more; the sums are since the process began to use it.

    Attributes:
        name: The budget's name within the account.
        limit_usd: The budget by this process's configuration; of several, the lowest holds.
        want_usd: US dollars wanted beyond those leased.
        least_usd: US dollars that the next request needs beyond those leased; 0 when none waits.
        granted_usd: All leases that the process knows of.
        spent_usd: Its settled costs.
        returned_usd: Given back.
    """

    name: str
    limit_usd: float
    want_usd: float
    least_usd: float
    granted_usd: float
    spent_usd: float
    returned_usd: float


@dataclass(frozen=True, slots=True)
class BudgetGrant:
    """The state of a budget.

    Attributes:
        granted_usd: All leases of this process.
        spent_usd: The settled costs of all processes.
        limit_usd: The budget that holds.
        is_short: Whether a process waits for money: others return what they do not need.
    """

    granted_usd: float
    spent_usd: float
    limit_usd: float
    is_short: bool


@dataclass(frozen=True, slots=True)
class LeaseRequest:
    """A renewal of everything that a process uses of an account.

    Attributes:
        account: The provider, endpoint and key, hashed.
        member: The process.
        rates: Its requests for rates.
        budgets: Its requests for budgets.
        cooldown_s: Seconds for which nobody shall send, because the provider throttled this process; 0 for none.
        leaving: Whether the process stops using the account; it holds nothing any more.
    """

    account: str
    member: str
    rates: tuple[RateAsk, ...] = ()
    budgets: tuple[BudgetAsk, ...] = ()
    cooldown_s: float = 0.0
    leaving: bool = False


@dataclass(frozen=True, slots=True)
class LeaseReply:
    """The answer to a renewal; rates and budgets in the order of the request.

    Attributes:
        members: The processes that use the account.
        share: The share of each rate that this process may use while the store cannot be reached; those of all
            processes add up to at most 1.
        cooldown_s: Seconds that are left of the account's cooldown.
        rates: The leases.
        budgets: The states of the budgets.
    """

    members: int
    share: float
    cooldown_s: float
    rates: tuple[RateGrant, ...] = ()
    budgets: tuple[BudgetGrant, ...] = ()


class SharedStore(Protocol):
    """A place where processes share limits; `ledger.LimitLedger` has the rules of one in Python."""

    async def renew(self, request: LeaseRequest) -> LeaseReply:
        """Renew the leases of a process, in one step that no other renewal of the account interrupts.

        A renewal whose answer is lost may be sent again: rates lose a lease by it, budgets nothing.

        Raises:
            Exception: The store cannot be reached; processes go on with their shares, and try again.
        """
        ...
