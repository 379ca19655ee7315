"""The input of a batch, read a little ahead: in place where that cannot block, on a thread where it may."""

from __future__ import annotations

import contextvars
import threading
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Generator, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, Protocol, TypeAlias

import anyio

from ..messages import Message, Messages, Request
from ..threads import ThreadEvent

Requests: TypeAlias = Iterable[Messages] | AsyncIterable[Messages]

# Reading these is reading memory. Whatever else is iterated may be a file, a database or a generator over one.
_IN_MEMORY: tuple[type, ...] = (list, tuple, range, set, frozenset, deque, type({}.keys()), type({}.values()))
# A thread that is just then reading from a slow disk is waited for; one that reads from something that does not come
# is left to itself, and ends when it does.
_PATIENCE_S = 1.0


class BatchInput(Protocol):
    """The input, which nobody else reads."""

    async def some(self, most: int) -> list[Any]:
        """Wait for the next items and return those that are there, `most` of them at the most; none at the end."""
        ...

    async def aclose(self) -> None:
        """Close a generator that was not read to its end."""
        ...


def input_of(requests: Requests) -> BatchInput:
    """Return the input that somebody gave.

    Raises:
        TypeError: It is a single request, or nothing that can be iterated.
    """
    if isinstance(requests, str | bytes | Mapping | Message | Request):
        raise TypeError(
            f"a batch takes an iterable of requests, not one {type(requests).__name__}; put it into a list, or "
            "call acompletion for a single answer"
        )
    if isinstance(requests, AsyncIterable):
        return _Awaited(aiter(requests))
    if not isinstance(requests, Iterable):
        raise TypeError(f"a batch takes an iterable or async iterable of requests, not {type(requests).__name__}")
    return _Memory(iter(requests)) if is_in_memory(requests) else _Threaded(requests)


def is_in_memory(requests: Requests) -> bool:
    """Tell whether an input can be read without waiting, and more than once."""
    return isinstance(requests, _IN_MEMORY)


class _Memory:
    def __init__(self, items: Iterator[Any]) -> None:
        self._items = items

    async def some(self, most: int) -> list[Any]:
        return list(islice(self._items, most))

    async def aclose(self) -> None:
        pass


class _Awaited:
    def __init__(self, items: AsyncIterator[Any]) -> None:
        self._items = items

    async def some(self, most: int) -> list[Any]:
        try:
            return [await anext(self._items)]
        except StopAsyncIteration:
            return []

    async def aclose(self) -> None:
        if isinstance(self._items, AsyncGenerator):
            with anyio.CancelScope(shield=True):
                await self._items.aclose()


class _Threaded:
    """An iterable on a thread of its own, which reads as far ahead as it is told and hands over what it has."""

    def __init__(self, iterable: Iterable[Any]) -> None:
        self._iterable = iterable
        self._read: deque[Any] = deque()
        self._wanted = 0  # what the thread shall still read; under the condition
        self._outstanding = 0  # what it was told to read and has not been taken from it
        self._condition = threading.Condition()
        self._stopping = False
        self._ended = False
        self._error: BaseException | None = None
        self._hungry = False
        self._thread: threading.Thread | None = None
        self._news: ThreadEvent
        self._gone: ThreadEvent

    async def some(self, most: int) -> list[Any]:
        if self._thread is None:
            self._start()
        self._want(most)
        while not self._read and not self._ended:
            self._news.clear()
            self._hungry = True
            # Looked at again: the thread may have read something before it could see that it is waited for.
            if not self._read and not self._ended:
                await self._news.wait()
        taken = [self._read.popleft() for _ in range(min(most, len(self._read)))]
        self._outstanding -= len(taken)
        if not taken and self._error is not None:
            raise self._error
        return taken

    async def aclose(self) -> None:
        if self._thread is None:
            return
        with self._condition:
            self._stopping = True
            self._condition.notify()
        with anyio.move_on_after(_PATIENCE_S, shield=True):
            await self._gone.wait()
        if self._gone.is_set():
            self._thread.join()

    def _start(self) -> None:
        self._news, self._gone = ThreadEvent(), ThreadEvent()
        context = contextvars.copy_context()
        self._thread = threading.Thread(target=context.run, args=(self._serve,), name="asyncllm-input", daemon=True)
        self._thread.start()

    def _want(self, most: int) -> None:
        more = most - self._outstanding
        if more > 0 and not self._ended:
            self._outstanding += more
            with self._condition:
                self._wanted += more
                self._condition.notify()

    def _serve(self) -> None:
        items: Iterator[Any] | None = None
        try:
            items = iter(self._iterable)
            self._read_all(items)
        except BaseException as error:
            self._error = error
        finally:
            self._iterable = ()  # what it holds open is let go of here, rather than wherever the batch is
            if isinstance(items, Generator):
                try:
                    items.close()
                except BaseException as error:
                    self._error = self._error or error
            self._ended = True
            self._news.set()
            self._gone.set()

    def _read_all(self, items: Iterator[Any]) -> None:
        while wanted := self._next_wanted():
            for _ in range(wanted):
                try:
                    item = next(items)
                except StopIteration:
                    return
                self._read.append(item)
                if self._hungry:
                    self._hungry = False
                    self._news.set()
                if self._stopping:
                    return

    def _next_wanted(self) -> int:
        with self._condition:
            while not self._wanted and not self._stopping:
                self._condition.wait()
            wanted, self._wanted = self._wanted, 0
        return 0 if self._stopping else wanted
