"""The faults that the simulator can play: the vocabulary, and when a request meets which."""

from __future__ import annotations

from .fault import AT, Fault
from .garbage import GARBAGE
from .kinds import KINDS
from .plan import FaultPlan, Script, Sought
from .retry_after import RETRY_AFTER_FORMS, retry_after_headers

__all__ = [
    "AT",
    "GARBAGE",
    "KINDS",
    "RETRY_AFTER_FORMS",
    "Fault",
    "FaultPlan",
    "Script",
    "Sought",
    "retry_after_headers",
]
