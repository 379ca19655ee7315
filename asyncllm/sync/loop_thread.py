"""An event loop on a thread of its own, for blocking callers of async code."""

from __future__ import annotations

import atexit
import os
import sys
import threading
import warnings
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager
from typing import Any, TypeVar
from weakref import WeakSet

import anyio
import anyio.lowlevel
from anyio.from_thread import BlockingPortal, start_blocking_portal

from ..threads import check_process

T = TypeVar("T")

_NAME = "asyncllm-blocking"


def run(make: Callable[[], Awaitable[T]]) -> T:
    """Run one coroutine to its end, on this thread, or on one of its own where this one already runs an event loop."""
    try:
        anyio.lowlevel.current_token()
    except anyio.NoEventLoopError:
        return anyio.run(_awaited, make)
    with start_blocking_portal(name=_NAME) as portal:
        return portal.call(_awaited, make)


class ThreadLoop:
    """An event loop on a thread, started with the first call.

    Args:
        last: Run by the loop before it ends.
    """

    def __init__(self, last: Callable[[], Awaitable[None]]) -> None:
        self._last = last
        self._closed = False
        self._lock = threading.Lock()
        self._running: _Running | None = None

    def run(self, make: Callable[[], Awaitable[T]]) -> T:
        """Run a coroutine on the loop and return its result.

        Raises:
            RuntimeError: The loop is closed.
            UnsupportedError: The process has forked since the loop was started.
        """
        future = self._started().start_task_soon(_awaited, make)
        try:
            return future.result()
        except BaseException:
            # Ctrl-C arrives here, in the caller's thread; what it interrupted must not go on.
            future.cancel()
            raise

    def block(self, context: Any) -> AbstractContextManager[Any]:
        """Return a `with` block for an `async with` block, which is entered and left in one task of the loop."""
        return self._started().wrap_async_context_manager(context)

    def close(self) -> None:
        """Run `last` and end the thread; closing twice is harmless."""
        with self._lock:
            running, self._running = self._running, None
            self._closed = True
        _open.discard(self)
        if running is None:
            # Nothing was opened, but the client counts as closed all the same.
            run(self._last)
        elif running.is_here():
            running.end(self._last)

    def __del__(self, _is_ending: Callable[[], bool] = sys.is_finalizing) -> None:
        if self._running is None or not self._running.is_here() or _is_ending():
            return
        # On a thread, because a destructor may run on the very one that has to end.
        threading.Thread(target=self._running.end, args=(self._last,), daemon=True).start()
        warnings.warn("a blocking client was never closed; use `with`, or call close()", ResourceWarning, stacklevel=1)

    def _started(self) -> BlockingPortal:
        with self._lock:
            if self._closed:
                raise RuntimeError("this client is closed; make another, or leave its `with` block later")
            if self._running is None:
                self._running = _Running()
                _open.add(self)
            check_process(self._running.pid)
            return self._running.portal


class _Running:
    """A thread that runs a loop, with the portal into it.

    anyio's own `start_blocking_portal` is a generator, which in a forked child would wait for the thread of the parent
    when it is collected.
    """

    def __init__(self) -> None:
        ready: Future[BlockingPortal] = Future()
        self.pid = os.getpid()
        self._thread = threading.Thread(target=anyio.run, args=(_serve, ready), name=_NAME, daemon=True)
        self._thread.start()
        self.portal = ready.result()

    def is_here(self) -> bool:
        """Return whether the thread belongs to this process; after a fork it stays with the parent."""
        return self.pid == os.getpid()

    def end(self, last: Callable[[], Awaitable[None]]) -> None:
        try:
            self.portal.call(last)
        finally:
            self.portal.call(self.portal.stop)
            self._thread.join()


async def _serve(ready: Future[BlockingPortal]) -> None:
    async with BlockingPortal() as portal:
        ready.set_result(portal)
        await portal.sleep_until_stopped()


async def _awaited(make: Callable[[], Awaitable[T]]) -> T:
    return await make()


_open: WeakSet[ThreadLoop] = WeakSet()


@atexit.register
def _close_at_exit() -> None:
    """End the threads of clients that live as long as the program; the interpreter would wait for them for ever."""
    for loop in tuple(_open):
        loop.close()
