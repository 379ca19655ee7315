"""A model as the judge of two answers to each question, asked in both orders.

python examples/recipes/judge_pairs.py PAIRS; a JSON line for each pair: question, a, b
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal

import anyio
from pydantic import BaseModel, Field

from asyncllm import AsyncLLM, Request

PROMPT = """Which answer is more correct and more helpful? Length is no merit.

Question: {question}

First answer: {first}

Second answer: {second}"""


class Judgement(BaseModel):
    """A comparison of two answers."""

    reasons: str = Field(description="Two sentences at most, written before the decision")
    better: Literal["first", "second", "tie"]


def requests(pairs: Sequence[Mapping[str, str]]) -> list[Request]:
    """Return two requests for each pair: judges favour a position, and a swap shows it."""
    return [
        Request(PROMPT.format(question=pair["question"], first=pair[first], second=pair[second]), data=(first, second))
        for pair in pairs
        for first, second in (("a", "b"), ("b", "a"))
    ]


def winner(judgement: Judgement, first: str, second: str) -> str:
    """Return the name of the better answer, or tie."""
    return {"first": first, "second": second}.get(judgement.better, "tie")


async def main(path: str) -> int:
    """Print how often each side won; a pair on which the two orders disagree counts as a tie."""
    pairs = [json.loads(line) for line in (await anyio.Path(path).read_text(encoding="utf-8")).splitlines()]
    async with AsyncLLM() as llm:
        outcomes = await llm.gather(requests(pairs), response_model=Judgement, temperature=0, progress=True)
    verdicts = [winner(outcome.value, *outcome.data) if outcome.value else "failed" for outcome in outcomes]
    results = Counter(
        "failed" if "failed" in both else both[0] if both[0] == both[1] else "tie"
        for both in zip(verdicts[::2], verdicts[1::2], strict=True)
    )
    disagreed = sum(one != other for one, other in zip(verdicts[::2], verdicts[1::2], strict=True))
    print(json.dumps(results | {"disagreed": disagreed}))
    return 1 if results["failed"] else 0


if __name__ == "__main__":
    sys.exit(anyio.run(lambda: main(*sys.argv[1:])))
