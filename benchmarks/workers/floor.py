"""aiohttp and json, with nothing between: what any client must spend."""

from __future__ import annotations

import json

import aiohttp

from benchmarks.exchange import API_KEY, HELLO, MODEL
from benchmarks.worker import Answer, OnText, serve


class Floor:
    """Posts and decodes."""

    def __init__(self, url: str) -> None:
        self._url = f"{url}/chat/completions"
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            timeout=aiohttp.ClientTimeout(total=None),
            headers={"Authorization": f"Bearer {API_KEY}"},
        )

    async def plain(self) -> Answer:
        body = {"model": MODEL, "messages": [{"role": "user", "content": HELLO}]}
        async with self._session.post(self._url, json=body) as response:
            response.raise_for_status()
            data = await response.json()
        return Answer(data["choices"][0]["message"]["content"], data["usage"]["total_tokens"])

    async def stream(self, prompt: str, on_text: OnText) -> int:
        body = {
            "model": MODEL,
            "messages": [{"role": "user", "content": prompt}],
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        tokens = 0
        async with self._session.post(self._url, json=body) as response:
            response.raise_for_status()
            async for line in response.content:
                if not line.startswith(b"data: ") or line == b"data: [DONE]\n":
                    continue
                chunk = json.loads(line[6:])
                if chunk["choices"] and (text := chunk["choices"][0]["delta"].get("content")):
                    on_text(text)
                if chunk["usage"]:
                    tokens = chunk["usage"]["total_tokens"]
        return tokens

    async def aclose(self) -> None:
        await self._session.close()


if __name__ == "__main__":
    serve(Floor)  # type: ignore[arg-type]  # it is not asked for the rest
