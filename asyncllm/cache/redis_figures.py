"""What a cache in Redis holds, and its removal; answers are looked at in pieces, and other keys left alone."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import anyio

from ..config.redis_connection import open_redis
from .stored_answer import CacheFigures

if TYPE_CHECKING:
    from .redis_thread import Client

# Keys of answers and claims, as `redis_answers` makes them.
_ANSWERS, _ALL = "asyncllm:{*}:answer", "asyncllm:{*}:*"
_AT_ONCE = 1_000
# Enough for what stands before an answer: model, cost and time.
_HEAD_BYTES = 500


def figures(url: str) -> CacheFigures:
    """Return what a cache holds; errors are those of coredis."""

    async def add_up() -> CacheFigures:
        models: Counter[str] = Counter()
        size, cost, oldest = 0, 0.0, float("inf")
        async with open_redis(url) as client:
            async for _, head, size_bytes in _heads(client):
                model, cost_usd, made_at = json.loads(head.partition(b"\n")[0])
                models[model] += 1
                size, cost, oldest = size + size_bytes, cost + (cost_usd or 0.0), min(oldest, made_at)
        ordered = dict(sorted(models.items(), key=lambda pair: (-pair[1], pair[0])))
        return CacheFigures(models.total(), size, cost, oldest if models else None, ordered)

    return anyio.run(add_up)


def prune(url: str, *, older_than_s: float | None = None) -> int:
    """Remove answers that are old, or all of them; return how many. Errors are those of coredis."""

    async def remove() -> int:
        removed = 0
        async with open_redis(url) as client:
            if older_than_s is None:
                async for keys in _keys(client, _ALL):
                    await client.unlink(keys)
                    removed += sum(key.endswith(b":answer") for key in keys)
                return removed
            oldest = time.time() - older_than_s
            async for key, head, _ in _heads(client):
                if json.loads(head.partition(b"\n")[0])[2] < oldest:
                    removed += await client.unlink([key])
        return removed

    return anyio.run(remove)


async def _keys(client: Client, pattern: str) -> AsyncIterator[list[bytes]]:
    found: list[bytes] = []
    async for key in client.scan_iter(match=pattern, count=_AT_ONCE):
        found.append(key)
        if len(found) >= _AT_ONCE:
            yield found
            found = []
    if found:
        yield found


async def _heads(client: Client) -> AsyncIterator[tuple[bytes, bytes, int]]:
    """Yield each answer's key, its beginning, and its size."""
    async for keys in _keys(client, _ANSWERS):
        async with client.pipeline(transaction=False) as pipeline:
            looks = [(key, pipeline.getrange(key, 0, _HEAD_BYTES), pipeline.strlen(key)) for key in keys]
        for key, head, size in looks:
            beginning = await head
            if beginning:  # not removed meanwhile
                yield key, beginning, await size
