"""The bridge's loop and its thread."""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
from collections.abc import Awaitable, Callable

from .executor import Executor

# How long a cancelled caller waits until the loop has closed its connection. That takes about a millisecond; a loop
# that is busy for longer (a tokenizer being built) must not hold up the caller's cancellation.
CANCEL_GRACE_S = 2.0
# litellm prepares each call in the loop's executor. That is Python code: more threads would only fight for the GIL,
# with the user's loop too; a second one goes on while a cloud login blocks the first.
_EXECUTOR_THREADS = 2

ENDED = "the client was closed while this call was running"


class LoopThread:
    """A loop on a thread; one for the process at a time, shared by those that hold it.

    Attributes:
        loop: The loop.
        pid: The process that started the thread.
    """

    _lock = threading.Lock()
    _current: LoopThread | None = None

    def __init__(self, previous: LoopThread | None) -> None:
        self.loop = asyncio.new_event_loop()
        self.pid = os.getpid()
        self._on_close: set[Callable[[], Awaitable[None]]] = set()
        self._previous = previous
        self._shares = 0
        self._ended: list[Callable[[], None]] = []
        self._thread = threading.Thread(target=self._run, name="asyncllm-loop", daemon=True)
        self._thread.start()

    @classmethod
    def share(cls, on_close: Callable[[], Awaitable[None]] | None) -> LoopThread:
        """Return the running one, or start it.

        Args:
            on_close: Runs on the loop before it ends, once however many give the same.
        """
        with cls._lock:
            current = cls._current
            if current is None or current._shares == 0 or current.pid != os.getpid():
                # One that is ending still closes what the process shares; the next waits for it on its own thread.
                previous = current if current is not None and current.pid == os.getpid() else None
                current = cls._current = LoopThread(previous)
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
        """Wait for the thread, after its last share was given back."""
        self._thread.join()
        with self._lock:
            if LoopThread._current is self:
                LoopThread._current = None

    @classmethod
    def stop_at_exit(cls) -> None:
        """End the thread before the interpreter ends, so that an unclosed client leaves no broken connection."""
        current = cls._current
        if current is not None and current.pid == os.getpid() and current._thread.is_alive() and current._shares:
            current.loop.call_soon_threadsafe(current.loop.stop)
            current._thread.join(CANCEL_GRACE_S)

    def _run(self) -> None:
        if self._previous is not None:
            self._previous._thread.join()
            self._previous = None
        asyncio.set_event_loop(self.loop)
        self.loop.set_default_executor(Executor(_EXECUTOR_THREADS, thread_name_prefix="asyncllm-loop"))
        try:
            self.loop.run_forever()
            self.loop.run_until_complete(self._close())
        finally:
            asyncio.set_event_loop(None)
            self.loop.close()
            for ended in self._ended:
                ended()

    async def _close(self) -> None:
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


atexit.register(LoopThread.stop_at_exit)
