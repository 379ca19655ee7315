"""A client of the simulator over the wire, and the path of a journal."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from asyncllm import AsyncLLM
from asyncllm.simulator import Simulator


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The path of a journal."""
    return tmp_path / "batch.journal"


@pytest.fixture
def options(simulator: Simulator, secret_key: str) -> dict[str, Any]:
    """The options of a client of the simulator, with waits that no test notices."""
    return {
        "model": "openai/gpt-4o-mini",
        "base_url": simulator.url,
        "api_key": secret_key,
        "retry_min_wait": 0.001,
        "retry_max_wait": 0.002,
    }


@pytest.fixture
async def llm(options: dict[str, Any], anyio_backend: str) -> AsyncIterator[AsyncLLM]:
    """A client of the simulator."""
    async with AsyncLLM(**options) as client:
        yield client
