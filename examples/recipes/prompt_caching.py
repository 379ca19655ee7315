"""Claude's prompt cache: a long document that is paid for once, and questions about it.

python examples/recipes/prompt_caching.py DOCUMENT QUESTION...
"""

from __future__ import annotations

import sys

import anyio

from asyncllm import AsyncLLM, Message, Text


async def main(document: str, *questions: str) -> None:
    """Answer questions about a document, and print what the cache saved."""
    text = await anyio.Path(document).read_text(encoding="utf-8")
    marked = Text(text, cache_control={"type": "ephemeral"})
    system = Message("system", [Text("Answer from this document alone."), marked])
    async with AsyncLLM() as llm:
        # One after the other: an entry can be read when the answer that wrote it has begun.
        for question in questions:
            answer = await llm.acompletion([system, Message.user(question)])
            usage = answer.usage
            print(answer.text)
            print(
                f"{usage.input_tokens} tokens in: {usage.cache_write_tokens or 0} written to the cache, "
                f"{usage.cached_tokens or 0} read from it; ${answer.cost_usd or 0:.5f}",
                file=sys.stderr,
            )


if __name__ == "__main__":
    anyio.run(lambda: main(*sys.argv[1:]))
