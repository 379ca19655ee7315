"""The limiter's CPU per call that does not have to wait."""

from __future__ import annotations

import time

from asyncllm.limits import Budget, ProviderLimits, Slots, admit
from asyncllm.pipeline.deadline import Deadline

from .rows import Row

CALLS, ROUNDS = 5000, 15


async def cost() -> list[Row]:
    """Admit and release, nothing limited and everything; the best of several rounds, because others use the machine."""
    free = await _measure(ProviderLimits(), Slots(100), Deadline(None))
    bucket = ProviderLimits()
    bucket.configure(1, 1e9, 1e12)
    budget = Budget(1e9)
    full = await _measure(bucket, Slots(100, 5, budget), Deadline(100.0), adaptive=True, budgets=(budget, Budget(1e9)))
    adaptive = await _measure(ProviderLimits(), Slots(100, 5), Deadline(100.0), adaptive=True, budgets=())
    return [
        Row("cost of a call, none set", "CPU and wall time", free, "<=", 5, " us"),
        Row("cost of a call, all set", "CPU and wall time", full, "<=", 40, " us"),
        Row("cost of a call, adaptive alone", "CPU and wall time", adaptive, "<=", 40, " us"),
    ]


async def _measure(
    bucket: ProviderLimits,
    slots: Slots,
    deadline: Deadline,
    *,
    adaptive: bool = False,
    budgets: tuple[Budget, ...] = (),
) -> float:
    best = float("inf")
    for _ in range(ROUNDS):
        started = time.perf_counter()
        for _ in range(CALLS):
            admission = await admit(slots, bucket, 100, deadline, adaptive=adaptive, budgets=budgets, worst_usd=1e-6)
            admission.answered({}, 10)
            admission.release(50, 1e-6)
        best = min(best, time.perf_counter() - started)
    return best / CALLS * 1e6
