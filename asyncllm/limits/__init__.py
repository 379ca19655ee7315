"""Slots, rates, money: what a request must have before it is sent.

A client has slots and perhaps a budget; a bucket (provider, endpoint, key) has rates and closures, shared by everybody
in the process who sends there, across threads and loops. A request waits for all of them at once, holding none; waiting
is first come, first served, woken by time or release, never by polling.
"""

from __future__ import annotations

from .admission import Admission, admit
from .budget import Budget
from .provider_limits import ProviderLimits, Reason, shared_provider_limits
from .slots import Slots, Waiter

__all__ = ["Admission", "Budget", "ProviderLimits", "Reason", "Slots", "Waiter", "admit", "shared_provider_limits"]
