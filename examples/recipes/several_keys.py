"""One model with the keys of two accounts: calls take turns, and go to the other one where an account is throttled.

OPENAI_KEY_1=... OPENAI_KEY_2=... python examples/recipes/several_keys.py
"""

from __future__ import annotations

from collections import Counter
from contextlib import AsyncExitStack
from itertools import cycle
from pathlib import Path

import anyio

from asyncllm import AsyncLLM, load_config

CONFIG = Path(__file__).with_name("keys.toml")
# A turn for each share of the rates: five calls of the first account to two of the second.
TURNS = ("key-1", "key-2", "key-1", "key-1", "key-2", "key-1", "key-1")


async def main(calls: int = 21) -> None:
    """Make some calls, and print which account has served how many."""
    served: Counter[str] = Counter()
    async with AsyncExitStack() as stack:
        clients = {
            name: await stack.enter_async_context(AsyncLLM(load_config(name, path=CONFIG))) for name in sorted({*TURNS})
        }

        async def ask(name: str, question: str) -> None:
            answer = await clients[name].acompletion(question)
            served[answer.record.attempts[-1].profile] += 1  # which the call may not have begun with

        async with anyio.create_task_group() as group:
            for n, name in zip(range(calls), cycle(TURNS), strict=False):
                group.start_soon(ask, name, f"Name a town with {n + 3} letters.")
    print(*(f"{name}: {count} calls" for name, count in sorted(served.items())), sep="\n")


if __name__ == "__main__":
    anyio.run(main)
