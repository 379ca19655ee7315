"""A client of Redis on a thread with a loop of its own, for callers on any thread and loop."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Generic, TypeVar

import anyio

from ..config.redis_connection import open_redis
from ..threads import ThreadEvent, check_process, into_this_loop

if TYPE_CHECKING:
    from anyio.abc import TaskGroup
    from coredis import Redis, RedisCluster

    Client = Redis[bytes] | RedisCluster[bytes]

T = TypeVar("T")

# Time for what is under way when the thread is closed.
_GRACE_S = 3.0


class RedisThread:
    """Runs commands on one client; it connects with the first, and again after a failure.

    Args:
        url: The URL, as `open_redis` takes it.
        timeout_s: Seconds for connecting, and for a command.
    """

    def __init__(self, url: str, timeout_s: float) -> None:
        self._url = url
        self._timeout_s = timeout_s
        self._pid = os.getpid()
        self._jobs: deque[_RedisJob[object]] = deque()
        self._is_closing = False
        self._call_soon: Callable[..., object]
        self._woken: anyio.Event
        self._closing: anyio.Event
        ready = threading.Event()
        self._thread = threading.Thread(target=anyio.run, args=(self._serve, ready), name="asyncllm-redis", daemon=True)
        self._thread.start()
        ready.wait()

    async def run(self, command: Callable[[Client], Awaitable[T]], *, undo: Callable[[T], object] | None = None) -> T:
        """Run a command and return its result.

        Args:
            command: Called on the thread, with the client.
            undo: Called on the thread with a result that the caller, cancelled meanwhile, will not see.
        """
        check_process(self._pid)
        done = ThreadEvent()
        job = _RedisJob(command, lambda _error: done.set(), undo)
        self._add(job)
        try:
            await done.wait()
        except BaseException:
            self._call_soon(job.cancel)
            raise
        return job.result()

    def start(self, command: Callable[[Client], Awaitable[None]], ended: Callable[[Exception | None], object]) -> None:
        """Run a command without waiting for it, from any thread; `ended` gets its error."""
        self._add(_RedisJob(command, ended))

    async def pause(self, seconds: float) -> bool:
        """Wait within a command; return False at once when the thread is closed."""
        with anyio.move_on_after(seconds):
            await self._closing.wait()
        return not self._is_closing

    def close(self) -> None:
        """End the thread when all commands have ended; returns when it has."""
        if self._pid == os.getpid():
            self._is_closing = True
            self._call_soon(self._wake)
            self._thread.join()

    def _add(self, job: _RedisJob[T]) -> None:
        self._jobs.append(job)  # type: ignore[arg-type]  # what it returns is for its caller alone
        self._call_soon(self._wake)

    def _wake(self) -> None:
        self._woken.set()
        if self._is_closing:
            self._closing.set()

    async def _serve(self, ready: threading.Event) -> None:
        self._call_soon, self._woken, self._closing = into_this_loop(), anyio.Event(), anyio.Event()
        ready.set()
        while not self._is_closing or self._jobs:
            await self._woken.wait()
            if self._is_closing and not self._jobs:
                return
            try:
                async with open_redis(self._url, self._timeout_s) as client, anyio.create_task_group() as tasks:
                    await self._start_jobs(client, tasks)
            except Exception as error:
                self._woken = anyio.Event()
                while self._jobs:
                    self._jobs.popleft().fail(error)

    async def _start_jobs(self, client: Client, tasks: TaskGroup) -> None:
        while True:
            self._woken = anyio.Event()
            while self._jobs:
                tasks.start_soon(self._jobs.popleft().run, client)
            if self._is_closing:
                tasks.cancel_scope.deadline = anyio.current_time() + _GRACE_S
                return
            await self._woken.wait()


class _RedisJob(Generic[T]):
    """A command on the thread, and how it ended."""

    def __init__(
        self,
        command: Callable[[Client], Awaitable[T]],
        ended: Callable[[Exception | None], object],
        undo: Callable[[T], object] | None = None,
    ) -> None:
        self._command = command
        self._ended = ended
        self._undo = undo
        self._scope: anyio.CancelScope | None = None
        self._is_cancelled = False
        self._result: T
        self._error: Exception | None = ConnectionError("the cache was closed")

    async def run(self, client: Client) -> None:
        try:
            with anyio.CancelScope() as self._scope:
                if not self._is_cancelled:
                    self._result = await self._command(client)
                    self._error = None
                    if self._is_cancelled and self._undo is not None:
                        self._undo(self._result)
        except Exception as error:
            self._error = error
        finally:
            self._ended(self._error)

    def fail(self, error: Exception) -> None:
        self._error = error
        self._ended(error)

    def cancel(self) -> None:
        self._is_cancelled = True
        if self._scope is not None:
            self._scope.cancel()
            if self._error is None and self._undo is not None:
                self._undo(self._result)  # it had ended before the cancellation arrived

    def result(self) -> T:
        error, self._error = self._error, None
        if error is None:
            return self._result
        try:
            raise error
        finally:
            del error  # its traceback holds this frame
