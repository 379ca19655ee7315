"""Rates: known, unknown and moving."""

from __future__ import annotations

import random
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import anyio

from asyncllm import AsyncLLM, Request

from .provider import LimitedProvider
from .rows import Row

MINUTES = 2
ITEMS, PER_S = 5000, 50
_LATENCY = {"first_token_s": 0.1, "tokens_per_s": 500, "spread": 0.3}


def _uneven(count: int) -> Iterator[Request]:
    """Give requests of which the largest need a hundred times as many tokens as the smallest."""
    dice = random.Random(7)
    for _ in range(count):
        size = int(10 * 100 ** dice.random())
        words = "word " * dice.randint(1, 200)
        yield Request(words, max_tokens=2 * size, extra_body={"simulator": {"answer_tokens": size}})


async def known(binding: str, algorithm: str) -> list[Row]:
    """Follow a known limit of requests and tokens a minute, of which one binds, with more to do than it allows."""
    requests, tokens = (1500, 1_000_000) if binding == "requests" else (6000, 300_000)
    limits = (
        {"kind": "requests", "per_minute": requests, "algorithm": algorithm},
        {"kind": "tokens", "per_minute": tokens, "algorithm": algorithm},
    )
    used: list[tuple[float, int]] = []
    with LimitedProvider(*limits, latency=_LATENCY) as provider:
        options = provider.options(requests_per_minute=requests, tokens_per_minute=tokens, max_concurrency=200)
        async with AsyncLLM(**options) as llm:
            with anyio.move_on_after(MINUTES * 60 + 1):
                async with llm.map(_uneven(1_000_000)) as outcomes:
                    async for outcome in outcomes:
                        assert outcome.completion is not None, outcome.error
                        used.append((time.monotonic(), outcome.completion.usage.total_tokens or 0))
        seen = provider.seen()
    start = seen.accepted[0]
    if binding == "requests":
        share = seen.rate(start, start + MINUTES * 60) * 60 / requests
    else:
        share = sum(n for at, n in used if at < start + MINUTES * 60) / MINUTES / tokens
    case = f"known {binding} a minute, {algorithm}"
    return [
        Row(case, "of the limit used", 100 * share, ">=", 95, " %"),
        Row(case, "429s", 100 * seen.refused_share, "<=", 0.1, " %"),
    ]


async def unknown(algorithm: str, retry_after: str = "seconds", headers: bool = False) -> list[Row]:
    """Find a limit that nobody has said."""
    limit = {"per_second": PER_S, "algorithm": algorithm, "retry_after": retry_after, "headers": headers}
    with LimitedProvider(limit, latency=_LATENCY) as provider:
        answered = 0
        async with AsyncLLM(**provider.options()) as llm, llm.map(["item"] * ITEMS) as outcomes:
            async for outcome in outcomes:
                answered += outcome.ok
        seen = provider.seen()
    start, end = seen.accepted[0], seen.accepted[-1]
    told = "x-ratelimit headers" if headers else f"Retry-After: {retry_after}"
    case = f"unknown 50/s, {algorithm}, {told}"
    return [
        Row(case, "of the limit after 10 s", 100 * seen.rate(start + 10, end) / PER_S, ">=", 95, " %"),
        Row(case, "429s", 100 * seen.refused_share, "<=", 2, " %"),
        Row(case, "lost", ITEMS - answered, "<=", 0),
        Row(case, "seconds in all (ideal 100)", end - start, None, unit=" s"),
    ]


async def _endless(until: float) -> AsyncIterator[str]:
    while time.monotonic() < until:
        yield "item"


async def moving(algorithm: str) -> list[Row]:
    """Follow a limit from 100 to 25 to 100 requests a second."""
    phases = ((100, 30.0), (25, 30.0), (100, 45.0))

    def limit(per_s: int) -> dict[str, Any]:
        return {"per_second": per_s, "algorithm": algorithm, "headers": False}

    with LimitedProvider(limit(100), latency=_LATENCY) as provider:
        starts: list[float] = []

        async def move() -> None:
            for per_s, lasts_s in phases:
                if starts:
                    provider.limits(limit(per_s))
                starts.append(time.monotonic())
                await anyio.sleep(lasts_s)

        async with AsyncLLM(**provider.options()) as llm, anyio.create_task_group() as group:
            group.start_soon(move)
            async with llm.map(_endless(time.monotonic() + sum(lasts for _, lasts in phases))) as outcomes:
                async for outcome in outcomes:
                    assert outcome.ok, outcome.error
        seen = provider.seen()
    rows = []
    for name, number, within_s in (("down to 25/s", 1, 5), ("up to 100/s", 2, 20)):
        per_s, lasts_s = phases[number]
        start, end = starts[number] + within_s, starts[number] + lasts_s - 1
        case = f"moving limit, {algorithm}, {name}"
        share = 100 * seen.rate(start, end) / per_s
        refused = 100 * seen.refusals(start, end) / (seen.rate(start, end) * (end - start) + seen.refusals(start, end))
        rows.append(Row(case, f"of the limit after {within_s} s", share, ">=", 90, " %"))
        rows.append(Row(case, f"429s after {within_s} s", refused, "<=", 2, " %"))
    return rows
