"""A reasoning model: its effort, its thoughts as they come, and what they cost.

python examples/recipes/reasoning.py [QUESTION]
"""

from __future__ import annotations

import sys

import anyio

from asyncllm import AsyncLLM

QUESTION = "A bat and a ball cost 1.10 together. The bat costs 1.00 more than the ball. What does the ball cost?"


async def main(question: str = QUESTION) -> None:
    """Print the thoughts on stderr and the answer on stdout."""
    # The first chunk may take minutes, and thoughts count as output: room for both.
    llm = AsyncLLM(reasoning_effort="high", max_output_tokens=16_000, first_token_timeout=300)
    async with llm, llm.stream(question) as stream:
        async for chunk in stream:
            print(chunk.reasoning or "", end="", file=sys.stderr)
            print(chunk.text, end="", flush=True)
    usage = stream.completion.usage
    print(f"\n{usage.reasoning_tokens or 0} of {usage.output_tokens} tokens were thoughts", file=sys.stderr)
    if stream.completion.finish_reason == "length":
        raise SystemExit("The answer was cut: raise max_output_tokens, or lower reasoning_effort.")


if __name__ == "__main__":
    anyio.run(lambda: main(*sys.argv[1:]))
