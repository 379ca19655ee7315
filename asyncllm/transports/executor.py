"""The threads of the bridge's loop, which dispose of coroutines that nobody waits for any more."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any


class Executor(ThreadPoolExecutor):
    """A thread pool for litellm, which has its coroutines made on a thread before it awaits them.

    A call that is cancelled meanwhile never gets to see its coroutine, and Python would warn that nobody awaited it.
    """

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run a function on a thread; a coroutine that it returns to a caller who has left is closed."""
        wanted = _Wanted()
        super().submit(fn, *args, **kwargs).add_done_callback(wanted.settle)
        return wanted


class _Wanted(Future[Any]):
    """The result for a caller who may leave: before it is there, or just as it comes."""

    def settle(self, done: Future[Any]) -> None:
        if not self.set_running_or_notify_cancel():
            _dispose(done)
        elif (error := done.exception()) is not None:
            self.set_exception(error)
        else:
            self.set_result(done.result())

    def cancel(self) -> bool:
        cancelled = super().cancel()
        if not cancelled:
            _dispose(self)
        return cancelled


def _dispose(done: Future[Any]) -> None:
    if done.done() and not done.cancelled() and done.exception() is None:
        result = done.result()
        if inspect.iscoroutine(result) and inspect.getcoroutinestate(result) == inspect.CORO_CREATED:
            result.close()
