"""An asyncio loop of its own, on one thread per process, and the way to it from any loop of any backend.

Results, chunks, errors, cancellation and context variables cross the bridge; nothing polls. The thread starts with the
first use and ends with the last `Bridge` that is released.
"""

from __future__ import annotations

import asyncio
import atexit
import contextvars
import os
import threading
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from typing import Any, Generic, TypeVar

import anyio

from asyncllm.fork_check import check_process
from asyncllm.threads import ThreadEvent

from .executor import Executor

try:
    from sniffio import current_async_library_cvar
except ImportError:  # nobody can ask which loop runs
    current_async_library_cvar = contextvars.ContextVar("unused")

T = TypeVar("T")

# How long a cancelled caller waits for the other side to let go of its connection. That takes about a millisecond;
# a loop that is busy for longer (a tokenizer being built) must not hold up the caller's cancellation.
CANCEL_GRACE_S = 2.0
# Chunks that may wait for a slow reader, before the provider is no longer read: enough for several to cross at once.
PENDING_CHUNKS = 64
# litellm prepares each call in the loop's executor. That is Python code: more threads would only fight for the GIL,
# with the user's loop too; a second one goes on while a cloud login blocks the first.
EXECUTOR_THREADS = 2

_ENDED = "the client was closed while this call was on its way"


