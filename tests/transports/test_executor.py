"""Coroutines that are made on a thread: awaited as usual, or dropped without a word."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from asyncllm.transports.bridge.executor import Executor
from tests.support.waiting import collect


@pytest.fixture
def executor() -> Iterator[Executor]:
    """The bridge's threads, one of them."""
    with Executor(1) as running:
        yield running


async def doubled(number: int) -> int:
    await asyncio.sleep(0)
    return 2 * number


async def failing() -> None:
    await asyncio.sleep(0)
    raise KeyError("mine")


def test_a_coroutine_of_a_thread_is_awaited_as_usual(executor: Executor) -> None:
    """litellm asks whether it is one, and its result, its error and a cancellation go the usual way."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        made = await loop.run_in_executor(executor, doubled, 21)
        assert asyncio.iscoroutine(made)
        assert await made == 42
        with pytest.raises(KeyError, match="mine"):
            await (await loop.run_in_executor(executor, failing))
        task = loop.create_task(await loop.run_in_executor(executor, asyncio.sleep, 60))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())


def test_what_is_no_coroutine_comes_as_it_is(executor: Executor) -> None:
    """Values and errors of the function itself are not touched."""
    assert executor.submit(len, "four").result() == 4
    with pytest.raises(ZeroDivisionError):
        executor.submit(divmod, 1, 0).result()


def test_a_coroutine_that_nobody_takes_is_closed(executor: Executor) -> None:
    """Whoever is cancelled in the very moment of the hand-over drops it, and Python has nothing to warn of."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        handed_over = loop.run_in_executor(executor, doubled, 1)
        await asyncio.wait([handed_over])
        waiting = loop.create_task(asyncio.wait_for(handed_over, None))
        waiting.cancel()  # the result is there, and its taker is gone before the next turn
        with pytest.raises(asyncio.CancelledError):
            _ = await waiting

    asyncio.run(main())
    made: list[object] = [executor.submit(doubled, 2).result()]
    collect(made)
