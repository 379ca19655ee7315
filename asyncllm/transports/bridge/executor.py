"""The threads of the bridge's loop, which close coroutines that they made and that are never awaited."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Never, ParamSpec, TypeVar, cast

P = ParamSpec("P")
T = TypeVar("T")


class Executor(ThreadPoolExecutor):
    """A thread pool for litellm, which has its coroutines made on a thread before it awaits them.

    A call that is cancelled meanwhile never sees its coroutine, and Python would warn that it was never awaited.
    """

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run a function on a thread; a coroutine that it returns may be dropped."""

        def run() -> T:
            result = fn(*args, **kwargs)
            return cast(T, _Droppable(result)) if inspect.iscoroutine(result) else result

        return super().submit(run)


class _Droppable(Coroutine[object, Never, object]):
    """A coroutine that is closed when it goes unawaited, wherever between two threads that happens."""

    __slots__ = ("_made",)

    def __init__(self, made: Coroutine[object, Never, object]) -> None:
        self._made = made

    def __await__(self) -> Generator[object, None, object]:
        return (yield from self._made.__await__())

    def send(self, value: Never, /) -> object:
        return self._made.send(value)

    def throw(self, *error: Any) -> object:
        return self._made.throw(*error)

    def close(self) -> None:
        self._made.close()

    def __del__(self) -> None:
        if inspect.getcoroutinestate(self._made) == inspect.CORO_CREATED:
            self._made.close()
