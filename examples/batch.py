"""A batch: a file in, a file out, and a run that is continued where it was left.

python examples/batch.py [INPUT] [OUTPUT] [MODEL]
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import anyio

from asyncllm import AsyncLLM, Request

EMAILS = Path(__file__).parent / "data" / "support_emails.jsonl"


def requests(source: Path, done: set[str]) -> Iterator[Request]:
    """Give a request for each row that has a text and no result yet; read as the batch needs them."""
    with source.open(encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            if row["id"] not in done and row["text"].strip():
                yield Request(f"Summarise in one line:\n\n{row['text']}", id=row["id"], max_tokens=100)


def finished(output: Path) -> set[str]:
    """Return the ids that have a good result from an earlier run."""
    if not output.exists():
        return set()
    results = map(json.loads, output.read_text(encoding="utf-8").splitlines())
    return {result["id"] for result in results if result["error"] is None}


async def run(todo: Iterator[Request], results: TextIO, model: str) -> int:
    """Send what is to do, write each result as it comes, and return how many failed."""
    failed = 0
    async with AsyncLLM(model=model) as llm, llm.map(todo, max_concurrency=50) as outcomes:
        async for outcome in outcomes:
            failed += not outcome.ok
            error = None if outcome.ok else str(outcome.error)
            results.write(json.dumps({"id": outcome.id, "summary": outcome.text, "error": error}) + "\n")
    print(f"{llm.stats().succeeded} done, {failed} failed, ${llm.stats().cost_usd:.4f}", file=sys.stderr)
    return failed


def main(source: str = str(EMAILS), output: str = "summaries.jsonl", model: str = "simulated/demo") -> int:
    """Summarise every row that has no summary yet."""
    todo = requests(Path(source), finished(Path(output)))
    with Path(output).open("a", encoding="utf-8", buffering=1) as results:  # whole lines, also when it is killed
        return 1 if anyio.run(run, todo, results, model) else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
