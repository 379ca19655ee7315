"""The rows of a CSV file, sorted by topic and tone; a run that was stopped is continued.

python examples/recipes/classify_csv.py [INPUT] [OUTPUT]
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, TextIO

import anyio
from pydantic import BaseModel

from asyncllm import AsyncLLM, Request

REVIEWS = Path(__file__).parents[1] / "data" / "reviews.csv"


class Verdict(BaseModel):
    """What a review is about, and how it is meant."""

    topic: Literal["quality", "price", "delivery", "other"]
    tone: Literal["praise", "blame", "mixed"]


def requests(source: Path) -> Iterator[Request]:
    """Give a request for each row that has a text, as the batch needs them."""
    with source.open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            if row["review"].strip():
                yield Request(f"Judge this review:\n\n{row['review']}", id=row["review_id"], data=row)


async def classify(source: Path, file: TextIO) -> int:
    """Write a line with its verdict, or with the reason why it has none, for each row, and return how many failed."""
    failed = 0
    writer = csv.writer(file)
    writer.writerow(["review_id", "topic", "tone", "error"])
    async with (
        AsyncLLM(temperature=0, max_output_tokens=200) as llm,
        llm.map(
            requests(source),
            response_model=Verdict,
            ordered=True,
            journal=f"{file.name}.journal",
            stop_after_errors=50,
            progress=True,
        ) as outcomes,
    ):
        async for outcome in outcomes:
            failed += not outcome.ok
            verdict = outcome.value
            cells = [verdict.topic, verdict.tone, ""] if verdict is not None else ["", "", outcome.error]
            writer.writerow([outcome.id, *cells])
    return failed


def main(source: str = str(REVIEWS), output: str = "verdicts.csv") -> int:
    """Write the verdicts on the reviews of a file."""
    with Path(output).open("w", encoding="utf-8", newline="") as file:
        return 1 if anyio.run(classify, Path(source), file) else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
