"""The loop of commands and blocking calls: uvloop's where it is installed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from importlib.util import find_spec
from typing import Any

import pytest

from asyncllm import LLM, own_loop
from asyncllm.simulator import Simulator
from asyncllm.sync import loop_thread
from asyncllm.sync.loop_thread import ThreadLoop

needs_uvloop = pytest.mark.skipif(find_spec("uvloop") is None, reason="uvloop is not installed")


async def module_of_loop() -> str:
    """Return the package of the running loop."""
    return type(asyncio.get_running_loop()).__module__.partition(".")[0]


async def nothing() -> None:
    pass


def on_thread(main: Callable[[], Coroutine[Any, Any, str]]) -> str:
    loop = ThreadLoop(nothing)
    try:
        return loop.run(main)
    finally:
        loop.close()


async def from_a_loop() -> str:
    return loop_thread.run(module_of_loop)


def inside_a_loop(main: Callable[[], Coroutine[Any, Any, str]]) -> str:
    """Run on a thread of its own, as a blocking call in a program that runs a loop has to."""
    return asyncio.run(from_a_loop())


WAYS = pytest.mark.parametrize("run", [own_loop.run, loop_thread.run, on_thread, inside_a_loop])


@needs_uvloop
@WAYS
def test_uvloop_is_used_where_it_is_installed(run: Callable[..., str]) -> None:
    """A command, a one-off call, a client and a call inside of another loop all run on it."""
    assert run(module_of_loop) == "uvloop"


@WAYS
def test_asyncios_loop_is_used_without_it(run: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra is not needed."""
    monkeypatch.setattr(own_loop, "find_spec", lambda name: None)
    assert run(module_of_loop) == "asyncio"


@needs_uvloop
def test_calls_and_streams_work_on_it(simulator: Simulator) -> None:
    """A blocking client answers and streams, and leaves the loop of the program alone."""
    with LLM(model="openai/gpt-4o-mini", base_url=simulator.url, api_key="sk-test", transport="wire") as llm:
        assert llm.completion("hi").text
        assert llm.stream("hi").collect().text
    assert asyncio.run(module_of_loop()) == "asyncio"
