"""The log of calls: who called what, when, with what result and at what cost; in SQLite, or in JSON Lines by day.

Calls only hand an entry over; a thread writes. `asyncllm calls` reads it.
"""

from .entry import LoggedCall
from .writer import CallLog

__all__ = ["CallLog", "LoggedCall"]
