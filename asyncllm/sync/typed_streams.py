"""The typed streams of the blocking API: the async ones, one step at a time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Generic, Protocol, Self, TypeVar

from ..completions.call_record import CallRecord
from ..completions.completion import Completion
from ..structured.items import ItemStream, SkippedItem
from ..structured.streams import PartialStream

T = TypeVar("T")


class Run(Protocol):
    """Runs a coroutine to its end, on the loop of a blocking client."""

    def __call__(self, make: Callable[[], Awaitable[T]], /) -> T: ...


class _Blocking(Generic[T]):
    """A typed stream, an iterator and a context manager."""

    def __init__(self, stream: PartialStream[T] | ItemStream[T], run: Run) -> None:
        self._typed = stream
        self._run = run

    @property
    def completion(self) -> Completion:
        """The whole answer, when the stream has ended."""
        return self._typed.completion

    @property
    def record(self) -> CallRecord:
        """How the call is going."""
        return self._typed.record

    def open(self) -> Self:
        """Send the request and wait for the first chunk."""
        self._run(self._typed.open)
        return self

    def close(self) -> None:
        """Close the connection; returns when it is closed."""
        self._run(self._typed.aclose)

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._run(lambda: self._typed.__aexit__(kind, error, traceback))

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> T:
        value: Any = self._run(lambda: anext(self._typed, _END))
        if value is _END:
            raise StopIteration
        made: T = value
        return made


class BlockingPartials(_Blocking[T]):
    """Growing snapshots of a value; as `PartialStream`."""

    def __init__(self, stream: PartialStream[T], run: Run) -> None:
        super().__init__(stream, run)
        self._stream = stream

    @property
    def latest(self) -> T | None:
        """The last snapshot; None when there was none."""
        return self._stream.latest

    def final(self) -> T:
        """Read to the end and return the validated value."""
        return self._run(self._stream.final)


class BlockingItems(_Blocking[T]):
    """The items of a list, each as soon as it is complete; as `ItemStream`."""

    def __init__(self, stream: ItemStream[T], run: Run) -> None:
        super().__init__(stream, run)
        self._stream = stream

    @property
    def skipped(self) -> list[SkippedItem]:
        """The items that were skipped so far."""
        return self._stream.skipped


_END = object()
