"""Fixtures of every test: both backends, loopback only, a clean environment, and the checks for leaks and secrets."""

from __future__ import annotations

import gc
import os
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING

import hypothesis  # before trio, whose random generator it takes over without a warning only then
import pytest

from tests.support import leaks, loopback
from tests.support import redis_server as redis_support

if TYPE_CHECKING:
    from asyncllm.simulator import Simulator

pytest_plugins = ["pytester", "tests.support.secrets"]

loopback.install()

# A slow machine fails no test: timings live in benchmarks.
hypothesis.settings.register_profile("asyncllm", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("asyncllm")

# Variables of the developer's machine that would change what a test sees: keys, endpoints, profiles, proxies.
_FOREIGN_PREFIXES = ("LLM_", "AWS_", "OPENAI_", "ANTHROPIC_", "AZURE_", "LITELLM_")
_FOREIGN_SUFFIXES = ("_API_KEY", "_API_BASE", "_BASE_URL", "_PROXY")
_FOREIGN_NAMES = ("ASYNCLLM_CONFIG",)


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Run each async test on both backends."""
    backend: str = request.param
    return backend


@pytest.fixture(scope="session", autouse=True)
def clean_env() -> Iterator[None]:
    """Take the machine's own keys, endpoints, profiles and proxies out of the environment."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            upper = name.upper()
            if upper.startswith(_FOREIGN_PREFIXES) or upper.endswith(_FOREIGN_SUFFIXES) or upper in _FOREIGN_NAMES:
                patch.delenv(name)
        yield


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    """A running provider on loopback that remembers the bodies and headers it was sent."""
    from asyncllm.simulator import Simulator

    with Simulator(record=True) as running:
        yield running


@pytest.fixture
def loses_redis() -> Iterator[None]:
    """For a test that loses its Redis: coredis leaves streams of failed connections to the garbage collector."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture
def redis_server() -> Iterator[redis_support.RedisServer]:
    """A Redis that the test has for itself."""
    if not redis_support.is_installed():
        pytest.skip(redis_support.MISSING)
    with redis_support.RedisServer() as running:
        yield running


@pytest.fixture(autouse=True)
def stays_on_loopback(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test whose code tried to leave the machine, even when a library swallowed the refusal."""
    loopback.REFUSED.clear()
    yield
    if request.node.get_closest_marker("allow_refused_network") is None:
        assert not loopback.REFUSED, f"tried to leave the machine: {loopback.REFUSED}"


@pytest.fixture(autouse=True)
def nothing_left_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """Compare threads and descriptors before and after a test marked `leaks`."""
    if request.node.get_closest_marker("leaks") is None:
        yield
        return
    before = leaks.Held.now()
    yield
    left = leaks.left_since(before)
    assert not left, f"left behind: {left}"
