"""Records that mean the same thing, found by comparing the pairs that look alike.

python examples/recipes/deduplicate.py < NAMES
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher
from itertools import combinations

import anyio
from pydantic import BaseModel

from asyncllm import AsyncLLM, Request

Pair = tuple[int, int]


class Comparison(BaseModel):
    """Whether two records are of the same thing."""

    reason: str
    same: bool


def candidates(records: Sequence[str], threshold: float = 0.6) -> list[Pair]:
    """Return the pairs worth asking about, by their letters.

    Beyond some thousand records use the nearest neighbours of embeddings instead, which another library makes.
    """

    def alike(one: str, other: str) -> bool:
        return SequenceMatcher(None, one.casefold(), other.casefold()).ratio() >= threshold

    return [(a, b) for a, b in combinations(range(len(records)), 2) if alike(records[a], records[b])]


async def same_pairs(llm: AsyncLLM, records: Sequence[str], pairs: Iterable[Pair]) -> list[Pair]:
    """Return the pairs that the model takes for the same."""
    requests = [
        Request(f"Are these two records of the same company?\n1. {records[a]}\n2. {records[b]}", data=(a, b))
        for a, b in pairs
    ]
    outcomes = await llm.gather(requests, response_model=Comparison, temperature=0, deduplicate=True)
    return [outcome.data for outcome in outcomes if outcome.unwrap().same]


def groups(count: int, pairs: Iterable[Pair]) -> list[list[int]]:
    """Join pairs into groups: what is the same as the same is the same."""
    group_of = {index: [index] for index in range(count)}
    for a, b in pairs:
        if group_of[a] is not group_of[b]:
            group_of[a].extend(group_of[b])
            group_of |= dict.fromkeys(group_of[b], group_of[a])
    return [group for index, group in group_of.items() if group[0] == index]


async def main() -> None:
    """Print each group of the records on stdin on a line."""
    records = [line.strip() for line in sys.stdin if line.strip()]
    async with AsyncLLM() as llm:
        pairs = await same_pairs(llm, records, candidates(records))
    for group in groups(len(records), pairs):
        print(" | ".join(records[index] for index in group))


if __name__ == "__main__":
    anyio.run(main)
