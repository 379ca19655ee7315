"""A LiteLLM proxy: its models by the names that it gives them, with a key of its own.

LITELLM_PROXY_API_KEY=sk-... python examples/recipes/litellm_proxy.py http://127.0.0.1:4000 MODEL [QUESTION]
"""

from __future__ import annotations

import sys

import anyio

from asyncllm import AsyncLLM


async def main(url: str, model: str, question: str = "Name a colour.") -> None:
    """Ask over the proxy, with tags that it puts into its own log."""
    async with AsyncLLM(model=f"litellm_proxy/{model}", base_url=url, num_retries=1) as llm:
        answer = await llm.acompletion(question, user="ada", metadata={"tags": ["recipe"]})
    print(answer.text)
    print(f"{answer.usage.total_tokens} tokens, request {answer.record.request_id}", file=sys.stderr)


if __name__ == "__main__":
    anyio.run(lambda: main(*sys.argv[1:]))
