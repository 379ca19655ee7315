"""Calls, streams and typed answers of real servers. `python -m benchmarks.real_servers [llama-cpp] [litellm-proxy]`.

Each server has an environment of its own under .cache/, made the first time; llama.cpp is compiled, for minutes.
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field

from asyncllm import AsyncLLM, ProviderError
from asyncllm.simulator import Simulator
from benchmarks.environments import CACHE, install, python_of
from benchmarks.real_servers.running import running


class Person(BaseModel):
    name: str
    age: int = Field(ge=0, le=200)


class Modes(logging.Handler):
    """Keeps the modes that were refused."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.refused: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the mode of an event."""
        if getattr(record, "event", "") == "call.mode_refused":
            self.refused.append(getattr(record, "fields", {})["mode"])


def llama_cpp(folder: Path) -> None:
    """Check a llama.cpp server with a model of random weights."""
    model, python = folder / "tiny.gguf", python_of("llama-cpp")
    subprocess.run((python, Path(__file__).with_name("tiny_model.py"), model), check=True)
    command = (python, "-m", "llama_cpp.server", "--model", str(model), "--n_ctx", "4096")
    with running(command, folder / "log") as url:
        # A name that litellm's map does not have, and that of a model that follows schemas.
        for name in ("a-local-model", "gpt-4o-mini"):
            asyncio.run(_llama_cpp_serves(name, f"{url}/v1"))


async def _llama_cpp_serves(name: str, url: str) -> None:
    modes = Modes()
    logging.getLogger("asyncllm").addHandler(modes)
    options: dict[str, Any] = {"api_key": "none", "temperature": 0, "max_output_tokens": 400}
    async with AsyncLLM(model=f"openai/{name}", base_url=url, **options) as llm:
        for _ in range(2):
            extraction = await llm.extract_with_completion(Person, "Ann is 36.")
            attempts = len(extraction.completion.record.attempts)
            _done(f"extract from {name}", f"{extraction.value!r}, {attempts} requests, refused so far: {modes.refused}")
        async with llm.stream_partial(Person, "Ann is 36.") as partials:
            _done("stream_partial", repr(await partials.final()))
        _done("acompletion", repr((await llm.acompletion("Hi", max_tokens=20)).text))
        async with llm.stream("Hi", max_tokens=20) as stream:
            _done("stream", f"{len([chunk async for chunk in stream])} chunks")
        try:
            await llm.extract(Person, "Ann is 36.", structured_mode="json_schema")
        except ProviderError as error:
            _done("json_schema by hand", f"HTTP {error.status_code}: {error.hint}")
    logging.getLogger("asyncllm").removeHandler(modes)


def litellm_proxy(folder: Path) -> None:
    """Check a LiteLLM proxy in front of the simulator."""
    with Simulator() as simulator:
        served = {"model": "openai/gpt-4o-mini", "api_base": simulator.url, "api_key": "any"}
        config = folder / "config.yaml"
        config.write_text(json.dumps({"model_list": [{"model_name": "gpt-4o-mini", "litellm_params": served}]}))
        command = (str(CACHE / "litellm-proxy" / "bin" / "litellm"), "--config", str(config))
        key = f"sk-{secrets.token_hex(16)}"
        variables = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_MASTER_KEY": key}
        with running(command, folder / "log", **variables) as url:
            for model in ("litellm_proxy/gpt-4o-mini", "openai/gpt-4o-mini"):
                asyncio.run(_proxy_serves(model, url, key))


async def _proxy_serves(model: str, url: str, key: str) -> None:
    async with AsyncLLM(model=model, base_url=url, api_key=key) as llm:
        completion = await llm.acompletion("Name a colour.")
        _done(f"acompletion by {model}", f"{completion.text[:30]!r}, {completion.usage.total_tokens} tokens")
        streamed = await llm.stream("Name a colour.").collect()
        _done("stream", f"{streamed.text[:30]!r}, {streamed.usage.total_tokens} tokens")
        _done("extract", repr(await llm.extract(Person, "Ann is 36.")))
        _done("extract by tools", repr(await llm.extract(Person, "Ann is 36.", structured_mode="tools")))
        async with llm.stream_partial(Person, "Ann is 36.") as partials:
            _done("stream_partial", repr(await partials.final()))
        async with llm.stream_items(Person, "Ann is 36, Bob is 7.") as items:
            _done("stream_items", repr([item async for item in items]))


SERVERS: dict[str, Callable[[Path], None]] = {"llama-cpp": llama_cpp, "litellm-proxy": litellm_proxy}


def _done(what: str, result: str) -> None:
    print(f"  {what}: {result}", flush=True)


def main(names: list[str]) -> None:
    """Check servers; an error ends it."""
    for name in names or SERVERS:
        install(name)
        print(name)
        with tempfile.TemporaryDirectory() as folder:
            SERVERS[name](Path(folder))


if __name__ == "__main__":
    main(sys.argv[1:])
