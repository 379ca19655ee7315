"""A provider that refuses nothing and serves few at a time: the others wait, and everything gets slower."""

from __future__ import annotations

import random
import time
from collections.abc import AsyncIterator

from asyncllm import AsyncLLM, Request

from .provider import LimitedProvider
from .rows import Row

SLOTS = 8
LASTS_S, SETTLED_S = 90.0, 25.0
_FIRST_S, _TOKENS_PER_S = 0.1, 100.0


async def _requests(until: float) -> AsyncIterator[Request]:
    dice = random.Random(11)
    while time.monotonic() < until:
        yield Request("item", extra_body={"simulator": {"answer_tokens": dice.randint(10, 90)}})


async def queueing() -> list[Row]:
    """Settle near the number that a queueing provider serves at a time, without leaving a place of it empty."""
    with LimitedProvider(latency={"first_token_s": _FIRST_S, "tokens_per_s": _TOKENS_PER_S}) as provider:
        provider.slots(SLOTS, queue=True)
        started = time.monotonic()
        async with (
            AsyncLLM(**provider.options()) as llm,
            llm.map(_requests(started + LASTS_S)) as outcomes,
        ):
            async for outcome in outcomes:
                assert outcome.ok, outcome.error
        seen = provider.seen()
    start, end = started + SETTLED_S, started + LASTS_S
    inside = [row for row in seen.rows if start <= row["at"] < end]
    # By Little's law: the time that all spent there, over the time it took.
    in_flight = sum(row["ended"] - row["at"] for row in inside) / (end - start)
    busy_s = sum(_FIRST_S + row["answer_tokens"] / _TOKENS_PER_S for row in inside)
    case = f"queueing provider, {SLOTS} at a time"
    return [
        Row(case, "in flight, on average", in_flight, "<=", 2 * SLOTS),
        Row(case, "in flight, on average ", in_flight, ">=", SLOTS / 2),
        Row(case, "of the best throughput", 100 * busy_s / SLOTS / (end - start), ">=", 95, " %"),
    ]
