"""What an installed wheel must be able to do: calls, streams, typed answers, batches and commands, on the simulator."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Awaitable
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, TypeVar

import anyio
from pydantic import BaseModel

import asyncllm
from asyncllm import LLM, AsyncLLM, ExtractionError, Request, ServerError
from asyncllm.testing import Fault, simulated_provider

E = TypeVar("E", bound=Exception)
MODES: tuple[Literal["tools", "json_schema", "json", "md_json"], ...] = ("tools", "json_schema", "json", "md_json")


class Person(BaseModel):
    """What is extracted."""

    name: str
    email: str


async def error_of(call: Awaitable[object], kind: type[E]) -> E:
    """Return the error that a call ends with."""
    try:
        await call
    except kind as error:
        return error
    raise AssertionError(f"no {kind.__name__}")


async def use(transport: str) -> None:
    """Use everything once, by one transport."""
    with simulated_provider() as provider:
        options: dict[str, Any] = {"base_url": provider.url, "api_key": "any", "transport": transport}
        async with AsyncLLM(model="openai/gpt-5-mini", **options) as llm:
            answer = await llm.acompletion("Name a colour.")
            assert answer.text
            assert answer.record.transport == transport, answer.record.transport
            async with llm.stream("Tell me a story.") as story:
                assert "".join([chunk.text async for chunk in story]) == story.completion.text
            for mode in MODES:
                person = await llm.extract(Person, "Write to Ada, ada@example.org.", structured_mode=mode)
                assert type(person) is Person
            invalid = {"simulator": {"text": "no"}}
            refused = await error_of(llm.extract(Person, "x", max_reasks=1, extra_body=invalid), ExtractionError)
            assert len(refused.attempts) == 2
            with tempfile.TemporaryDirectory() as folder:
                requests = [Request(f"Count to {number}.", id=str(number)) for number in range(20)]
                for _ in range(2):
                    outcomes = await llm.gather(requests, journal=f"{folder}/smoke.journal")
                    assert all(outcome.ok for outcome in outcomes)
            assert llm.stats().calls < 60
    with simulated_provider(faults=[Fault("status", code=503)]) as provider:
        options = {"base_url": provider.url, "api_key": "any", "transport": transport, "num_retries": 0}
        async with AsyncLLM(model="openai/gpt-5-mini", **options) as llm:
            assert (await error_of(llm.acompletion("Name a colour."), ServerError)).status_code == 503


def run(folder: str, *arguments: str) -> str:
    """Run the program in a folder, and return what it says."""
    command = [sys.executable, "-m", "asyncllm", *arguments]
    return subprocess.run(command, check=True, cwd=folder, capture_output=True, text=True).stdout


def commands() -> None:
    """Run commands in an empty folder."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "config.toml").write_text('[llm]\nmodel = "simulated/demo"\n', encoding="utf-8")
        Path(folder, "rows.csv").write_text("word\nred\nblue\n", encoding="utf-8")
        assert asyncllm.__version__ in run(folder, "--version")
        assert "imulated" in run(folder, "ask", "Name a colour.")
        run(folder, "batch", "rows.csv", "-o", "out.jsonl", "-t", "Translate {word}.")
        assert Path(folder, "out.jsonl").read_text(encoding="utf-8").count("\n") == 2
        for quiet in (["profiles"], ["doctor", "--offline"], ["schema"], ["extract", "--help"]):
            assert run(folder, *quiet)


if __name__ == "__main__":
    assert "site-packages" in str(asyncllm.__file__), asyncllm.__file__
    for each in ("wire", "litellm"):
        anyio.run(use, each)
    with LLM(model="simulated/demo") as blocking:
        assert blocking.completion("Name a colour.").text
    commands()
    names = ("litellm", "aiohttp", "anyio", "pydantic", "instructor", "openai", "httpx", "typer", "rich", "structlog")
    print(", ".join(f"{name} {version(name)}" for name in names))
