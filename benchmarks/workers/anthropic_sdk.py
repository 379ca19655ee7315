"""The anthropic SDK, as its README shows it."""

from __future__ import annotations

from anthropic import AsyncAnthropic  # type: ignore[import-not-found,unused-ignore]

from benchmarks.exchange import API_KEY, CLAUDE_MAX_TOKENS, CLAUDE_MODEL, HELLO
from benchmarks.worker import Answer, OnText, serve


class AnthropicSDK:
    """Calls `messages` of one shared client."""

    def __init__(self, url: str) -> None:
        self._client = AsyncAnthropic(base_url=url.removesuffix("/v1"), api_key=API_KEY)

    async def plain(self) -> Answer:
        r = await self._client.messages.create(
            model=CLAUDE_MODEL, max_tokens=CLAUDE_MAX_TOKENS, messages=[{"role": "user", "content": HELLO}]
        )
        return Answer(r.content[0].text, r.usage.input_tokens + r.usage.output_tokens)

    async def stream(self, prompt: str, on_text: OnText) -> int:
        messages = [{"role": "user", "content": prompt}]
        sent = received = 0
        stream = await self._client.messages.create(
            model=CLAUDE_MODEL, max_tokens=CLAUDE_MAX_TOKENS, messages=messages, stream=True
        )
        async for event in stream:
            if event.type == "content_block_delta":
                on_text(event.delta.text)
            elif event.type == "message_start":
                sent = event.message.usage.input_tokens
            elif event.type == "message_delta":
                received = event.usage.output_tokens
        return sent + received

    async def aclose(self) -> None:
        await self._client.close()


if __name__ == "__main__":
    serve(AnthropicSDK)  # type: ignore[arg-type]  # it is not asked for the rest
