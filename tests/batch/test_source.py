"""The input of a batch: what may block is read on a thread, and nothing else is."""

from __future__ import annotations

import contextvars
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from asyncllm.batch.engine import Done, OutcomeStream, gather
from asyncllm.batch.input import input_of
from asyncllm.batch.item import BatchItem
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

VARIABLE = contextvars.ContextVar[str]("VARIABLE", default="unset")


async def echo(item: BatchItem) -> Done[Any]:
    """Answer without a provider."""
    await anyio.lowlevel.checkpoint()
    return Done(item.messages, None, None)


async def read(requests: Any, at_once: int = 3) -> list[Any]:
    """Read an input to its end."""
    source, items = input_of(requests), []
    while some := await source.take(at_once):
        assert len(some) <= at_once
        items += some
    await source.aclose()
    return items


@pytest.mark.parametrize("kind", [list, tuple, deque, lambda text: dict.fromkeys(text).keys()])
async def test_memory_is_read_in_place(kind: Callable[[str], Iterable[str]]) -> None:
    """A collection in memory costs no thread."""
    requests = kind("abcdefg")
    before = threading.active_count()
    source = input_of(requests)
    assert await source.take(4) == list("abcd")
    assert threading.active_count() == before
    assert await source.take(4) == list("efg")
    assert await source.take(4) == []


@pytest.mark.leaks
async def test_an_input_that_blocks_does_not_block_the_loop() -> None:
    """While a generator waits, the loop goes on: here it waits for something that only the loop can do."""
    go_on = threading.Event()

    def rows() -> Iterator[str]:
        yield "first"
        assert go_on.wait(20)
        yield "second"

    given = []
    async with OutcomeStream(rows(), echo, max_concurrency=4) as outcomes:
        async for outcome in outcomes:
            given.append(outcome.value)
            go_on.set()
    assert given == ["first", "second"]


@pytest.mark.leaks
@pytest.mark.parametrize("size", [0, 1, 2, 100, 1000])
async def test_everything_is_read_once_and_in_order(size: int) -> None:
    """However the thread and the loop take turns, no item is lost or doubled."""
    assert await read(number for number in range(size)) == list(range(size))
    assert await read((number for number in range(size)), at_once=500) == list(range(size))


async def test_no_more_is_read_than_was_asked_for() -> None:
    """The thread stops at the bound that it was given."""
    taken = 0

    def rows() -> Iterator[Any]:
        nonlocal taken
        for number in range(100):
            taken += 1
            yield number

    source = input_of(rows())
    returned = 0
    for _ in range(10):
        some = await source.take(5)
        assert taken <= returned + 5
        returned += len(some)
    await source.aclose()


@pytest.mark.leaks
async def test_what_fails_in_the_thread_is_the_batches_error() -> None:
    """An error of the input ends the batch as itself, after what was read before it."""

    def rows() -> Iterator[Any]:
        yield 1
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"), anyio.fail_after(20):
        await gather(OutcomeStream(rows(), echo, max_concurrency=2))


@pytest.mark.leaks
async def test_the_thread_closes_the_generator() -> None:
    """What a generator holds open is closed where it was opened, before the batch is left."""
    threads = []

    def rows() -> Iterator[Any]:
        threads.append(threading.current_thread().name)
        try:
            yield from range(1000)
        finally:
            threads.append(threading.current_thread().name)

    async with OutcomeStream(rows(), echo, max_concurrency=2) as outcomes:
        await anext(outcomes)
    assert threads == ["asyncllm-input", "asyncllm-input"]


async def test_a_batch_does_not_wait_for_an_input_that_never_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaving a batch whose input hangs leaves the thread to itself; it ends when the input does."""
    monkeypatch.setattr("asyncllm.batch.input._JOIN_TIMEOUT_S", 0.01)
    waiting, go_on, closed = threading.Event(), threading.Event(), threading.Event()

    def rows() -> Iterator[Any]:
        try:
            yield 1
            waiting.set()
            go_on.wait(20)
            yield 2
        finally:
            closed.set()

    with anyio.fail_after(10):
        async with OutcomeStream(rows(), echo, max_concurrency=4) as outcomes:
            await anext(outcomes)
            await until(waiting.is_set)
    assert not closed.is_set()
    go_on.set()
    assert closed.wait(20)


async def test_context_variables_are_there_in_the_thread() -> None:
    """An input sees the context of the batch, as it would in the loop."""
    VARIABLE.set("mine")
    assert await read(VARIABLE.get() for _ in range(2)) == ["mine", "mine"]
