"""A client of the simulator for typed answers, over each transport."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from asyncllm import AsyncLLM
from asyncllm.config.options import Options
from asyncllm.simulator import Simulator
from asyncllm.structured.prompting import MODES, handlers
from asyncllm.transports.litellm.importing import import_litellm
from tests.support.secrets import SECRET

TRANSPORTS: dict[str, Options] = {
    "litellm": {"transport": "litellm"},
    "wire": {"transport": "wire"},
    "claude": {"transport": "wire", "model": "anthropic/claude-sonnet-4-5"},
    "gemini": {"transport": "wire", "model": "gemini/gemini-2.5-flash"},
}


def pytest_configure(config: pytest.Config) -> None:
    """Ignore litellm's warnings about its own code."""
    config.addinivalue_line("filterwarnings", "ignore::DeprecationWarning:litellm")
    config.addinivalue_line("filterwarnings", "ignore:Item .* on TypedDict class:UserWarning")


@pytest.fixture(scope="session", autouse=True)
def libraries_imported() -> None:
    """Import slow libraries once, outside of every test's time limit."""
    import_litellm()
    for mode in MODES:
        handlers(mode)


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> str:
    """Run a test in each of the four modes."""
    name: str = request.param
    return name


@pytest.fixture(params=list(TRANSPORTS))
def transport(request: pytest.FixtureRequest) -> str:
    """Run a test over both transports."""
    name: str = request.param
    return name


@pytest.fixture
def options(simulator: Simulator) -> dict[str, Any]:
    """The options of a client of the simulator, with waits too short to notice."""
    return {
        "model": "openai/gpt-4o-mini",
        "base_url": simulator.url,
        "api_key": SECRET,
        "retry_min_wait": 0.001,
        "retry_max_wait": 0.002,
    }


@pytest.fixture
async def llm(options: dict[str, Any], anyio_backend: str) -> AsyncIterator[AsyncLLM]:
    """A client of the simulator over the wire."""
    async with AsyncLLM(transport="wire", **options) as client:
        yield client


@pytest.fixture
async def either(
    options: dict[str, Any], transport: str, simulator: Simulator, anyio_backend: str
) -> AsyncIterator[AsyncLLM]:
    """A client of the simulator, over each transport, and of Claude and Gemini over the wire."""
    base_url = simulator.root_url if transport == "claude" else simulator.url
    made: dict[str, Any] = {**options, **TRANSPORTS[transport], "base_url": base_url}
    async with AsyncLLM(**made) as client:
        yield client
