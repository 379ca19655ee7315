"""instructor over the anthropic SDK."""

from __future__ import annotations

from typing import Any

import instructor
from anthropic import AsyncAnthropic  # type: ignore[import-not-found,unused-ignore]
from pydantic import BaseModel

from benchmarks.exchange import API_KEY, CLAUDE_MAX_TOKENS, CLAUDE_MODEL, DESCRIBE
from benchmarks.worker import serve


class Contact(BaseModel):
    name: str
    email: str


class InstructorAnthropic:
    """Calls `create` of one shared client, in its default mode."""

    def __init__(self, url: str) -> None:
        self._anthropic = AsyncAnthropic(base_url=url.removesuffix("/v1"), api_key=API_KEY)
        self._client: Any = instructor.from_anthropic(self._anthropic)

    async def typed(self) -> tuple[str, str]:
        contact: Contact = await self._client.create(
            model=CLAUDE_MODEL,
            max_tokens=CLAUDE_MAX_TOKENS,
            messages=[{"role": "user", "content": DESCRIBE}],
            response_model=Contact,
        )
        return contact.name, contact.email

    async def aclose(self) -> None:
        await self._anthropic.close()


if __name__ == "__main__":
    serve(InstructorAnthropic)  # type: ignore[arg-type]  # it is not asked for the rest
