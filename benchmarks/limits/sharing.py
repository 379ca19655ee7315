"""One limit, several threads and event loops."""

from __future__ import annotations

import threading
import time

import anyio

from asyncllm import AsyncLLM

from .provider import LimitedProvider
from .rows import Row

PER_MINUTE, LASTS_S = 3000, 65.0


async def sharing(*backends: str) -> list[Row]:
    """Let a client on each of several threads send as fast as it may, under one limit."""
    limit = {"per_minute": PER_MINUTE, "algorithm": "sliding_window"}
    with LimitedProvider(limit, latency={"first_token_s": 0.05}) as provider:
        done: dict[int, int] = {}

        async def client(number: int) -> None:
            async with AsyncLLM(**provider.options(requests_per_minute=PER_MINUTE)) as llm:
                with anyio.move_on_after(LASTS_S):
                    async with llm.map("item" for _ in range(100_000)) as outcomes:
                        async for outcome in outcomes:
                            done[number] = done.get(number, 0) + outcome.ok

        threads = [
            threading.Thread(target=anyio.run, args=(client, number), kwargs={"backend": backend})
            for number, backend in enumerate(backends)
        ]
        started = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            await anyio.to_thread.run_sync(thread.join)
        seen = provider.seen()
    most = max(seen.rate(at, at + 60) for at in seen.accepted) * 60
    case = f"shared by threads, {' and '.join(backends)}, sliding_window"
    share = seen.rate(started, seen.accepted[0] + LASTS_S) * 60 / PER_MINUTE
    return [
        Row(case, "of the limit used, together", 100 * share, ">=", 95, " %"),
        Row(case, f"most in any minute, of {PER_MINUTE:,}", most, "<=", PER_MINUTE),
        Row(case, "429s", len(seen.refused), "<=", 0),
        Row(case, "the lesser share of a thread", 100 * min(done.values()) / sum(done.values()), ">=", 40, " %"),
    ]
