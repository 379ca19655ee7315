"""Places, rates, money: what a request must have before it is sent.

A client has places and perhaps a budget; a bucket (provider, endpoint, key) has rates and closures, shared by everybody
in the process who sends there, across threads and loops. A request waits for all of them at once, holding none; waiting
is first come, first served, woken by time or release, never by polling.
"""

from __future__ import annotations

from .admission import Admission, admit
from .budget import Budget
from .provider_limits import Bucket, Reason, shared_bucket
from .slots import Places, Waiter

__all__ = ["Admission", "Bucket", "Budget", "Places", "Reason", "Waiter", "admit", "shared_bucket"]
