"""The way to the loop's own thread and back: results, errors, cancellation, context, and the end."""

from __future__ import annotations

import asyncio
import contextvars
import os
import threading
from collections.abc import AsyncGenerator, AsyncIterator

import anyio
import pytest

from asyncllm.errors import UnsupportedError
from asyncllm.transports.bridge import Bridge
from asyncllm.transports.bridge.crossing import PENDING_CHUNKS, Crossing
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

SAID: contextvars.ContextVar[str] = contextvars.ContextVar("SAID")


@pytest.fixture
async def bridge(anyio_backend: str) -> AsyncIterator[Bridge]:
    """A share in the loop's thread."""
    made = Bridge()
    yield made
    await made.release()


async def where() -> str:
    return threading.current_thread().name


async def crossing(bridge: Bridge, items: AsyncGenerator[list[int], None]) -> Crossing[int]:
    async def begin() -> Crossing[int]:
        return Crossing(items)

    return await bridge.call(begin)


async def test_results_and_errors_come_back(bridge: Bridge) -> None:
    """A coroutine runs on the other thread; its result and its error are the caller's."""
    assert await bridge.call(where) == "asyncllm-loop"

    async def fails() -> None:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        await bridge.call(fails)


async def test_context_crosses(bridge: Bridge) -> None:
    """What the caller's context says, a trace id for example, is said on the other side."""
    SAID.set("here")

    async def read() -> str:
        return SAID.get()

    assert await bridge.call(read) == "here"


async def test_a_timeout_cancels_the_other_side(bridge: Bridge) -> None:
    """Time that is up is a TimeoutError here and a cancellation there."""
    ended = threading.Event()

    async def waits() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    with pytest.raises(TimeoutError):
        await bridge.call(waits, 0.01)
    assert ended.is_set()


async def test_cancellation_crosses_before_it_goes_on(bridge: Bridge) -> None:
    """A cancelled caller leaves when the other side has let go."""
    ended = threading.Event()

    async def waits() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    with anyio.move_on_after(0.05):
        await bridge.call(waits)
    assert ended.is_set()


async def test_a_result_that_nobody_takes_is_undone(bridge: Bridge) -> None:
    """What was opened for a caller who has left meanwhile is closed again."""
    undone: list[str] = []

    async def opens_anyway() -> str:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            return "opened"
        return "never"

    with anyio.move_on_after(0.05):
        await bridge.call(opens_anyway, undo=undone.append)
    assert undone == ["opened"]


async def test_items_cross_in_order_and_end(bridge: Bridge) -> None:
    """Everything arrives once and in order, several at a time; the end is an empty read, again and again."""

    async def items() -> AsyncGenerator[list[int], None]:
        for number in range(0, 500, 2):
            yield [number, number + 1]

    stream, found = await crossing(bridge, items()), []
    while batch := await stream.read(20.0):
        found += batch
    assert found == list(range(500))
    assert await stream.read(20.0) == []
    await stream.aclose()


async def test_what_came_before_an_error_is_read_before_it(bridge: Bridge) -> None:
    """An error of the iterator does not swallow the items that came before."""

    async def items() -> AsyncGenerator[list[int], None]:
        yield [1]
        raise OSError("cut")

    stream = await crossing(bridge, items())
    assert await stream.read(20.0) == [1]
    with pytest.raises(OSError, match="cut"):
        await stream.read(20.0)


async def test_a_slow_reader_stops_the_iterator(bridge: Bridge) -> None:
    """No more than a bounded number of items is ahead of the reader."""
    given = 0

    async def items() -> AsyncGenerator[list[int], None]:
        nonlocal given
        while True:
            given += 1
            yield [given]

    stream = await crossing(bridge, items())
    await until(lambda: given >= PENDING_CHUNKS)
    await bridge.call(lambda: asyncio.sleep(0.01))
    assert given == PENDING_CHUNKS
    assert await stream.read(20.0) == list(range(1, PENDING_CHUNKS + 1))
    await stream.aclose()


async def test_a_stream_that_is_closed_at_once_is_closed(bridge: Bridge) -> None:
    """An iterator that nobody ever read from is closed all the same, however early."""
    ended = threading.Event()

    async def items() -> AsyncGenerator[list[int], None]:
        try:
            await asyncio.sleep(60)
            yield [1]
        finally:
            ended.set()

    async def begin_and_abandon() -> None:
        Crossing(items()).abandon()

    await bridge.call(begin_and_abandon)
    await until(ended.is_set)


async def test_nothing_in_time_leaves_the_stream_open(bridge: Bridge) -> None:
    """A read that times out can be tried again, and loses nothing."""
    go = asyncio.Event()

    async def items() -> AsyncGenerator[list[int], None]:
        await go.wait()
        yield [1]

    async def set_it() -> None:
        go.set()

    stream = await crossing(bridge, items())
    with pytest.raises(TimeoutError):
        await stream.read(0.01)
    await bridge.call(set_it)
    assert await stream.read(20.0) == [1]
    await stream.aclose()


@pytest.mark.leaks
async def test_the_thread_ends_with_its_last_share() -> None:
    """Shares have one thread in common; it runs what was given for its end once, and is gone after the last."""
    closings: list[str] = []

    async def close() -> None:
        closings.append(threading.current_thread().name)

    one, two = Bridge(close), Bridge(close)
    assert sum(thread.name == "asyncllm-loop" for thread in threading.enumerate()) == 1
    await one.release()
    assert await two.call(where) == "asyncllm-loop"
    await two.release()
    assert closings == ["asyncllm-loop"]


async def test_a_loop_that_ends_under_a_call_says_so() -> None:
    """What is still on its way when the last share is given back is an error, not a cancellation of the caller."""
    bridge = Bridge()

    async def items() -> AsyncGenerator[list[int], None]:
        yield [1]
        await asyncio.sleep(60)

    stream = await crossing(bridge, items())
    assert await stream.read(20.0) == [1]
    async with anyio.create_task_group() as group:

        async def call() -> None:
            with pytest.raises(RuntimeError, match="closed while this call"):
                await bridge.call(lambda: asyncio.sleep(60))

        group.start_soon(call)
        await anyio.wait_all_tasks_blocked()
        await bridge.release()
    with pytest.raises(RuntimeError, match="closed while this call"):
        await stream.read(20.0)
    await stream.aclose()


async def test_a_fork_after_use_is_an_error(bridge: Bridge, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a child process the parent's loop does not run; the error says what to do instead of hanging."""
    parent = os.getpid()
    monkeypatch.setattr(os, "getpid", lambda: parent + 1)
    with pytest.raises(UnsupportedError, match="forked"):
        await bridge.call(where)
    monkeypatch.undo()
