"""The behaviour of a simulator, shared between its owner's thread and its own."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..batches.behaviour import BatchSimulation
from ..faults import FaultPlan
from .concurrency import ConcurrencyLimit
from .latency import Latency
from .rate_limits import Limiter


@dataclass
class Behaviour:
    """Each part is replaced as a whole, from any thread; `concurrency` is changed on the simulator's own.

    Attributes:
        keys: The accepted keys; None accepts any.
        seed: Decides every draw.
    """

    keys: frozenset[str] | None
    seed: int
    latency: Latency = field(default_factory=Latency)
    limiter: Limiter = field(default_factory=lambda: Limiter(()))
    faults: FaultPlan = field(default_factory=lambda: FaultPlan((), 0))
    concurrency: ConcurrencyLimit = field(default_factory=ConcurrencyLimit)
    batches: BatchSimulation = field(default_factory=BatchSimulation)
