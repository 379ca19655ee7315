"""One of the processes that share a limit: sends until it is told to end, and prints what it did."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import AsyncIterator
from typing import Any

import anyio

from asyncllm import AsyncLLM, BudgetExceededError, Request


async def _work(settings: dict[str, Any]) -> dict[str, Any]:
    ended = threading.Event()

    async def items() -> AsyncIterator[Request]:
        while not ended.is_set():
            yield Request("item", **settings["params"])

    answered: list[float] = []
    failed: list[str] = []
    tokens, cost, refused = 0, 0.0, 0
    async with AsyncLLM(**settings["options"]) as llm:
        await llm.warm_up()
        print("ready", flush=True)
        await anyio.to_thread.run_sync(sys.stdin.readline)
        threading.Thread(target=_wait_for_end, args=(ended,), daemon=True).start()
        cpu = time.process_time()
        async with llm.map(items(), max_concurrency=settings["concurrency"]) as outcomes:
            async for outcome in outcomes:
                if outcome.completion is not None:
                    answered.append(time.monotonic())
                    tokens += outcome.completion.usage.total_tokens or 0
                    cost += outcome.completion.cost_usd or 0.0
                elif isinstance(outcome.error, BudgetExceededError):
                    refused += 1
                    ended.set()
                else:
                    failed.append(str(outcome.error))
        cpu = time.process_time() - cpu
    return {"answered": answered, "failed": failed, "tokens": tokens, "cost": cost, "refused": refused, "cpu": cpu}


def _wait_for_end(ended: threading.Event) -> None:
    sys.stdin.readline()
    ended.set()


if __name__ == "__main__":
    print(json.dumps(anyio.run(_work, json.loads(sys.stdin.readline()))), flush=True)
