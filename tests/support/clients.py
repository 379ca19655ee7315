"""A client of the simulator, over each transport, and what the tests of the core share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from asyncllm import AsyncLLM
from asyncllm.config.options import Options
from asyncllm.simulator import Simulator
from asyncllm.transports.litellm.importing import import_litellm
from tests.support.secrets import SECRET

# The ways to a model: `auto` takes the wire for a custom endpoint of OpenAI's format, and for Claude.
TRANSPORTS: dict[str, Options] = {
    "litellm": {"transport": "litellm"},
    "wire": {"transport": "auto"},
    "claude": {"transport": "wire", "model": "anthropic/claude-sonnet-4-5"},
}


def pytest_configure(config: pytest.Config) -> None:
    """Ignore litellm's warnings about its own code."""
    config.addinivalue_line("filterwarnings", "ignore::DeprecationWarning:litellm")
    config.addinivalue_line("filterwarnings", "ignore:Item .* on TypedDict class:UserWarning")


@pytest.fixture(scope="session", autouse=True)
def libraries_imported() -> None:
    """Import what takes seconds once, outside of every test's time limit."""
    import_litellm()
    with Simulator() as running:
        anyio.run(_first_calls, running.url)  # litellm loads a good part of itself with its first call and stream
    from instructor.v2.core.providers import Provider
    from instructor.v2.core.registry import mode_registry

    mode_registry.get_modes_for_provider(Provider.OPENAI)


async def _first_calls(url: str) -> None:
    async with AsyncLLM(model="openai/gpt-4o-mini", base_url=url, api_key=SECRET, transport="litellm") as client:
        await client.acompletion("hi")
        await client.stream("hi").collect()


@pytest.fixture(params=list(TRANSPORTS))
def transport(request: pytest.FixtureRequest) -> str:
    """Run a test over both transports."""
    name: str = request.param
    return name


@pytest.fixture
def options(simulator: Simulator, transport: str) -> dict[str, Any]:
    """The options of a client of the simulator, with waits that no test notices."""
    return {
        "model": "openai/gpt-4o-mini",
        "base_url": simulator.root_url if transport == "claude" else simulator.url,
        "api_key": SECRET,
        "retry_min_wait": 0.001,
        "retry_max_wait": 0.002,
        **TRANSPORTS[transport],
    }


@pytest.fixture
async def llm(options: dict[str, Any], anyio_backend: str) -> AsyncIterator[AsyncLLM]:
    """A client of the simulator."""
    async with AsyncLLM(**options) as client:
        yield client
