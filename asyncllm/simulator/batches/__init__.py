"""Batches of the simulated provider: files, batches, their clock, and what goes wrong with them."""

from __future__ import annotations

from .behaviour import BatchFaults, BatchSimulation

__all__ = ["BatchFaults", "BatchSimulation"]
