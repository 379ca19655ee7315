"""instructor over litellm's acompletion."""

from __future__ import annotations

from typing import Any

import instructor
from litellm import acompletion
from pydantic import BaseModel

from benchmarks.exchange import API_KEY, DESCRIBE, MODEL
from benchmarks.worker import serve


class Contact(BaseModel):
    name: str
    email: str


class Instructor:
    """Calls `create` of one shared client, in its default mode."""

    def __init__(self, url: str) -> None:
        # It is typed as for a synchronous function.
        self._client: Any = instructor.from_litellm(acompletion)
        self._url = url

    async def typed(self) -> tuple[str, str]:
        contact: Contact = await self._client.create(
            model=f"openai/{MODEL}",
            messages=[{"role": "user", "content": DESCRIBE}],
            response_model=Contact,
            api_base=self._url,
            api_key=API_KEY,
        )
        return contact.name, contact.email

    async def aclose(self) -> None:
        """Nothing: its connections are litellm's."""


if __name__ == "__main__":
    serve(Instructor)  # type: ignore[arg-type]  # it is not asked for the rest
