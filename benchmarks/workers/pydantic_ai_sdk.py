"""pydantic-ai's Agent over its OpenAI chat model."""

from __future__ import annotations

from openai import AsyncOpenAI
from pydantic import BaseModel
from pydantic_ai import Agent  # type: ignore[import-not-found,unused-ignore]
from pydantic_ai.models.openai import OpenAIChatModel  # type: ignore[import-not-found,unused-ignore]
from pydantic_ai.providers.openai import OpenAIProvider  # type: ignore[import-not-found,unused-ignore]

from benchmarks.exchange import API_KEY, DESCRIBE, HELLO, MODEL
from benchmarks.worker import Answer, OnText, serve


class Contact(BaseModel):
    name: str
    email: str


class PydanticAI:
    """Runs one shared agent for text and one for contacts."""

    def __init__(self, url: str) -> None:
        self._openai = AsyncOpenAI(base_url=url, api_key=API_KEY)
        model = OpenAIChatModel(MODEL, provider=OpenAIProvider(openai_client=self._openai))
        self._agent = Agent(model)
        self._typed = Agent(model, output_type=Contact)

    async def plain(self) -> Answer:
        r = await self._agent.run(HELLO)
        return Answer(r.output, r.usage.total_tokens)

    async def typed(self) -> tuple[str, str]:
        contact = (await self._typed.run(DESCRIBE)).output
        return contact.name, contact.email

    async def stream(self, prompt: str, on_text: OnText) -> int:
        async with self._agent.run_stream(prompt) as result:
            async for text in result.stream_text(delta=True, debounce_by=None):
                on_text(text)
            tokens: int = result.usage.total_tokens
            return tokens

    async def aclose(self) -> None:
        await self._openai.close()


if __name__ == "__main__":
    serve(PydanticAI)  # type: ignore[arg-type]  # it is not asked for the rest
