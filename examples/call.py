"""One call: a question, an answer, what it took.

python examples/call.py [QUESTION] [MODEL]
"""

from __future__ import annotations

import sys

import anyio

from asyncllm import AsyncLLM, AsyncLLMError


async def main(question: str = "Name a colour.", model: str = "simulated/demo") -> int:
    """Ask, and print the answer with its usage and cost."""
    async with AsyncLLM(model=model, deadline=60) as llm:
        try:
            answer = await llm.acompletion(question, temperature=0.2)
        except AsyncLLMError as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
    print(answer.text)
    cost = "unknown" if answer.cost_usd is None else f"${answer.cost_usd:.6f} ({answer.cost_basis})"
    print(f"{answer.usage.input_tokens} + {answer.usage.output_tokens} tokens, cost {cost}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(anyio.run(lambda: main(*sys.argv[1:])))
