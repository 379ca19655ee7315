"""Tests of code that uses asyncllm: a provider on loopback, recordings of real ones, and a ban on real calls.

The fixtures and the marker of pytest are in `pytest_plugin`, which pytest finds by itself.
"""

from ..simulator import Fault, Latency, Limit, Simulator
from .recordings import Recording, RecordingMode, no_provider_calls, recorded
from .simulated import simulated_provider

__all__ = [
    "Fault",
    "Latency",
    "Limit",
    "Recording",
    "RecordingMode",
    "Simulator",
    "no_provider_calls",
    "recorded",
    "simulated_provider",
]
