"""Batches that are killed at random moments, or interrupted."""

from __future__ import annotations

import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

from .figures import Figure, at_most
from .killing import end_again_and_again

SLOTS = 20
INTERRUPTED_ITEMS = 10_000
INTERRUPT_AFTER_S = 2.0
MOST_TO_END_S = 2.0


def killed(quick: bool) -> Iterator[Figure]:
    """Kill a batch 50 times, half of them on each backend."""
    ends, items = (3, 1_000) if quick else (25, 10_000)
    for backend in ("asyncio", "trio"):
        with tempfile.TemporaryDirectory() as directory:
            found = end_again_and_again(
                Path(directory), items=items, slots=SLOTS, ends=ends, seed=len(backend), backend=backend
            )
        yield from found.figures(f"kill -9, {ends} times, {items:,} items, {backend}", SLOTS)


def interrupted(quick: bool) -> Iterator[Figure]:
    """Press Ctrl-C after two seconds of a batch, on each backend and without await."""
    items = 5_000 if quick else INTERRUPTED_ITEMS
    after_s = 1.0 if quick else INTERRUPT_AFTER_S
    for backend in ("asyncio", "trio", "blocking"):
        with tempfile.TemporaryDirectory() as directory:
            found = end_again_and_again(
                Path(directory),
                items=items,
                slots=SLOTS,
                ends=1,
                seed=0,
                backend=backend,
                how=signal.SIGINT,
                after_s=after_s,
            )
        name = f"Ctrl-C after {after_s:g} s, {items:,} items, {backend}"
        yield at_most(f"{name}: to its end", max(found.took_s), MOST_TO_END_S, " s", 2)
        yield from found.figures(name, SLOTS)
