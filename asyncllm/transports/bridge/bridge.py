"""Calls to the bridge's loop: results, errors, cancellation and context variables cross, and nothing polls."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Generic, Never, TypeVar

import anyio

from asyncllm.threads import ThreadEvent, check_process

from .loop_thread import CANCEL_GRACE_S, ENDED, LoopThread

T = TypeVar("T")


def _library_variable() -> contextvars.ContextVar[str | None]:
    """Return the variable by which libraries find out which loop runs."""
    try:
        from sniffio import current_async_library_cvar
    except ImportError:  # then none of them asks
        return contextvars.ContextVar("unused")
    return current_async_library_cvar


_LIBRARY = _library_variable()


class Bridge:
    """A share in the process's loop thread, which starts with the first and ends with the last; release it when done.

    Args:
        on_close: Runs on the loop before it ends, once however many give the same.
    """

    def __init__(self, on_close: Callable[[], Awaitable[None]] | None = None) -> None:
        self._thread = LoopThread.share(on_close)

    async def call(
        self,
        make: Callable[[], Coroutine[object, Never, T]],
        timeout_s: float | None = None,
        *,
        undo: Callable[[T], None] | None = None,
    ) -> T:
        """Run a coroutine on the loop and return its result.

        Args:
            make: Makes the coroutine; called on the loop.
            timeout_s: Seconds after which it is cancelled and TimeoutError raised.
            undo: Called on the loop with a result that the caller, cancelled meanwhile, will not see.
        """
        check_process(self._thread.pid)
        job = _Job(make, self._thread.loop)
        self._thread.loop.call_soon_threadsafe(job.start, timeout_s)
        try:
            await job.done.wait()
        except BaseException:
            self._thread.loop.call_soon_threadsafe(job.cancel, undo)
            with anyio.move_on_after(CANCEL_GRACE_S, shield=True):
                await job.done.wait()
            raise
        try:
            return job.result()
        finally:
            del job  # an error's traceback holds this frame

    async def release(self) -> None:
        """Release this share; the last one ends the thread, and returns when it has ended."""
        thread, ended = self._thread, ThreadEvent()
        if thread.give_back(ended.set):
            with anyio.CancelScope(shield=True):
                await ended.wait()
            thread.join()

    def drop(self) -> None:
        """Release this share without waiting, from any thread."""
        # On the loop's own thread: a destructor calls this, which may run while its thread holds the lock.
        with suppress(RuntimeError):  # the loop has ended
            self._thread.loop.call_soon_threadsafe(self._thread.give_back, lambda: None)


class _Job(Generic[T]):
    """A coroutine on the loop, and the caller that waits for it on another."""

    __slots__ = (
        "_context",
        "_error",
        "_loop",
        "_make",
        "_result",
        "_task",
        "_timed_out",
        "_timer",
        "_undo",
        "done",
    )

    def __init__(self, make: Callable[[], Coroutine[object, Never, T]], loop: asyncio.AbstractEventLoop) -> None:
        self.done = ThreadEvent()
        self._make = make
        self._loop = loop
        self._context = contextvars.copy_context()
        self._context.run(_LIBRARY.set, "asyncio")  # the caller's may be trio
        self._task: asyncio.Task[T] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timed_out = False
        self._undo: Callable[[T], None] | None = None
        self._result: T
        self._error: BaseException | None = None

    def start(self, timeout_s: float | None) -> None:
        self._task = self._loop.create_task(self._make(), context=self._context)
        self._task.add_done_callback(self._finish)
        if timeout_s is not None:
            self._timer = self._loop.call_later(timeout_s, self._time_out)

    def cancel(self, undo: Callable[[T], None] | None) -> None:
        self._undo = undo
        if self._task is not None:
            self._task.cancel()
        elif undo is not None and self._error is None:
            undo(self._result)  # it had ended before the cancellation arrived

    def result(self) -> T:
        error, self._error = self._error, None
        if error is None:
            return self._result
        try:
            raise error
        finally:
            del error  # its traceback holds this frame

    def _time_out(self) -> None:
        assert self._task is not None
        self._timed_out = self._task.cancel()

    def _finish(self, task: asyncio.Task[T]) -> None:
        self._task = None  # it keeps its error, and with the traceback the frames of the caller
        if self._timer is not None:
            self._timer.cancel()
        if task.cancelled():
            # A caller that cancelled it does not look; for any other the loop ended under the call.
            self._error = TimeoutError() if self._timed_out else RuntimeError(ENDED)
        elif (error := task.exception()) is not None:
            self._error = error
        else:
            self._result = task.result()
            if self._undo is not None:
                self._undo(self._result)
        self.done.set()
