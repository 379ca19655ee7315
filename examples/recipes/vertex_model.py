"""A model of Vertex AI; needs `pip install google-auth`.

GOOGLE_APPLICATION_CREDENTIALS=... python examples/recipes/vertex_model.py PROJECT [LOCATION] [QUESTION]
"""

from __future__ import annotations

import os
import sys

import anyio

from asyncllm import AsyncLLM


async def main(project: str, location: str = "europe-west1", question: str = "Name a colour.") -> None:
    """Ask, and print the answer with its usage."""
    # litellm reads the project and the location from the environment, and credentials from where Google's libraries do.
    os.environ.update(VERTEXAI_PROJECT=project, VERTEXAI_LOCATION=location)
    async with AsyncLLM(model="vertex_ai/gemini-2.5-flash", max_output_tokens=1_000) as llm:
        await llm.warm_up()  # imports litellm, which takes seconds
        answer = await llm.acompletion(question)
    print(answer.text)
    print(f"{answer.usage.total_tokens} tokens over {answer.record.transport}", file=sys.stderr)


if __name__ == "__main__":
    anyio.run(lambda: main(*sys.argv[1:]))
