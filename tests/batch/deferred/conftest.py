"""Clients of the simulator's batches, in each format."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from asyncllm import AsyncLLM
from asyncllm.batch.deferred import run as deferred_run
from asyncllm.simulator import Simulator

POLL_S = 0.001


@pytest.fixture(autouse=True)
def settled_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the simulator's list of batches to be up to date at once."""
    monkeypatch.setattr(deferred_run, "SETTLE_S", 0.0)


def options_of(provider: str, simulator: Simulator, key: str) -> dict[str, Any]:
    """Return the options of a client of the simulator in a provider's format."""
    models = {
        "openai": "openai/gpt-4o-mini",
        "azure": "azure/gpt-4o-mini",
        "anthropic": "anthropic/claude-sonnet-4-5",
        "mistral": "mistral/mistral-small-latest",
        "gemini": "gemini/gemini-2.5-flash",
    }
    options = {"model": models[provider], "api_key": key, "retry_min_wait": 0.001, "retry_max_wait": 0.002}
    paths = {"openai": "/v1", "mistral": "/v1", "gemini": "/v1beta"}
    options["base_url"] = f"{simulator.root_url}{paths.get(provider, '')}"
    return options


def is_live(path: str) -> bool:
    """Return whether a path is that of a live request."""
    return path.partition("?")[0].endswith(("/chat/completions", "/messages", ":generateContent"))


@pytest.fixture(params=["openai", "azure", "anthropic", "gemini", "mistral"])
def provider(request: pytest.FixtureRequest) -> str:
    """The provider whose format is spoken."""
    name: str = request.param
    return name


@pytest.fixture
async def llm(provider: str, simulator: Simulator, secret_key: str, anyio_backend: str) -> AsyncIterator[AsyncLLM]:
    """A client of the simulator, in each format."""
    async with AsyncLLM(**options_of(provider, simulator, secret_key)) as client:
        yield client
