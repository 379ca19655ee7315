"""A running Redis for one test, and the filter for what a refused connection leaves."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.redis_server import MISSING, RedisServer, is_installed

UNCLOSED_STREAMS = "ignore:Unclosed <MemoryObject:ResourceWarning"
"""A filter for what coredis leaves to the garbage collector of a connection that was refused."""


@pytest.fixture
def redis_server() -> Iterator[RedisServer]:
    """A running Redis."""
    if not is_installed():
        pytest.skip(MISSING)
    with RedisServer() as server:
        yield server
