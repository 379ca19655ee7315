"""A provider of language models on loopback that answers by rule, for tests, demos and benchmarks.

    with Simulator() as simulator:
        ...  # simulator.url is the base URL for an OpenAI client

Importing this package is cheap; the HTTP server is imported when a simulator starts.
"""

from __future__ import annotations

from .faults import Fault, Script
from .latency import Latency
from .limits import Limit
from .seen import Exchange, Seen
from .server import Simulator

__all__ = ["Exchange", "Fault", "Latency", "Limit", "Script", "Seen", "Simulator"]
