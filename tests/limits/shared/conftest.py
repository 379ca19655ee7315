"""A real Redis, for tests of limits that processes share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.redis_server import MISSING, RedisServer, is_installed


@pytest.fixture(scope="module")
def redis_of_module() -> Iterator[RedisServer]:
    """A server that all tests of a module use."""
    if not is_installed():
        pytest.skip(MISSING)
    with RedisServer() as server:
        yield server


@pytest.fixture
def redis(redis_of_module: RedisServer) -> RedisServer:
    """The server of the module, empty; started again where a test killed it."""
    redis_of_module.ensure_running()
    redis_of_module.ask("FLUSHALL")
    return redis_of_module
