"""A transport that answers without a provider, for measuring everything else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio

from asyncllm import AsyncLLM
from asyncllm.transports.base import Answer, Call, Connection

_TEXT = "The capital is a city of two million people on a wide river, and has been one for nine hundred years. " * 2


class NoopTransport:
    """Answers every call after a moment.

    Args:
        seconds: How long an answer takes; 0 for one turn of the loop.
        straggler: A text in the prompt of the call that takes `straggler_s`.
        straggler_s: Seconds.
    """

    name = "wire"

    def __init__(self, seconds: float = 0.0, straggler: str | None = None, straggler_s: float = 0.0) -> None:
        self._seconds = seconds
        self._straggler = straggler
        self._straggler_s = straggler_s

    async def complete(self, call: Call) -> Answer:
        """Answer."""
        if self._straggler is not None and call.messages[-1]["content"] == self._straggler:
            await anyio.sleep(self._straggler_s)
        await anyio.sleep(self._seconds)
        return Answer(_answer(), {})

    async def open_stream(self, call: Call) -> Any:
        """Refuse: nothing here streams."""
        raise NotImplementedError

    async def warm_up(self, connection: Connection) -> None:
        """Do nothing."""

    async def aclose(self) -> None:
        """Do nothing."""

    def drop(self) -> None:
        """Do nothing."""


@asynccontextmanager
async def noop_client(slots: int, transport: NoopTransport) -> AsyncIterator[AsyncLLM]:
    """A client whose calls go nowhere."""
    url = "http://127.0.0.1:9/v1"
    async with AsyncLLM(model="openai/gpt-4o-mini", base_url=url, api_key="none", max_concurrency=slots) as llm:
        llm._shared._transports["wire"] = transport
        await llm.acompletion("the first call makes what the others share")
        yield llm


def prompt(number: int) -> str:
    """Return the prompt of an item: of the length that a row of a table makes."""
    return f"What is the capital of country number {number}? Answer in a sentence or two, with a few details, please."


def _answer() -> dict[str, Any]:
    message = {"role": "assistant", "content": _TEXT}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1735689600,
        "model": "gpt-4o-mini",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 30, "completion_tokens": 50, "total_tokens": 80},
    }
