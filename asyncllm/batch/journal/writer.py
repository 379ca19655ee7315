"""The thread that writes a journal: many operations to a transaction, and an answer only after its commit."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import anyio

from asyncllm.threads import ThreadEvent, into_this_loop

from .journal_file import failures
from .store import JournalStore

T = TypeVar("T")
Operation = Callable[[JournalStore], T]

# The least time between the beginnings of two commits: items that end in the meantime share one. It costs an item two
# milliseconds, where a model takes many; a transaction for each item would be most of what a journal costs.
BETWEEN_COMMITS_S = 0.002


class JournalWriter:
    """Runs operations on a store, on a thread of its own; made in the loop that awaits them.

    Attributes:
        failure: Why the journal cannot be written any more; None while it can.
        failed: Set when it cannot.
    """

    def __init__(self, open_store: Callable[[], JournalStore], path: Path | None) -> None:
        self._open_store = open_store
        self._path = path
        self._queue: queue.SimpleQueue[_Submitted | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name="asyncllm-journal", daemon=True)
        self._call_soon = into_this_loop()
        self._opened = ThreadEvent()
        self._ended = ThreadEvent()
        self.failure: BaseException | None = None
        self.failed = anyio.Event()

    async def start(self) -> None:
        """Start the thread, and wait until the journal is open."""
        self._thread.start()
        with anyio.CancelScope(shield=True):
            await self._opened.wait()
            if self.failure is not None:
                await self._ended.wait()
                self._thread.join()
                raise self.failure

    async def run(self, operation: Operation[T]) -> T:
        """Run an operation, and return its result once it is committed."""
        results: list[T] = []
        submitted = self._submit(lambda store: results.append(operation(store)))
        await submitted.answered.wait()
        if not submitted.committed:
            assert self.failure is not None
            raise self.failure
        return results[0]

    def post(self, operation: Operation[object]) -> None:
        """Run an operation without waiting for it."""
        self._submit(operation)

    async def close(self) -> None:
        """Run what was submitted, close the journal, and end the thread."""
        self._queue.put(None)
        with anyio.CancelScope(shield=True):
            await self._ended.wait()
        self._thread.join()

    def _submit(self, operation: Operation[object]) -> _Submitted:
        submitted = _Submitted(operation)
        self._queue.put(submitted)
        return submitted

    def _serve(self) -> None:
        try:
            with failures(self._path):
                store = self._open_store()
        except BaseException as error:
            self.failure = error
            self._opened.set()
            self._ended.set()
            return
        self._opened.set()
        try:
            self._work(store)
        finally:
            with suppress(Exception):  # the failure that matters has been reported
                store.close()
            self._ended.set()

    def _work(self, store: JournalStore) -> None:
        open, next_commit = True, 0.0
        while open:
            submitted = [self._queue.get()]
            pause = next_commit - time.monotonic()
            if pause > 0 and submitted[0] is not None:
                time.sleep(pause)
            next_commit = time.monotonic() + BETWEEN_COMMITS_S
            while not self._queue.empty():
                submitted.append(self._queue.get())
            open = None not in submitted
            self._commit(store, [one for one in submitted if one is not None])

    def _commit(self, store: JournalStore, submitted: Sequence[_Submitted]) -> None:
        if self.failure is None and submitted:
            try:
                with failures(self._path):
                    store.transaction()
                    for one in submitted:
                        one.operation(store)
                    store.commit()
                for one in submitted:
                    one.committed = True
            except BaseException as error:
                self.failure = error
                with suppress(Exception):  # the failure that matters is known
                    store.roll_back()
        with suppress(RuntimeError):  # the loop is closed: no task waits any more
            self._call_soon(self._wake, submitted)

    def _wake(self, submitted: Sequence[_Submitted]) -> None:
        """Wake those that wait for operations; on their loop."""
        if self.failure is not None:
            self.failed.set()
        for one in submitted:
            one.answered.set()


class _Submitted:
    """An operation, and whether it is committed."""

    __slots__ = ("answered", "committed", "operation")

    def __init__(self, operation: Operation[object]) -> None:
        self.operation = operation
        self.answered = anyio.Event()
        self.committed = False
