"""Fixtures of the wire's tests: litellm imported once, and OpenAI's own variables out of the way."""

from __future__ import annotations

import logging

import hypothesis  # noqa: F401  # before trio, whose random source it otherwise warns of at the end of the run
import pytest

from asyncllm.transports.litellm.importing import import_litellm
from asyncllm.transports.wire import connections


def pytest_configure(config: pytest.Config) -> None:
    """Ignore litellm's warnings about its own code."""
    config.addinivalue_line("filterwarnings", "ignore::DeprecationWarning:litellm")
    config.addinivalue_line("filterwarnings", "ignore:Item .* on TypedDict class:UserWarning")


@pytest.fixture(scope="session")
def litellm_imported() -> None:
    """Import litellm once, outside of every test's time limit.

    It and OpenAI's SDK write several log records for a call, which pytest would keep for each of thousands; and the SDK
    writes Azure's key into one of its own, at DEBUG.
    """
    import_litellm()
    for name in ("LiteLLM", "openai", "httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.ERROR)


@pytest.fixture(params=["direct", "session"])
def exchange(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Send requests on connections of the pool, and then by aiohttp's session, as with a release that is not known."""
    name: str = request.param
    if name == "session":
        monkeypatch.setattr(connections, "is_supported", lambda: False)
    return name
