"""A stream: the answer as it comes, and what happens when it is cut.

python examples/stream.py [QUESTION] [MODEL]
"""

from __future__ import annotations

import sys

import anyio

from asyncllm import AsyncLLM, StreamInterruptedError


async def main(question: str = "Tell me a story.", model: str = "simulated/demo") -> int:
    """Print an answer while it is made."""
    async with AsyncLLM(model=model, idle_timeout=30, deadline=300) as llm:
        stream = llm.stream(question)
        try:
            async with stream:
                async for chunk in stream:
                    print(chunk.text, end="", flush=True)
        except StreamInterruptedError as error:
            print(f"\nerror: {error}", file=sys.stderr)
            return 1
    print()
    answer = stream.completion
    print(f"{answer.finish_reason}, {answer.usage.output_tokens} tokens", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(anyio.run(lambda: main(*sys.argv[1:])))
