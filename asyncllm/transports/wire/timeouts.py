"""Timeouts that share one timer of the loop, for thousands of calls of which none is expected to time out."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

# A timeout may be this late. More precision would cost a wake-up for every call rather than one for many.
_RESOLUTION_S = 0.01


class Timers:
    """The pending timeouts of one asyncio loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._pending: dict[Timeout, float] = {}
        self._handle: asyncio.TimerHandle | None = None
        self._wakes_at = 0.0

    def limit(self, seconds: float) -> Timeout:
        """Return a context manager that cancels its block after some time and raises TimeoutError instead."""
        return Timeout(self, seconds)

    def close(self) -> None:
        """Cancel the timer."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def add(self, timeout: Timeout, seconds: float) -> None:
        """Schedule a timeout."""
        at = self.loop.time() + seconds
        self._pending[timeout] = at
        if self._handle is None or at < self._wakes_at - _RESOLUTION_S:
            self._wake_at(at)

    def remove(self, timeout: Timeout) -> None:
        """Forget a timeout that has not fired."""
        # The timer is left as it is: it will find nothing due, and look for the next.
        self._pending.pop(timeout, None)

    def _wake_at(self, at: float) -> None:
        if self._handle is not None:
            self._handle.cancel()
        self._wakes_at = at
        self._handle = self.loop.call_at(at, self._fire)

    def _fire(self) -> None:
        self._handle = None
        due_by = self.loop.time() + _RESOLUTION_S
        for timeout in [timeout for timeout, at in self._pending.items() if at <= due_by]:
            del self._pending[timeout]
            timeout.fire()
        if self._pending:
            self._wake_at(min(self._pending.values()))


class Timeout:
    """One timeout, with the cancellation semantics of `asyncio.timeout`."""

    __slots__ = ("_cancelling", "_fired", "_seconds", "_task", "_timers")

    def __init__(self, timers: Timers, seconds: float) -> None:
        self._timers = timers
        self._seconds = seconds
        self._fired = False

    def __enter__(self) -> Self:
        task = asyncio.current_task()
        assert task is not None, "a timeout belongs to a task"
        self._task: asyncio.Task[object] = task
        self._cancelling = task.cancelling()
        self._timers.add(self, self._seconds)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if not self._fired:
            self._timers.remove(self)
            return
        # A task that was cancelled by others as well stays cancelled.
        if self._task.uncancel() <= self._cancelling and kind is not None and issubclass(kind, asyncio.CancelledError):
            raise TimeoutError from None

    def fire(self) -> None:
        """Cancel the block; called by the timer."""
        self._fired = True
        self._task.cancel()
