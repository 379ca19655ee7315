"""google-genai, as its README shows it."""

from __future__ import annotations

from google import genai  # type: ignore[import-not-found,import-untyped,attr-defined,unused-ignore]
from google.genai.types import HttpOptions  # type: ignore[import-not-found,import-untyped,unused-ignore]

from benchmarks.exchange import API_KEY, GEMINI_MODEL, HELLO
from benchmarks.worker import Answer, OnText, serve


class GoogleGenAI:
    """Calls `aio.models` of one shared client."""

    def __init__(self, url: str) -> None:
        options = HttpOptions(base_url=url.removesuffix("/v1"), api_version="v1beta")
        self._client = genai.Client(api_key=API_KEY, http_options=options)

    async def plain(self) -> Answer:
        r = await self._client.aio.models.generate_content(model=GEMINI_MODEL, contents=HELLO)
        return Answer(r.text, r.usage_metadata.total_token_count)

    async def stream(self, prompt: str, on_text: OnText) -> int:
        tokens = 0
        async for chunk in await self._client.aio.models.generate_content_stream(model=GEMINI_MODEL, contents=prompt):
            if chunk.text:
                on_text(chunk.text)
            tokens = chunk.usage_metadata.total_token_count
        return tokens

    async def aclose(self) -> None:
        await self._client.aio.aclose()


if __name__ == "__main__":
    serve(GoogleGenAI)  # type: ignore[arg-type]  # it is not asked for the rest
