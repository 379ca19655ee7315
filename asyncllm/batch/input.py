"""The input of a batch, read a little ahead: in the loop where that cannot block, on a thread where it may."""

from __future__ import annotations

import contextvars
import threading
from collections import deque
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Callable,
    Generator,
    Iterable,
    Iterator,
    Mapping,
)
from itertools import islice
from typing import Generic, Protocol, TypeAlias, TypeVar, cast

import anyio

from ..messages import Message, Messages, Request
from ..threads import ThreadEvent

T = TypeVar("T")
Requests: TypeAlias = Iterable[Messages] | AsyncIterable[Messages]

# Iterating over these reads memory. Any other iterable may be a file, a database or a generator over one.
_DICT_VIEWS = (type(dict[str, str]().keys()), type(dict[str, str]().values()))
_IN_MEMORY = (list, tuple, range, set, frozenset, deque, *_DICT_VIEWS)
# How long a batch that ends waits for the thread that reads its input. One that reads from something that never comes
# is abandoned, and ends when its input does.
_JOIN_TIMEOUT_S = 1.0
# Items that `on_thread` reads ahead.
_READ_AHEAD = 100


class RereadInput:
    """An input that can be read twice, such as a file: once to count what will be sent, and once to send it.

    Args:
        requests: The requests that are sent.
        preview: Returns an iterator over the same requests, read anew.
        prompt_changed: Whether the prompt is known to differ from that of the previous run of the journal.
        is_mixed: Whether the journal may have answers of several prompts, so that it has to be looked through.
    """

    def __init__(
        self,
        requests: Iterable[Messages],
        preview: Callable[[], Iterator[Messages]],
        *,
        prompt_changed: bool,
        is_mixed: bool,
    ) -> None:
        self._requests = requests
        self.preview = preview
        self.prompt_changed = prompt_changed
        self.is_mixed = is_mixed

    def __iter__(self) -> Iterator[Messages]:
        return iter(self._requests)


class BatchInput(Protocol):
    """An input, for its one reader."""

    async def take(self, most: int) -> list[Messages]:
        """Wait for the next items, and return those that are there, at most so many; none at the end."""
        ...

    async def aclose(self) -> None:
        """Close a generator that was not read to its end."""
        ...


def input_of(requests: Requests) -> BatchInput:
    """Return the input that reads an iterable.

    Raises:
        TypeError: It is a single request, or cannot be iterated.
    """
    name = type(requests).__name__
    if isinstance(requests, str | bytes | Mapping | Message | Request):
        raise TypeError(
            f"a batch takes an iterable of requests, not one {name}; put it into a list, or "
            "call acompletion for a single answer"
        )
    if isinstance(requests, AsyncIterable):
        return _AsyncInput(aiter(requests))
    if not isinstance(requests, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance]  # a caller may pass anything
        raise TypeError(f"a batch takes an iterable or async iterable of requests, not {name}")
    in_memory = items_in_memory(requests)
    return _ThreadedInput(requests) if in_memory is None else _MemoryInput(in_memory)


def items_in_memory(requests: Requests) -> Iterator[Messages] | None:
    """Return an iterator over an input that can be read without waiting, and more than once; None for any other."""
    return iter(cast(Iterable[Messages], requests)) if isinstance(requests, _IN_MEMORY) else None


async def on_thread(iterable: Iterable[T]) -> AsyncGenerator[T, None]:
    """Yield the items of an iterable that may block, read on a thread; close it with `aclose()`."""
    source = _ThreadedInput(iterable)
    try:
        while items := await source.take(_READ_AHEAD):
            for item in items:
                yield item
    finally:
        await source.aclose()


class _MemoryInput:
    def __init__(self, items: Iterator[Messages]) -> None:
        self._items = items

    async def take(self, most: int) -> list[Messages]:
        return list(islice(self._items, most))

    async def aclose(self) -> None:
        pass


class _AsyncInput:
    def __init__(self, items: AsyncIterator[Messages]) -> None:
        self._items = items

    async def take(self, most: int) -> list[Messages]:
        try:
            return [await anext(self._items)]
        except StopAsyncIteration:
            return []

    async def aclose(self) -> None:
        if isinstance(self._items, AsyncGenerator):
            with anyio.CancelScope(shield=True):
                await cast(AsyncGenerator[Messages, None], self._items).aclose()


class _ThreadedInput(Generic[T]):
    """An iterable read by a thread of its own, as far ahead as it is asked to."""

    def __init__(self, iterable: Iterable[T]) -> None:
        self._iterable = iterable
        self._read: deque[T] = deque()
        self._wanted = 0  # what the thread has still to read; under the condition
        self._outstanding = 0  # what it was asked to read and has not been taken from it
        self._condition = threading.Condition()
        self._stopping = False
        self._ended = False
        self._error: BaseException | None = None
        self._reader_waits = False
        self._thread: threading.Thread | None = None
        self._changed: ThreadEvent
        self._finished: ThreadEvent

    async def take(self, most: int) -> list[T]:
        if self._thread is None:
            self._start()
        self._ask_for(most)
        while not self._read and not self._ended:
            self._changed.clear()
            self._reader_waits = True
            # Checked again: the thread may have read an item before it could see that the reader waits.
            if not self._read and not self._ended:
                await self._changed.wait()
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
        with anyio.move_on_after(_JOIN_TIMEOUT_S, shield=True):
            await self._finished.wait()
        if self._finished.is_set():
            self._thread.join()

    def _start(self) -> None:
        self._changed, self._finished = ThreadEvent(), ThreadEvent()
        context = contextvars.copy_context()
        self._thread = threading.Thread(target=context.run, args=(self._serve,), name="asyncllm-input", daemon=True)
        self._thread.start()

    def _ask_for(self, most: int) -> None:
        more = most - self._outstanding
        if more > 0 and not self._ended:
            self._outstanding += more
            with self._condition:
                self._wanted += more
                self._condition.notify()

    def _serve(self) -> None:
        items: Iterator[T] | None = None
        try:
            items = iter(self._iterable)
            self._read_all(items)
        except BaseException as error:
            self._error = error
        finally:
            self._iterable = ()  # what it holds open is released on this thread, not where the batch is released
            if isinstance(items, Generator):
                try:
                    items.close()
                except BaseException as error:
                    self._error = self._error or error
            self._ended = True
            self._changed.set()
            self._finished.set()

    def _read_all(self, items: Iterator[T]) -> None:
        while wanted := self._next_wanted():
            for _ in range(wanted):
                try:
                    item = next(items)
                except StopIteration:
                    return
                self._read.append(item)
                if self._reader_waits:
                    self._reader_waits = False
                    self._changed.set()
                if self._stopping:
                    return

    def _next_wanted(self) -> int:
        with self._condition:
            while not self._wanted and not self._stopping:
                self._condition.wait()
            wanted, self._wanted = self._wanted, 0
        return 0 if self._stopping else wanted
