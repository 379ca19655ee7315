"""asyncllm, over either transport and on either backend: `python -m benchmarks.workers.asyncllm_sdk wire trio`."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from pydantic import BaseModel

from asyncllm import AsyncLLM, LLMConfig
from asyncllm.config.options import Options
from benchmarks.exchange import (
    API_KEY,
    CLAUDE_MODEL,
    DESCRIBE,
    GEMINI_MODEL,
    HELLO,
    MAX_TOKENS,
    MODEL,
    REASONING_MODEL,
)
from benchmarks.worker import Answer, Job, OnText, serve

# A thousand streams at once: time spent waiting for a slot would be measured, too.
_PLACES = 2000


class Contact(BaseModel):
    name: str
    email: str


# The model of each format, and where its API begins below the provider's address.
_FORMATS = {
    "openai": (f"openai/{MODEL}", "/v1"),
    "claude": (f"anthropic/{CLAUDE_MODEL}", ""),
    "gemini": (f"gemini/{GEMINI_MODEL}", "/v1beta"),
}


class Asyncllm:
    """Calls one shared client for each model."""

    def __init__(self, url: str, transport: str, format: str) -> None:
        model, path = _FORMATS[format]
        options: Options = {
            "base_url": f"{url.removesuffix('/v1')}{path}",
            "api_key": API_KEY,
            "max_concurrency": _PLACES,
            "transport": transport,  # type: ignore[typeddict-item]  # one of the names, from the command line
        }
        self._llm = AsyncLLM(LLMConfig(model=model), **options)
        self._reasoning = AsyncLLM(LLMConfig(model=f"openai/{REASONING_MODEL}"), **options)

    async def warm_up(self) -> None:
        await self._llm.warm_up()

    async def plain(self) -> Answer:
        r = await self._llm.acompletion(HELLO)
        return Answer(r.text, r.usage.total_tokens or 0)

    async def reasoning(self) -> Answer:
        r = await self._reasoning.acompletion(HELLO, max_tokens=MAX_TOKENS)
        return Answer(r.text, r.usage.total_tokens or 0)

    async def typed(self) -> tuple[str, str]:
        contact = await self._llm.extract(Contact, DESCRIBE)
        return contact.name, contact.email

    async def stream(self, prompt: str, on_text: OnText) -> int:
        async with self._llm.stream(prompt) as stream:
            async for chunk in stream:
                if chunk.text:
                    on_text(chunk.text)
        return stream.completion.usage.total_tokens or 0

    async def aclose(self) -> None:
        await self._llm.aclose()
        await self._reasoning.aclose()


class TrioLoop:
    """A trio loop for each command."""

    def run(self, job: Callable[[], Awaitable[Any]]) -> Any:
        import trio

        return trio.run(job)

    async def together(self, jobs: Sequence[Job]) -> None:
        import trio

        async with trio.open_nursery() as nursery:
            for job in jobs:
                nursery.start_soon(job)


def main(transport: str = "wire", backend: str = "asyncio", format: str = "openai") -> None:
    """Serve with a transport, on a backend, in a provider's format."""
    serve(lambda url: Asyncllm(url, transport, format), TrioLoop() if backend == "trio" else None)


if __name__ == "__main__":
    main(*sys.argv[1:])
