"""The threads of the bridge's loop, which dispose of coroutines that nobody waits for any more."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any


class Executor(ThreadPoolExecutor):
    """A thread pool for litellm, which has its coroutines made on a thread before it awaits them.

    A call that is cancelled meanwhile never gets to see its coroutine, and Python would warn that nobody awaited it.
    """

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run a function on a thread; a coroutine that it returns may be dropped."""

        def run() -> Any:
            result = fn(*args, **kwargs)
            return _Droppable(result) if inspect.iscoroutine(result) else result

        return super().submit(run)


class _Droppable(Coroutine[Any, Any, Any]):
    """A coroutine that is closed when it goes unawaited, wherever between two threads that happens."""

    __slots__ = ("_made",)

    def __init__(self, made: Coroutine[Any, Any, Any]) -> None:
        self._made = made

    def __await__(self) -> Generator[Any, Any, Any]:
        return (yield from self._made.__await__())

    def send(self, value: Any, /) -> Any:
        return self._made.send(value)

    def throw(self, *error: Any) -> Any:
        return self._made.throw(*error)

    def close(self) -> None:
        self._made.close()

    def __del__(self) -> None:
        if inspect.getcoroutinestate(self._made) == inspect.CORO_CREATED:
            self._made.close()
