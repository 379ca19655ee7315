"""The thread that writes a journal: many items to a transaction, and an answer only after its commit."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Generic, TypeVar

import anyio

from asyncllm.threads import ThreadEvent, into_this_loop

from .journal_file import failures
from .store import Store

T = TypeVar("T")
Job = Callable[[Store], T]

# Commits begin this far apart at the least: items that end in the meantime share one. It costs an item two thousandths
# of a second, where a model takes many; without it, a transaction for each item would be most of what a journal costs.
BETWEEN_COMMITS_S = 0.002


class Writer:
    """Runs jobs on a store, on a thread of its own; made in the loop that asks for them.

    Args:
        make: Opens the store, on that thread.
        path: The journal, for messages.

    Attributes:
        failure: Why the journal cannot be written any more; None while it can.
        failed: Set when it cannot.
    """

    def __init__(self, make: Callable[[], Store], path: Path | None) -> None:
        self._make = make
        self._path = path
        self._jobs: queue.SimpleQueue[_Asked[Any] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name="asyncllm-journal", daemon=True)
        self._call_soon = into_this_loop()
        self._opened = ThreadEvent()
        self._ended = ThreadEvent()
        self.failure: BaseException | None = None
        self.failed = anyio.Event()

    async def start(self) -> None:
        """Start the thread, and wait until the journal is open.

        Raises:
            JournalError: It cannot be opened.
        """
        self._thread.start()
        with anyio.CancelScope(shield=True):
            await self._opened.wait()
            if self.failure is not None:
                await self._ended.wait()
                self._thread.join()
                raise self.failure

    async def do(self, job: Job[T]) -> T:
        """Have a job done, and return what it gives once that is committed.

        Raises:
            JournalError: The journal cannot be written; nothing of the job is.
        """
        asked = _Asked(job)
        self._jobs.put(asked)
        await asked.answered.wait()
        if not asked.committed:
            assert self.failure is not None
            raise self.failure
        return asked.result

    def post(self, job: Job[object]) -> None:
        """Have a job done that nobody waits for."""
        self._jobs.put(_Asked(job))

    async def close(self) -> None:
        """Have done what was asked for, close the journal, and end the thread."""
        self._jobs.put(None)
        with anyio.CancelScope(shield=True):
            await self._ended.wait()
        self._thread.join()

    def _serve(self) -> None:
        try:
            with failures(self._path):
                store = self._make()
        except BaseException as error:
            self.failure = error
            self._opened.set()
            self._ended.set()
            return
        self._opened.set()
        try:
            self._work(store)
        finally:
            with suppress(Exception):  # it has failed before, and that has been said
                store.close()
            self._ended.set()

    def _work(self, store: Store) -> None:
        going_on, next_commit = True, 0.0
        while going_on:
            asked = [self._jobs.get()]
            pause = next_commit - time.monotonic()
            if pause > 0 and asked[0] is not None:
                time.sleep(pause)
            next_commit = time.monotonic() + BETWEEN_COMMITS_S
            while not self._jobs.empty():
                asked.append(self._jobs.get())
            going_on = None not in asked
            self._commit(store, [one for one in asked if one is not None])

    def _commit(self, store: Store, asked: list[_Asked[Any]]) -> None:
        if self.failure is None and asked:
            try:
                with failures(self._path):
                    store.transaction()
                    for one in asked:
                        one.result = one.job(store)
                    store.commit()
                for one in asked:
                    one.committed = True
            except BaseException as error:
                self.failure = error
                with suppress(Exception):  # what failed is known already
                    store.roll_back()
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._call_soon(self._tell, asked)

    def _tell(self, asked: list[_Asked[Any]]) -> None:
        if self.failure is not None:
            self.failed.set()
        for one in asked:
            one.answered.set()


class _Asked(Generic[T]):
    """A job, and what came of it."""

    __slots__ = ("answered", "committed", "job", "result")

    result: T

    def __init__(self, job: Job[T]) -> None:
        self.job = job
        self.answered = anyio.Event()
        self.committed = False
