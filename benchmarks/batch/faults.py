"""Thousands of typed items, some with every kind of failure: each ends in one outcome of the right kind."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
from pydantic import BaseModel

from asyncllm import AsyncLLM, Journal, Request
from asyncllm.testing import Fault, Simulator

from .figures import Figure, at_most

ITEMS = 5_000
SLOTS = 50
# One item of a hundred each; the marks are in their prompts.
KINDS = {
    "[invalid]": (Fault("answer", text='{"name": "no number"', contains="[invalid]"), "ExtractionError"),
    "[500]": (Fault("status", code=500, contains="[500]"), "ServerError"),
    "[reset]": (Fault("reset", contains="[reset]"), "ProviderConnectionError"),
    "[hang]": (Fault("stall", contains="[hang]"), "ProviderTimeoutError"),
}
_OPTIONS: dict[str, Any] = {"num_retries": 1, "retry_min_wait": 0.001, "retry_max_wait": 0.002, "timeout": 2.0}


class Product(BaseModel):
    name: str
    number: int


def faults(quick: bool) -> Iterator[Figure]:
    """Run them on both backends, with a journal and without."""
    items = 500 if quick else ITEMS
    for backend in ("asyncio", "trio"):
        for journaled in (False, True):
            wrong = wrong_outcomes(items, backend, journaled=journaled)
            name = f"{items:,} typed items, 4 % of them met by faults, {backend}{', journal' if journaled else ''}"
            yield at_most(f"{name}: not in one right outcome", wrong, 0)


def wrong_outcomes(items: int, backend: str, *, journaled: bool) -> int:
    """Return how many inputs did not end in exactly one outcome of the right kind."""
    with tempfile.TemporaryDirectory() as directory, Simulator(record=False) as simulator:
        simulator.faults(*(fault for fault, _ in KINDS.values()))
        journal = Path(directory) / "journal" if journaled else None
        return anyio.run(_wrong, simulator.url, items, journal, backend=backend)


async def _wrong(url: str, items: int, journal: Path | None) -> int:
    marks = [*KINDS, *[""] * (100 - len(KINDS))]
    expected = {number: KINDS[mark][1] if (mark := marks[number % 100]) else None for number in range(items)}
    requests = (Request(f"product {number} {marks[number % 100]}", id=f"{number}") for number in range(items))
    found: dict[int, list[str | None]] = {number: [] for number in range(items)}
    async with AsyncLLM(
        model="openai/gpt-4o-mini", base_url=url, api_key="none", max_concurrency=SLOTS, max_reasks=1, **_OPTIONS
    ) as llm:
        async with llm.map(requests, response_model=Product, journal=journal) as outcomes:
            async for outcome in outcomes:
                kind = None if type(outcome.value) is Product else type(outcome.error).__name__
                found[int(outcome.id or -1)].append(kind)
        in_flight = llm.stats().in_flight
    wrong = sum(found[number] != [expected[number]] for number in range(items)) + in_flight
    if journal is not None:
        kept = Counter((entry.id, entry.error) for entry in Journal(journal).outcomes())
        wrong += sum(kept[f"{number}", expected[number]] != 1 for number in range(items)) + abs(len(kept) - items)
    return wrong
