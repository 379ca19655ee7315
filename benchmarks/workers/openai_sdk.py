"""The openai SDK, as its README shows it."""

from __future__ import annotations

from openai import AsyncOpenAI
from pydantic import BaseModel

from benchmarks.exchange import API_KEY, DESCRIBE, HELLO, MAX_TOKENS, MODEL, REASONING_MODEL
from benchmarks.worker import Answer, OnText, serve


class Contact(BaseModel):
    name: str
    email: str


class OpenAISDK:
    """Calls `chat.completions` of one shared client."""

    def __init__(self, url: str) -> None:
        self._client = AsyncOpenAI(base_url=url, api_key=API_KEY)

    async def plain(self) -> Answer:
        r = await self._client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": HELLO}])
        assert r.usage is not None
        return Answer(r.choices[0].message.content or "", r.usage.total_tokens)

    async def reasoning(self) -> Answer:
        r = await self._client.chat.completions.create(
            model=REASONING_MODEL,
            messages=[{"role": "user", "content": HELLO}],
            max_completion_tokens=MAX_TOKENS,
        )
        assert r.usage is not None
        return Answer(r.choices[0].message.content or "", r.usage.total_tokens)

    async def typed(self) -> tuple[str, str]:
        r = await self._client.chat.completions.parse(
            model=MODEL, messages=[{"role": "user", "content": DESCRIBE}], response_format=Contact
        )
        contact = r.choices[0].message.parsed
        assert contact is not None
        return contact.name, contact.email

    async def stream(self, prompt: str, on_text: OnText) -> int:
        tokens = 0
        stream = await self._client.chat.completions.create(
            model=MODEL,
            messages=[{"role": "user", "content": prompt}],
            stream=True,
            stream_options={"include_usage": True},
        )
        async for chunk in stream:
            if chunk.choices and (text := chunk.choices[0].delta.content):
                on_text(text)
            if chunk.usage:
                tokens = chunk.usage.total_tokens
        return tokens

    async def aclose(self) -> None:
        await self._client.close()


if __name__ == "__main__":
    serve(OpenAISDK)
