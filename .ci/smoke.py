"""A call, a stream, a typed answer, a batch and the commands, on the simulator: what an installed wheel must be able to do."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import anyio
from pydantic import BaseModel

import asyncllm
from asyncllm import LLM, AsyncLLM, ExtractionError, Request, ServerError
from asyncllm.testing import Fault, simulated_provider


class Person(BaseModel):
    """What is extracted."""

    name: str
    email: str


async def use(transport: str) -> None:
    """Use everything once, by one transport."""
    with simulated_provider() as provider:
        options = {"base_url": provider.url, "api_key": "any", "transport": transport}
        async with AsyncLLM(model="openai/gpt-5-mini", **options) as llm:
            answer = await llm.acompletion("Name a colour.")
            assert answer.text
            assert answer.record.transport == transport, answer.record.transport
            async with llm.stream("Tell me a story.") as story:
                assert "".join([chunk.text async for chunk in story]) == story.completion.text
            for mode in ("tools", "json_schema", "json", "md_json"):
                person = await llm.extract(Person, "Write to Ada, ada@example.org.", structured_mode=mode)
                assert type(person) is Person
            try:
                await llm.extract(Person, "x", max_reasks=1, extra_body={"simulator": {"text": "no"}})
            except ExtractionError as error:
                assert len(error.attempts) == 2
            with tempfile.TemporaryDirectory() as folder:
                requests = [Request(f"Count to {number}.", id=str(number)) for number in range(20)]
                for _ in range(2):
                    outcomes = await llm.gather(requests, journal=f"{folder}/smoke.journal")
                    assert all(outcome.ok for outcome in outcomes)
            assert llm.stats().calls < 60
    with simulated_provider(faults=[Fault("status", code=503)]) as provider:
        options = {"base_url": provider.url, "api_key": "any", "transport": transport, "num_retries": 0}
        async with AsyncLLM(model="openai/gpt-5-mini", **options) as llm:
            try:
                await llm.acompletion("Name a colour.")
            except ServerError as error:
                assert error.status_code == 503


def run(*arguments: str, **options: str) -> str:
    """Run the program, and return what it says."""
    return subprocess.run([sys.executable, "-m", "asyncllm", *arguments], check=True, capture_output=True, text=True, **options).stdout


def commands() -> None:
    """Run commands in an empty folder."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "config.toml").write_text('[llm]\nmodel = "simulated/demo"\n', encoding="utf-8")
        Path(folder, "rows.csv").write_text("word\nred\nblue\n", encoding="utf-8")
        assert asyncllm.__version__ in run("--version", cwd=folder)
        assert "imulated" in run("ask", "Name a colour.", cwd=folder)
        run("batch", "rows.csv", "-o", "out.jsonl", "-t", "Translate {word}.", cwd=folder)
        assert Path(folder, "out.jsonl").read_text(encoding="utf-8").count("\n") == 2
        for quiet in (["profiles"], ["doctor", "--offline"], ["schema"], ["extract", "--help"]):
            assert run(*quiet, cwd=folder)


if __name__ == "__main__":
    assert "site-packages" in asyncllm.__file__, asyncllm.__file__
    for each in ("wire", "litellm"):
        anyio.run(use, each)
    with LLM(model="simulated/demo") as blocking:
        assert blocking.completion("Name a colour.").text
    commands()
    names = ("litellm", "aiohttp", "anyio", "pydantic", "instructor", "openai", "httpx", "typer", "rich", "structlog")
    print(", ".join(f"{name} {version(name)}" for name in names))
