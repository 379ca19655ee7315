"""A provider of language models on loopback that answers by rule, for tests, demos and benchmarks.

    with Simulator() as simulator:
        ...  # simulator.url is the base URL for an OpenAI client

Importing this package is cheap; the HTTP server is imported when a simulator starts.
"""

from __future__ import annotations

from .batches import BatchFaults, BatchSimulation
from .faults import Fault, Script
from .server.latency import Latency
from .server.rate_limits import Limit
from .server.request_log import LoggedRequest, RequestLog
from .server.simulator import Simulator

__all__ = [
    "BatchFaults",
    "BatchSimulation",
    "Fault",
    "Latency",
    "Limit",
    "LoggedRequest",
    "RequestLog",
    "Script",
    "Simulator",
]
