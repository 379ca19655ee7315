"""The streams of the blocking API: the async ones, one step at a time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Generic, Protocol, Self, TypeVar

from ..completions.chunk import Chunk
from .loop_thread import ThreadLoop

if TYPE_CHECKING:
    from ..batch.engine import OutcomeStream
    from ..batch.outcome import Outcome
    from ..completions.call_record import CallRecord
    from ..completions.completion import Completion
    from ..completions.stream import CompletionStream
    from ..structured import ItemStream, PartialStream, SkippedItem

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class _AsyncStream(Protocol[T_co]):
    """A stream of the async API."""

    @property
    def completion(self) -> Completion: ...

    @property
    def record(self) -> CallRecord: ...

    def open(self) -> Awaitable[object]: ...

    def aclose(self) -> Awaitable[None]: ...

    def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> Awaitable[None]: ...

    def __anext__(self) -> Awaitable[T_co]: ...


class _BlockingIterator(Generic[T]):
    """An async stream as an iterator and a context manager."""

    def __init__(self, stream: _AsyncStream[T], loop: ThreadLoop) -> None:
        self._steps = stream
        self._loop = loop

    @property
    def completion(self) -> Completion:
        """The whole answer, when the stream has ended."""
        return self._steps.completion

    @property
    def record(self) -> CallRecord:
        """The record of the call so far."""
        return self._steps.record

    def open(self) -> Self:
        """Send the request and wait for the first chunk."""
        self._loop.run(self._steps.open)
        return self

    def close(self) -> None:
        """Close the connection; returns when it is closed."""
        self._loop.run(self._steps.aclose)

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._loop.run(lambda: self._steps.__aexit__(kind, error, traceback))

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> T:
        return _next(self._steps, self._loop)


class BlockingStream(_BlockingIterator[Chunk]):
    """The chunks of an answer as they come; as `CompletionStream`."""

    def __init__(self, stream: CompletionStream, loop: ThreadLoop) -> None:
        super().__init__(stream, loop)
        self._stream = stream

    @property
    def text(self) -> str:
        """The text so far."""
        return self._stream.text

    def keep_at_most(self, characters: int) -> None:
        """Keep the text only while it is no longer than that; as `CompletionStream.keep_at_most`."""
        self._stream.keep_at_most(characters)

    def collect(self) -> Completion:
        """Read to the end and return the whole answer."""
        return self._loop.run(self._stream.collect)


class BlockingPartials(_BlockingIterator[T]):
    """Growing snapshots of a value; as `PartialStream`."""

    def __init__(self, stream: PartialStream[T], loop: ThreadLoop) -> None:
        super().__init__(stream, loop)
        self._stream = stream

    @property
    def latest(self) -> T | None:
        """The last snapshot; None when there was none."""
        return self._stream.latest

    def final(self) -> T:
        """Read to the end and return the validated value."""
        return self._loop.run(self._stream.final)


class BlockingItems(_BlockingIterator[T]):
    """The items of a list, each as soon as it is complete; as `ItemStream`."""

    def __init__(self, stream: ItemStream[T], loop: ThreadLoop) -> None:
        super().__init__(stream, loop)
        self._stream = stream

    @property
    def skipped(self) -> list[SkippedItem]:
        """The items that were skipped so far."""
        return self._stream.skipped


class BlockingOutcomes(Generic[T]):
    """The outcomes of a batch, an iterator; use it in `with`. As `OutcomeStream`."""

    def __init__(self, make: Callable[[], OutcomeStream[T]], loop: ThreadLoop) -> None:
        self._make = make
        self._loop = loop
        self._block: AbstractContextManager[OutcomeStream[T]] | None = None
        self._outcomes: OutcomeStream[T] | None = None

    def __enter__(self) -> Self:
        # Made in the loop that it runs in: the caller's thread may be running another, of another backend.
        self._block = self._loop.block(self._loop.run(self._made))
        self._outcomes = self._block.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        assert self._block is not None
        if error is not None and not isinstance(error, Exception):
            # Ctrl-C belongs to this thread; raised in the loop's, it would end the loop before anything is closed.
            self._block.__exit__(None, None, None)
            return None
        return self._block.__exit__(kind, error, traceback)

    async def _made(self) -> OutcomeStream[T]:
        return self._make()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Outcome[T]:
        if self._outcomes is None:
            raise RuntimeError("a batch runs inside its block: `with llm.map(...) as outcomes:`")
        return _next(self._outcomes, self._loop)


class _Steps(Protocol[T_co]):
    def __anext__(self) -> Awaitable[T_co]: ...


def _next(stream: _Steps[T], loop: ThreadLoop) -> T:
    """Return the next element of an async iterator; its end is the end of the blocking one."""

    async def step() -> tuple[T] | None:
        try:
            return (await stream.__anext__(),)
        except StopAsyncIteration:
            return None

    found = loop.run(step)
    if found is None:
        raise StopIteration
    return found[0]
