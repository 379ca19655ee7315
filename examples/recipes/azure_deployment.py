"""A deployment of Azure OpenAI.

AZURE_API_KEY=... python examples/recipes/azure_deployment.py https://NAME.openai.azure.com DEPLOYMENT [QUESTION]
"""

from __future__ import annotations

import sys

import anyio

from asyncllm import AsyncLLM, LLMConfig


def config(endpoint: str, deployment: str) -> LLMConfig:
    """Return the configuration of a deployment; the key is in AZURE_API_KEY."""
    return LLMConfig(
        model=f"azure/{deployment}",
        base_url=endpoint,
        api_version="2024-10-21",
        input_cost_per_token=0.15e-6,  # of the model behind the deployment, whose name says nothing about it
        output_cost_per_token=0.60e-6,
    )


async def main(endpoint: str, deployment: str, question: str = "Name a colour.") -> None:
    """Ask, and print the answer with its cost."""
    async with AsyncLLM(config(endpoint, deployment)) as llm:
        answer = await llm.acompletion(question)
    print(answer.text)
    print(f"${answer.cost_usd:.6f}", file=sys.stderr)


if __name__ == "__main__":
    anyio.run(lambda: main(*sys.argv[1:]))
