"""Streams read across the bridge: what is there crosses together, and a slow reader stops the provider."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Generic, TypeVar

import anyio

from asyncllm.completions.text_chunk import AnyChunk
from asyncllm.threads import ThreadEvent

from .loop_thread import CANCEL_GRACE_S, ENDED

T = TypeVar("T")

# Chunks that may wait for a slow reader, before the provider is no longer read: enough for several to cross at once.
PENDING_CHUNKS = 64


class Crossing(Generic[T]):
    """The items of an async generator of the bridge's loop, read from another loop.

    They are read in batches, in order. Made on the bridge's loop.
    """

    def __init__(self, items: AsyncGenerator[Sequence[T], None]) -> None:
        self._items = items
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._pending: deque[T] = deque()
        self._ended = False
        self._error: BaseException | None = None
        self._reader: ThreadEvent | None = None
        self._full = False
        self._room = asyncio.Event()
        self._started = False
        self._task = self._loop.create_task(self._pump())

    async def read(self, timeout_s: float) -> list[T]:
        """Return what is there, at least one item; an empty list at the end.

        Raises:
            TimeoutError: Nothing came within the time.
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
        """Cancel the generator and wait until it has ended."""
        closed = ThreadEvent()
        with suppress(RuntimeError):  # the loop has ended, and the generator with it
            self._loop.call_soon_threadsafe(self._close, closed.set)
            with anyio.move_on_after(CANCEL_GRACE_S, shield=True):
                await closed.wait()

    def abandon(self) -> None:
        """Cancel the generator without waiting, from any thread."""
        with suppress(RuntimeError):  # the loop has ended, and the generator with it
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
        error, self._error = self._error, None
        if error is None:
            return [] if self._ended else None
        try:
            raise error
        finally:
            del error  # its traceback holds this frame

    def _close(self, closed: Callable[[], None]) -> None:
        if not self._started:
            # A task that is cancelled before its first step never runs at all, and the generator would stay open.
            self._loop.call_soon(self._close, closed)
            return
        self._task.cancel()
        self._task.add_done_callback(lambda _: closed())

    async def _pump(self) -> None:
        self._started = True
        error: BaseException | None = None
        try:
            async for items in self._items:
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
            error = RuntimeError(ENDED)
            raise
        finally:
            try:
                await self._items.aclose()
            finally:
                with self._lock:
                    self._ended, self._error = True, error
                    self._wake()

    def _wake(self) -> None:
        if self._reader is not None:
            self._reader.set()
            self._reader = None


class CrossingStream:
    """A stream of the bridge's loop, read from another loop.

    Attributes:
        headers: The response headers, lower case.
        build_response: Makes litellm's `ModelResponse` of an assembled answer.
    """

    def __init__(
        self,
        headers: Mapping[str, str],
        build_response: Callable[[dict[str, object]], object] | None,
        chunks: AsyncGenerator[Sequence[AnyChunk], None],
    ) -> None:
        self.headers = headers
        self.build_response = build_response
        self._crossing = Crossing(chunks)

    async def read(self, timeout_s: float) -> Sequence[AnyChunk]:
        """Return the chunks that are there, at least one; none at the end."""
        return await self._crossing.read(timeout_s)

    async def aclose(self) -> None:
        """Close the connection; returns when it is closed."""
        await self._crossing.aclose()

    def abandon(self) -> None:
        """Close the connection without waiting, from any thread."""
        self._crossing.abandon()
