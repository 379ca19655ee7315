"""Slots, rates and budgets: the limits that a request has to pass before it is sent.

A client has slots and perhaps a budget. Rates and cooldowns belong to a provider, endpoint and key, and are shared by
all clients of the process, across threads and loops. A request waits for all of its limits at once and holds none
meanwhile. Waiting is first come, first served, and in turn over tenants where they are named. A request is woken by
time or by a release, never by polling.
"""

from __future__ import annotations

from .admission import Admission, admit, admit_at_once
from .budget import Budget
from .provider_limits import ProviderLimits, Reason, account_name, shared_provider_limits
from .refusals import refusal_remedy
from .slots import Slots
from .tenants import TenantLimits, TenantStats
from .waiter import Needs, Waiter

__all__ = [
    "Admission",
    "Budget",
    "Needs",
    "ProviderLimits",
    "Reason",
    "Slots",
    "TenantLimits",
    "TenantStats",
    "Waiter",
    "account_name",
    "admit",
    "admit_at_once",
    "refusal_remedy",
    "shared_provider_limits",
]