class Bridge:
    """A share in the process's loop thread; release it when done.

    Args:
        on_close: Runs on the loop before it ends, once however many give the same.
    """

    def __init__(self, on_close: Callable[[], Awaitable[None]] | None = None) -> None:
        self._thread = _LoopThread.share(on_close)

    async def call(
        self,
        make: Callable[[], Coroutine[Any, Any, T]],
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
        return job.result()

    def stream(self, iterator: AsyncIterator[Sequence[T]]) -> Crossing[T]:
        """Carry an iterator of the loop over to the caller's side; call it on the loop's own thread."""
        return Crossing(iterator, self._thread.loop)

    async def release(self) -> None:
        """Give the share back; the last one ends the thread, and returns when it has ended."""
        thread, ended = self._thread, ThreadEvent()
        if thread.give_back(ended.set):
            with anyio.CancelScope(shield=True):
                await ended.wait()
            thread.join()

    def drop(self) -> None:
        """Give the share back without waiting, from any thread."""
        # On the loop's own thread: a destructor calls this, which may run while its thread holds the lock.
        with suppress(RuntimeError):  # the loop has ended
            self._thread.loop.call_soon_threadsafe(self._thread.give_back, lambda: None)


class _Job(Generic[T]):
    """A coroutine on the loop, and the caller that waits for it elsewhere."""

    __slots__ = (
        "_context",
        "_error",
        "_finished",
        "_loop",
        "_make",
        "_result",
        "_task",
        "_timed_out",
        "_timer",
        "_undo",
        "done",
    )

    def __init__(self, make: Callable[[], Coroutine[Any, Any, T]], loop: asyncio.AbstractEventLoop) -> None:
        self.done = ThreadEvent()
        self._make = make
        self._loop = loop
        self._context = contextvars.copy_context()
        # The caller's context may say trio; libraries that ask which loop they run on must be told the truth.
        self._context.run(current_async_library_cvar.set, "asyncio")
        self._task: asyncio.Task[T] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timed_out = False
        self._finished = False
        self._undo: Callable[[T], None] | None = None
        self._result: T
        self._error: BaseException | None = None

    def start(self, timeout_s: float | None) -> None:
        self._task = self._loop.create_task(self._make(), context=self._context)
        self._task.add_done_callback(self._finish)
        if timeout_s is not None:
            self._timer = self._loop.call_later(timeout_s, self._time_out)

    def cancel(self, undo: Callable[[T], None] | None) -> None:
        assert self._task is not None, "start was scheduled before cancel"
        self._undo = undo
        # What had ended before the cancellation arrived is undone here, unless that is still to be noted.
        if not self._task.cancel() and self._finished and undo is not None and self._error is None:
            undo(self._result)

    def result(self) -> T:
        if self._error is not None:
            error, self._error = self._error, None
            raise error
        return self._result

    def _time_out(self) -> None:
        assert self._task is not None
        self._timed_out = self._task.cancel()

    def _finish(self, task: asyncio.Task[T]) -> None:
        self._finished = True
        if self._timer is not None:
            self._timer.cancel()
        if task.cancelled():
            # A caller that cancelled it does not look; for any other the loop ended under the call.
            self._error = TimeoutError() if self._timed_out else RuntimeError(_ENDED)
        elif (error := task.exception()) is not None:
            self._error = error
        else:
            self._result = task.result()
            if self._undo is not None:
                self._undo(self._result)
        self.done.set()


class Crossing(Generic[T]):
    """An async iterator of the loop, read from another: what is there crosses together, and a slow reader stops it.

    It gives its items in batches, as they were read.
    """

    def __init__(self, iterator: AsyncIterator[Sequence[T]], loop: asyncio.AbstractEventLoop) -> None:
        self._iterator = iterator
        self._loop = loop
        self._lock = threading.Lock()
        self._pending: deque[T] = deque()
        self._ended = False
        self._error: BaseException | None = None
        self._reader: ThreadEvent | None = None
        self._full = False
        self._room = asyncio.Event()
        self._started = False
        self._task = loop.create_task(self._pump())

    async def read(self, timeout_s: float) -> list[T]:
        """Return what is there, at least one item, in order; an empty list at the end.

        Raises:
            TimeoutError: When nothing came within the time.
        """
        with self._lock:
            items = self._take()
            if items is not None:
                return items
            self._reader = reader = ThreadEvent()
        try:
            with anyio.fail_after(timeout_s):
                await reader.wait()
        finally:
            with self._lock:
                self._reader = None
        with self._lock:
            return self._take() or []

    async def aclose(self) -> None:
        """Cancel the iterator and wait until it has ended."""
        closed = ThreadEvent()
        with suppress(RuntimeError):  # the loop has ended, and the iterator with it
            self._loop.call_soon_threadsafe(self._close, closed.set)
            with anyio.move_on_after(CANCEL_GRACE_S, shield=True):
                await closed.wait()

    def abandon(self) -> None:
        """Cancel the iterator without waiting, from any thread."""
        with suppress(RuntimeError):  # the loop has ended, and the iterator with it
            self._loop.call_soon_threadsafe(self._close, lambda: None)

    def _take(self) -> list[T] | None:
        if self._pending:
            items = list(self._pending)
            self._pending.clear()
            if self._full:
                self._full = False
                with suppress(RuntimeError):  # the loop has ended, and nothing more comes
                    self._loop.call_soon_threadsafe(self._room.set)
            return items
        if self._error is not None:
            error, self._error = self._error, None
            raise error
        return [] if self._ended else None

    def _close(self, closed: Callable[[], None]) -> None:
        if not self._started:
            # A task that is cancelled before its first step never runs at all, and the iterator would stay open.
            self._loop.call_soon(self._close, closed)
            return
        self._task.cancel()
        self._task.add_done_callback(lambda _: closed())

    async def _pump(self) -> None:
        self._started = True
        error: BaseException | None = None
        try:
            async for items in self._iterator:
                with self._lock:
                    self._pending.extend(items)
                    self._full = full = len(self._pending) >= PENDING_CHUNKS
                    self._wake()
                if full:
                    # Set by a callback on this loop, so not before this task waits.
                    self._room.clear()
                    await self._room.wait()
        except Exception as caught:
            error = caught
        except asyncio.CancelledError:
            # Who closed the stream does not read on; any other reader must not take this for the provider's end.
            error = RuntimeError(_ENDED)
            raise
        finally:
            try:
                close = getattr(self._iterator, "aclose", None)
                if close is not None:
                    await close()
            finally:
                with self._lock:
                    self._ended, self._error = True, error
                    self._wake()

    def _wake(self) -> None:
        if self._reader is not None:
            self._reader.set()
            self._reader = None


class CrossingStream:
    """A stream of the bridge's loop, read from another."""

    def __init__(
        self,
        headers: Mapping[str, str],
        build: Callable[[dict[str, Any]], Any] | None,
        crossing: Crossing[dict[str, Any]],
    ) -> None:
        self.headers = headers
        self.build_response = build
        self._crossing = crossing

    async def read(self, timeout_s: float) -> Sequence[dict[str, Any]]:
        """Return the chunks that are there, at least one; none at the end."""
        return await self._crossing.read(timeout_s)

    async def aclose(self) -> None:
        """Close the connection; returns when it is closed."""
        await self._crossing.aclose()

    def abandon(self) -> None:
        """Have the connection closed without waiting."""
        self._crossing.abandon()


class _LoopThread:
    """The thread and its loop; one for the process at a time."""

    _lock = threading.Lock()
    _current: _LoopThread | None = None

    def __init__(self, previous: _LoopThread | None) -> None:
        self.loop = asyncio.new_event_loop()
        self.pid = os.getpid()
        self._on_close: set[Callable[[], Awaitable[None]]] = set()
        self._previous = previous
        self._shares = 0
        self._ended: list[Callable[[], None]] = []
        self._thread = threading.Thread(target=self._run, name="asyncllm-loop", daemon=True)
        self._thread.start()

    @classmethod
    def share(cls, on_close: Callable[[], Awaitable[None]] | None) -> _LoopThread:
        with cls._lock:
            current = cls._current
            if current is None or current._shares == 0 or current.pid != os.getpid():
                # One that is ending still closes what the process shares; the next waits for it on its own thread.
                previous = current if current is not None and current.pid == os.getpid() else None
                current = cls._current = _LoopThread(previous)
            current._shares += 1
            if on_close is not None:
                current._on_close.add(on_close)
            return current

    def give_back(self, ended: Callable[[], None]) -> bool:
        """Return whether this was the last share; then `ended` is called when the loop has closed everything."""
        with self._lock:
            self._shares -= 1
            if self._shares or self.pid != os.getpid() or self.loop.is_closed():
                return False
            self._ended.append(ended)
            self.loop.call_soon_threadsafe(self.loop.stop)
        return True

    def join(self) -> None:
        self._thread.join()
        with self._lock:
            if _LoopThread._current is self:
                _LoopThread._current = None

    def _run(self) -> None:
        if self._previous is not None:
            self._previous._thread.join()
            self._previous = None
        asyncio.set_event_loop(self.loop)
        self.loop.set_default_executor(Executor(EXECUTOR_THREADS, thread_name_prefix="asyncllm-loop"))
        try:
            self.loop.run_forever()
            self.loop.run_until_complete(self._wind_up())
        finally:
            asyncio.set_event_loop(None)
            self.loop.close()
            for ended in self._ended:
                ended()

    async def _wind_up(self) -> None:
        me = asyncio.current_task()
        try:
            for close in self._on_close:
                await close()
        finally:
            await asyncio.sleep(0)  # a task that was just made to close something gets to its first step
            tasks = [task for task in asyncio.all_tasks() if task is not me]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self.loop.shutdown_asyncgens()
            await self.loop.shutdown_default_executor()

    def stop_at_exit(self) -> None:
        if self.pid == os.getpid() and self._thread.is_alive() and self._shares:
            self.loop.call_soon_threadsafe(self.loop.stop)
            self._thread.join(CANCEL_GRACE_S)


@atexit.register
def _stop_at_exit() -> None:
    """End the thread before the interpreter ends, so that a client nobody closed leaves no broken connection."""
    if _LoopThread._current is not None:
        _LoopThread._current.stop_at_exit()
