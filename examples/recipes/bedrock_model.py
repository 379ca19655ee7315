"""A model of Amazon Bedrock; needs `pip install boto3`.

AWS_PROFILE=... python examples/recipes/bedrock_model.py [MODEL] [REGION] [QUESTION]
"""

from __future__ import annotations

import sys

import anyio

from asyncllm import AsyncLLM, LLMConfig

CLAUDE = "eu.anthropic.claude-sonnet-4-5-20250929-v1:0"


def config(model: str, region: str) -> LLMConfig:
    """Return the configuration of a model; credentials come from where boto3 finds them."""
    return LLMConfig(model=f"bedrock/converse/{model}", aws_region_name=region, max_output_tokens=1_000)


async def main(model: str = CLAUDE, region: str = "eu-central-1", question: str = "Name a colour.") -> None:
    """Ask, and print the answer with its usage."""
    async with AsyncLLM(config(model, region)) as llm:
        await llm.warm_up()  # imports litellm and boto3, which takes seconds
        answer = await llm.acompletion(question)
    print(answer.text)
    print(f"{answer.usage.total_tokens} tokens over {answer.record.transport}", file=sys.stderr)


if __name__ == "__main__":
    anyio.run(lambda: main(*sys.argv[1:]))
