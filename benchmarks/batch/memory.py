"""Memory of a million items, over that of the first few."""

from __future__ import annotations

import gc
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import anyio

from .figures import Figure, at_most
from .noop import NoopTransport, noop_client, prompt

ITEMS = 1_000_000
JOURNALED_ITEMS = 200_000
SLOTS = 100
MOST_GROWTH_MB = 30.0
STRAGGLER_S = 60.0
# By then every pool, cache and window is full.
_SETTLED = 20_000
_LOOK_EVERY = 5_000


def memory(quick: bool) -> Iterator[Figure]:
    """Run batches from an async generator over a transport that does nothing, with one item that takes a minute."""
    items, journaled = (40_000, 30_000) if quick else (ITEMS, JOURNALED_ITEMS)
    straggler_s = 2.0 if quick else STRAGGLER_S
    for name, count, options in (
        ("as completed", items, {}),
        ("ordered", items, {"ordered": True}),
        ("with a journal", journaled, {"journal": True}),
        ("deduplicated, half of them twice", journaled, {"deduplicate": True}),
    ):
        began = time.monotonic()
        growth = anyio.run(_growth, count, straggler_s, options)
        took_s = time.monotonic() - began
        yield at_most(
            f"memory growth over {count:,} items, {name}, in {took_s:.0f} s", growth, MOST_GROWTH_MB, " MB", 1
        )


async def _growth(items: int, straggler_s: float, options: dict[str, Any]) -> float:
    twice = options.get("deduplicate", False)

    async def rows() -> AsyncIterator[str]:
        for number in range(items):
            yield prompt(number // 2 if twice else number)

    straggler = prompt(_SETTLED // 2 if not twice else _SETTLED // 4)
    transport = NoopTransport(straggler=straggler, straggler_s=straggler_s)
    settled, most, given = 0.0, 0.0, 0
    with tempfile.TemporaryDirectory() as directory:
        if options.get("journal"):
            options = {**options, "journal": Path(directory) / "journal"}
        async with noop_client(SLOTS, transport) as llm, llm.map(rows(), **options) as outcomes:
            async for _ in outcomes:
                given += 1
                if given % _LOOK_EVERY == 0:
                    now = _resident_mb()
                    if given <= _SETTLED:
                        settled = now
                    most = max(most, now)
    if given != items:
        raise RuntimeError(f"{given:,} outcomes of {items:,} items")
    return most - settled


def _resident_mb() -> float:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6
