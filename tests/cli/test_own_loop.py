"""The loop of commands: uvloop's where it is installed."""

from __future__ import annotations

import asyncio
from importlib.util import find_spec

import pytest

from asyncllm import LLM
from asyncllm.cli.terminal import own_loop
from asyncllm.simulator import Simulator
from tests.cli.conftest import Run


async def module_of_loop() -> str:
    """Return the package of the running loop."""
    return type(asyncio.get_running_loop()).__module__.partition(".")[0]


@pytest.mark.skipif(find_spec("uvloop") is None, reason="uvloop is not installed")
def test_uvloop_is_used_where_it_is_installed(run: Run, simulator: Simulator) -> None:
    """Commands run on it; the loop of the program is left alone, and so is that of blocking clients."""
    assert own_loop.run(module_of_loop) == "uvloop"
    assert run("ask", "hi", "--model", "openai/a", "--set", f"base_url={simulator.url}", "--set", "api_key=k").code == 0
    with LLM(model="openai/a", base_url=simulator.url, api_key="k") as llm:
        assert llm._loop.run(module_of_loop) == "asyncio"
    assert asyncio.run(module_of_loop()) == "asyncio"


def test_asyncios_loop_is_used_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra is not needed."""
    monkeypatch.setattr(own_loop, "find_spec", lambda name: None)
    assert own_loop.run(module_of_loop) == "asyncio"
