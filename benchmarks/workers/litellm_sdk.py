"""litellm's acompletion."""

from __future__ import annotations

import sys

from litellm import acompletion

from benchmarks.exchange import API_KEY, CLAUDE_MODEL, GEMINI_MODEL, HELLO, MAX_TOKENS, MODEL, REASONING_MODEL
from benchmarks.worker import Answer, OnText, serve

# The model of each format, and where litellm takes its API to be.
_FORMATS = {
    "openai": (f"openai/{MODEL}", "/v1"),
    "claude": (f"anthropic/{CLAUDE_MODEL}", ""),
    "gemini": (f"gemini/{GEMINI_MODEL}", "/v1beta"),
}


class Litellm:
    """Calls the function; litellm shares the connections itself."""

    def __init__(self, url: str, format: str) -> None:
        self._model, path = _FORMATS[format]
        self._url = f"{url.removesuffix('/v1')}{path}"

    async def plain(self) -> Answer:
        r = await acompletion(
            model=self._model,
            messages=[{"role": "user", "content": HELLO}],
            api_base=self._url,
            api_key=API_KEY,
        )
        return Answer(r.choices[0].message.content, r.usage.total_tokens)

    async def reasoning(self) -> Answer:
        r = await acompletion(
            model=f"openai/{REASONING_MODEL}",
            messages=[{"role": "user", "content": HELLO}],
            max_tokens=MAX_TOKENS,
            api_base=self._url,
            api_key=API_KEY,
        )
        return Answer(r.choices[0].message.content, r.usage.total_tokens)

    async def stream(self, prompt: str, on_text: OnText) -> int:
        tokens = 0
        stream = await acompletion(
            model=self._model,
            messages=[{"role": "user", "content": prompt}],
            stream=True,
            stream_options={"include_usage": True},
            api_base=self._url,
            api_key=API_KEY,
        )
        async for chunk in stream:
            if chunk.choices and (text := chunk.choices[0].delta.content):
                on_text(text)
            if usage := getattr(chunk, "usage", None):
                tokens = usage.total_tokens
        return tokens

    async def aclose(self) -> None:
        """Nothing: its connections stay for the next client, as it wants it."""


if __name__ == "__main__":
    chosen = sys.argv[1] if len(sys.argv) > 1 else "openai"
    serve(lambda url: Litellm(url, chosen))  # type: ignore[arg-type,return-value]  # it is not asked for the rest
