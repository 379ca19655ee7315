"""Three models in a row: a call goes to the next one when a model cannot serve it.

python examples/recipes/fallback_chain.py [QUESTION]
"""

from __future__ import annotations

import sys
from pathlib import Path

import anyio

from asyncllm import AsyncLLM, load_config

CONFIG = load_config(path=Path(__file__).with_name("fallbacks.toml"))


async def main(question: str = "Name a colour.") -> None:
    """Ask, and say which model answered, and what became of those before it."""
    async with AsyncLLM(CONFIG) as llm:
        answer = await llm.acompletion(question)
    print(answer.text)
    for attempt in answer.record.attempts:
        print(f"{attempt.model}: {attempt.error or 'answered'}", file=sys.stderr)
    for profile in answer.record.skipped:
        print(f"{profile}: skipped", file=sys.stderr)


if __name__ == "__main__":
    anyio.run(lambda: main(*sys.argv[1:]))
