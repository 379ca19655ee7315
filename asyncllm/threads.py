"""Events that wake a task from any thread, blocking functions on a thread of their own, and the check for a fork."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

import anyio
import anyio.lowlevel

from .errors import UnsupportedError

T = TypeVar("T")


class ThreadEvent:
    """An event that one task awaits and any thread may set; made in the task's own loop."""

    __slots__ = ("_call_soon", "_event")

    def __init__(self) -> None:
        self._call_soon = into_this_loop()
        self._event = anyio.Event()

    def set(self) -> None:
        """Wake the task; setting twice is harmless."""
        with suppress(RuntimeError):  # its loop is closed, and the task is gone
            self._call_soon(self._event.set)

    def clear(self) -> None:
        """Reset it, so that it can be awaited again; called by the waiting task."""
        self._event = anyio.Event()

    def is_set(self) -> bool:
        """Return whether it has been set."""
        return self._event.is_set()

    async def wait(self) -> None:
        """Wait until it is set."""
        await self._event.wait()


def into_this_loop() -> Callable[..., object]:
    """Return a function that schedules another on the running loop, from any thread.

    It raises RuntimeError once the loop has ended.
    """
    native: Any = anyio.lowlevel.current_token().native_token
    # asyncio's loop and trio's token each have one thread-safe method for it.
    schedule: Callable[..., object] = (
        native.call_soon_threadsafe if hasattr(native, "call_soon_threadsafe") else native.run_sync_soon
    )
    return schedule


async def run_in_own_thread(function: Callable[[], T], *, abandon_on_cancel: bool = False) -> T:
    """Run a blocking function on a thread of its own; a pool's thread would outlive the client.

    Args:
        function: The function.
        abandon_on_cancel: Return at once when cancelled, and leave the thread to finish; otherwise wait for it first.
    """
    results: list[T] = []
    errors: list[BaseException] = []
    done = ThreadEvent()

    def run() -> None:
        try:
            results.append(function())
        except BaseException as error:
            errors.append(error)
        done.set()

    thread = threading.Thread(target=run, name="asyncllm-worker", daemon=True)
    thread.start()
    with anyio.CancelScope(shield=not abandon_on_cancel):
        await done.wait()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def check_process(pid: int) -> None:
    """Raise if the process has forked: threads do not survive a fork, and waiting for one would hang.

    Args:
        pid: The process that started the threads.

    Raises:
        UnsupportedError: The process has forked.
    """
    if pid != os.getpid():
        raise UnsupportedError(
            "this client was used before the process forked, and its connections belong to the parent.",
            hint="Make the client in the child process, or start workers with the 'spawn' method.",
        )


class Soon:
    """Calls on the loop that it is made in, from any thread; those that are asked for together are one.

    Attributes:
        is_due: Whether a call is still to come, so that no other is needed.
        is_of_all: Set by a caller for whom the call has more to do; it takes it back.
    """

    __slots__ = ("_call_soon", "is_due", "is_of_all")

    def __init__(self) -> None:
        self._call_soon = into_this_loop()
        self.is_due = self.is_of_all = False

    def call(self, function: Callable[[], object]) -> None:
        """Have a function called, unless a call is due."""
        if self.is_due:
            return
        self.is_due = True
        try:
            self._call_soon(function)
        except RuntimeError:  # the loop is closed: no request waits any more
            self.is_due = False
