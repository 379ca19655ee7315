"""Retry-After in all its forms: nothing is sent before it ends, and nobody else waits for it."""

from __future__ import annotations

from contextlib import suppress
from functools import partial

import anyio

from asyncllm import AsyncLLM, ProviderError

from .provider import KEY, LimitedProvider
from .rows import Row

ASKED_S = 2.5
CALLERS = 30


async def closures() -> list[Row]:
    """Refuse one request in each form, and look at who is heard from before the time is over."""
    rows = []
    for status in (429, 503):
        for form in ("seconds", "fraction", "date", "ms"):
            early, others_s = await _closed(status, form)
            case = f"Retry-After ({form}), {status}"
            rows.append(Row(case, "requests before it ends", early, "<=", 0))
            rows.append(Row(case, "longest wait of another bucket's", others_s, "<=", 0.5, " s"))
    return rows


async def _closed(status: int, form: str) -> tuple[int, float]:
    fault = {"kind": "status", "code": status, "retry_after": ASKED_S, "retry_after_form": form, "times": 1, "key": KEY}
    with LimitedProvider(latency={"first_token_s": 0.02}) as provider:
        provider.faults(fault)
        # Ten slots for thirty callers: if the closed bucket held them, nobody else would get one.
        async with AsyncLLM(**provider.options(max_concurrency=10)) as llm:
            other = llm.with_options(api_key="sk-another")
            await other.warm_up()
            waits: list[float] = []

            async def call_other() -> None:
                waits.append((await other.acompletion("other")).record.elapsed_s)

            with suppress(ProviderError):
                await llm.acompletion("first", num_retries=0)
            async with anyio.create_task_group() as group:
                for _ in range(CALLERS):
                    group.start_soon(partial(llm.acompletion, "item"))
                for _ in range(CALLERS):
                    group.start_soon(call_other)
        seen = provider.seen()
    refused_at = next(row["ended"] for row in seen.rows if row["status"] == status)
    # A date has whole seconds: it asks for no less, and for up to a second more.
    early = sum(row["key"] == KEY and row["status"] == 200 and row["at"] < refused_at + ASKED_S for row in seen.rows)
    return early, max(waits)
