"""Clients, a tool, a type and a first call in a process of its own, for the tests of Claude and of Gemini."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from asyncllm import AsyncLLM
from asyncllm.simulator import Simulator
from tests.support.secrets import SECRET

TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
CALLING = {"simulator": {"reasoning": "I need the weather.", "tool_calls": [{"name": "get_weather", "arguments": {}}]}}

# For the longer grids: formats neither send nor wait, and the rest of the client is shown on both backends elsewhere.
asyncio_alone = pytest.mark.parametrize("anyio_backend", ["asyncio"])

_FIRST_CALL = """
import sys
import anyio
from asyncllm import AsyncLLM

async def main():
    async with AsyncLLM(model=sys.argv[1], base_url=sys.argv[2], api_key="k") as llm:
        plain = await llm.acompletion("hi")
        streamed = await llm.stream("hi", reasoning_effort="low").collect()
    print(plain.record.transport, streamed.record.transport, bool(plain.cost_usd), bool(streamed.reasoning))
    sdks = ("litellm", "openai", "anthropic", "google", "httpx")
    print([name for name in sys.modules if name.partition(".")[0] in sdks])

anyio.run(main)
"""


class City(BaseModel):
    """A city."""

    name: str
    country: str | None = None


def format_client(simulator: Simulator, model: str, **options: Any) -> AsyncLLM:
    """Make a client of a model, with its provider, that takes the wire or nothing."""
    return AsyncLLM(
        model=model, base_url=simulator.root_url, api_key=SECRET, transport="wire", num_retries=0, **options
    )


async def ask(llm: AsyncLLM, messages: list[Any], *, stream: bool, **params: Any) -> Any:
    """Return the answer of a plain call, or that of a stream."""
    if stream:
        return await llm.stream(messages, **params).collect()
    return await llm.acompletion(messages, **params)


def first_call(simulator: Simulator, model: str, folder: Path) -> str:
    """Return what a process says that calls and streams: the transports, and the modules of SDKs that it imported."""
    return subprocess.run(
        [sys.executable, "-c", _FIRST_CALL, model, simulator.root_url],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": f"{Path(__file__).parents[3]}:{os.environ.get('PYTHONPATH', '')}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout
