"""Waiting for what another thread or task is about to do, and letting go of objects."""

from __future__ import annotations

import gc
from collections.abc import Callable

import anyio


async def until(condition: Callable[[], object]) -> None:
    """Wait until a condition holds that nobody tells of; a test that waits in vain fails after 20 s."""
    with anyio.fail_after(20):
        while not condition():  # noqa: ASYNC110  # there is no event to wait for
            await anyio.sleep(0.001)


def collect(things: list[object]) -> None:
    """Forget the only references to some objects, and have them collected."""
    things.clear()
    gc.collect()
