"""langchain-openai's ChatOpenAI."""

from __future__ import annotations

from langchain_openai import ChatOpenAI  # type: ignore[import-not-found,unused-ignore]
from pydantic import BaseModel

from benchmarks.exchange import API_KEY, DESCRIBE, HELLO, MODEL
from benchmarks.worker import Answer, OnText, serve


class Contact(BaseModel):
    name: str
    email: str


class LangChain:
    """Calls one shared chat model, and the same one with structured output."""

    def __init__(self, url: str) -> None:
        self._chat = ChatOpenAI(model=MODEL, base_url=url, api_key=API_KEY, stream_usage=True)
        self._typed = self._chat.with_structured_output(Contact)

    async def plain(self) -> Answer:
        r = await self._chat.ainvoke(HELLO)
        return Answer(r.content, r.usage_metadata["total_tokens"])

    async def typed(self) -> tuple[str, str]:
        contact = await self._typed.ainvoke(DESCRIBE)
        return contact.name, contact.email

    async def stream(self, prompt: str, on_text: OnText) -> int:
        tokens = 0
        async for chunk in self._chat.astream(prompt):
            if chunk.content:
                on_text(chunk.content)
            if chunk.usage_metadata:
                tokens = chunk.usage_metadata["total_tokens"]
        return tokens

    async def aclose(self) -> None:
        """Nothing: its connections stay, and the next client shares them."""


if __name__ == "__main__":
    serve(LangChain)  # type: ignore[arg-type]  # it is not asked for the rest
