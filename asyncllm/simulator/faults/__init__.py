"""The faults that the simulator can play, and the choice of the one that a request meets."""

from __future__ import annotations

from .fault import AT, Fault
from .garbage import GARBAGE
from .kinds import KINDS
from .plan import FaultPlan, RequestTraits, Script
from .retry_after import RETRY_AFTER_FORMS, retry_after_headers

__all__ = [
    "AT",
    "GARBAGE",
    "KINDS",
    "RETRY_AFTER_FORMS",
    "Fault",
    "FaultPlan",
    "RequestTraits",
    "Script",
    "retry_after_headers",
]
