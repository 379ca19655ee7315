"""Overhead of a batch over bare calls: CPU for each item, and throughput."""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

from asyncllm import AsyncLLM
from benchmarks.processes import Provider

from .figures import Figure, at_least, at_most
from .noop import NoopTransport, noop_client, prompt

SLOTS = 100
MOST_MS = 0.10
MOST_WITH_JOURNAL_MS = 0.20
LEAST_THROUGHPUT = 0.95
# Enough waiting that all slots are taken, as with a provider; it costs no CPU.
_ANSWER_S = 0.01

Way = Callable[[AsyncLLM, list[str], Path], Awaitable[None]]


def cost(quick: bool) -> Iterator[Figure]:
    """Compare the CPU of every way to run a batch with that of the bare calls, in turns."""
    items, rounds = (2_000, 3) if quick else (5_000, 5)
    spent = asyncio.run(_cpu(items, rounds))
    bare = spent.pop("bare")
    for name, each in spent.items():
        added = statistics.median(ours - theirs for ours, theirs in zip(each, bare, strict=True))
        bound = MOST_WITH_JOURNAL_MS if "journal" in name else MOST_MS
        yield at_most(f"CPU added to {statistics.median(bare):.3f} ms of a call: {name}", added, bound, " ms", 3)


def throughput(quick: bool) -> Iterator[Figure]:
    """Compare `gather` with asyncio's own and a semaphore, over the same client and a real connection, in turns."""
    items, rounds = (1_000, 3) if quick else (3_000, 9)
    with Provider() as provider:
        ratios = asyncio.run(_ratios(provider.url, items, rounds))
    for name, each in ratios.items():
        what, ratio = f"throughput against asyncio.gather and a semaphore: {name}", statistics.median(each)
        if "journal" in name:
            # The peer keeps nothing; this is the cost of durability where a provider answers at once.
            yield Figure(what, f"{ratio:.2f}", "no bound: the peer keeps nothing", fine=True)
        else:
            yield at_least(what, ratio, LEAST_THROUGHPUT)


async def _bare(llm: AsyncLLM, prompts: list[str], directory: Path) -> None:
    slots = asyncio.Semaphore(SLOTS)

    async def one(text: str) -> object:
        async with slots:
            return await llm.acompletion(text)

    await asyncio.gather(*(one(text) for text in prompts))


async def _gather(llm: AsyncLLM, prompts: list[str], directory: Path) -> None:
    await llm.gather(prompts)


async def _from_async_generator(llm: AsyncLLM, prompts: list[str], directory: Path) -> None:
    async def rows() -> AsyncIterator[str]:
        for text in prompts:
            yield text

    async with llm.map(rows()) as outcomes:
        async for _ in outcomes:
            pass


async def _from_generator(llm: AsyncLLM, prompts: list[str], directory: Path) -> None:
    async with llm.map((text for text in prompts), ordered=True) as outcomes:
        async for _ in outcomes:
            pass


async def _with_journal(llm: AsyncLLM, prompts: list[str], directory: Path) -> None:
    with tempfile.TemporaryDirectory(dir=directory) as inside:
        async with llm.map(prompts, journal=Path(inside) / "journal") as outcomes:
            async for _ in outcomes:
                pass


async def _with_full_journal(llm: AsyncLLM, prompts: list[str], directory: Path) -> None:
    with tempfile.TemporaryDirectory(dir=directory) as inside:
        async with llm.map(prompts, journal=Path(inside) / "journal", durability="full") as outcomes:
            async for _ in outcomes:
                pass


_WAYS: dict[str, Way] = {
    "bare": _bare,
    "gather, from a list": _gather,
    "map, from an async generator": _from_async_generator,
    "map, ordered, from a generator": _from_generator,
    "map, with a journal": _with_journal,
    "map, with a journal of full durability": _with_full_journal,
}


async def _cpu(items: int, rounds: int) -> dict[str, list[float]]:
    prompts = [prompt(number) for number in range(items)]
    spent: dict[str, list[float]] = {name: [] for name in _WAYS}
    with tempfile.TemporaryDirectory() as directory:
        async with noop_client(SLOTS, NoopTransport(_ANSWER_S)) as llm:
            for round in range(rounds + 1):
                for name, way in _WAYS.items():
                    began = time.process_time()
                    await way(llm, prompts, Path(directory))
                    if round:  # the first one imports and fills caches
                        spent[name].append((time.process_time() - began) / items * 1000)
    return spent


async def _ratios(url: str, items: int, rounds: int) -> dict[str, list[float]]:
    from benchmarks.exchange import HELLO

    ratios: dict[str, list[float]] = {"gather": [], "map, with a journal": []}
    prompts = [HELLO] * items
    with tempfile.TemporaryDirectory() as directory:
        async with AsyncLLM(model="openai/gpt-4o-mini", base_url=url, api_key="none", max_concurrency=SLOTS) as llm:
            for round in range(rounds + 1):
                took = {}
                for name, way in (("bare", _bare), ("gather", _gather), ("map, with a journal", _with_journal)):
                    began = time.perf_counter()
                    await way(llm, prompts, Path(directory))
                    took[name] = time.perf_counter() - began
                if round:
                    for name, each in ratios.items():
                        each.append(took["bare"] / took[name])
    return ratios
