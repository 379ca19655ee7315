"""A model on your own machine: vLLM, Ollama, llama.cpp or LM Studio.

python examples/recipes/local_models.py SERVER MODEL [QUESTION]
"""

from __future__ import annotations

import sys

import anyio

from asyncllm import AsyncLLM, LLMConfig

# The provider in the model's name, and the address where the server listens unless it is told otherwise.
SERVERS = {
    "vllm": ("hosted_vllm", "http://127.0.0.1:8000/v1"),
    "ollama": ("ollama_chat", "http://127.0.0.1:11434"),
    "llama.cpp": ("openai", "http://127.0.0.1:8080/v1"),
    "lm-studio": ("openai", "http://127.0.0.1:1234/v1"),
}


def config(server: str, model: str, url: str | None = None) -> LLMConfig:
    """Return the configuration of a model on a server of this machine."""
    provider, usual_url = SERVERS[server]
    return LLMConfig(
        model=f"{provider}/{model}",
        base_url=url or usual_url,
        api_key="none",  # these servers need no key; OpenAI's must not reach them
        input_cost_per_token=0.0,
        output_cost_per_token=0.0,
        max_concurrency=8,  # more are queued by the server, out of order
        timeout=600,  # seconds: a long answer on a small machine, or the first call, which loads the model
    )


async def main(server: str, model: str, question: str = "Name a colour.", url: str | None = None) -> None:
    """Stream an answer."""
    async with AsyncLLM(config(server, model, url)) as llm, llm.stream(question) as stream:
        async for chunk in stream:
            print(chunk.text, end="", flush=True)
    print()


if __name__ == "__main__":
    anyio.run(lambda: main(*sys.argv[1:]))
