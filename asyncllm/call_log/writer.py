"""CallLog: entries taken from calls, and written by a thread."""

from __future__ import annotations

import queue
import sqlite3
import threading
import warnings
from contextlib import suppress
from pathlib import Path

from .database import CallDatabase
from .entry import LoggedCall
from .folder import CallFolder

# A process that is killed loses the calls of this time, at the most.
_WRITTEN_EVERY_S = 0.25
# Entries that wait for a slow disk; further ones are lost, rather than the memory.
_MOST_UNWRITTEN = 100_000


class CallLog:
    """A log of calls. It never fails a call: a file that cannot be written warns once, and is not written any more.

    Args:
        path: A SQLite file, or a folder for JSON Lines: one that exists, or a name that ends with a slash.
        max_bytes: The size above which the oldest calls are removed.
        max_age_days: The age above which they are; None for any.
    """

    def __init__(self, path: str | Path, *, max_bytes: int, max_age_days: float | None) -> None:
        self.path = path
        self.max_bytes = max_bytes
        self.max_age_days = max_age_days
        self._entries: queue.SimpleQueue[LoggedCall] = queue.SimpleQueue()
        self._closing = threading.Event()
        self._writer: threading.Thread | None = None
        self._lock = threading.Lock()
        self._failed = False

    def add(self, call: LoggedCall) -> None:
        """Add a call; from any thread, without waiting."""
        if self._failed or self._entries.qsize() >= _MOST_UNWRITTEN:
            return
        self._entries.put(call)
        if self._writer is None:
            self._start()

    def close(self) -> None:
        """Write what is left; returns when it is written."""
        self._closing.set()
        writer = self._writer
        if writer is not None:
            writer.join()

    def _start(self) -> None:
        with self._lock:
            if self._writer is None:
                self._writer = threading.Thread(target=self._write, name="asyncllm-call-log", daemon=True)
                self._writer.start()

    def _write(self) -> None:
        try:
            log = open_log(self.path, create=True)
            try:
                is_last = False
                while not is_last:
                    is_last = self._closing.wait(_WRITTEN_EVERY_S)
                    calls = self._taken()
                    if calls:
                        log.add(calls, max_bytes=self.max_bytes, max_age_days=self.max_age_days)
            finally:
                log.close()
        except (sqlite3.Error, OSError) as error:
            self._failed = True
            message = f"the call log {self.path} cannot be written ({error}); calls go on without it."
            with suppress(RuntimeWarning):  # where warnings are errors: it must not fail a call
                warnings.warn(message, RuntimeWarning, stacklevel=2)

    def _taken(self) -> list[LoggedCall]:
        calls: list[LoggedCall] = []
        with suppress(queue.Empty):
            while True:
                calls.append(self._entries.get_nowait())
        return calls


def open_log(path: str | Path, *, create: bool = False) -> CallDatabase | CallFolder:
    """Open a log: a folder where the name ends with a slash or is one, else a SQLite file.

    Raises:
        FileNotFoundError: It is missing, and is not to be made.
        sqlite3.Error: The file is another database, or damaged.
    """
    file = Path(path)
    if str(path).endswith("/") or file.is_dir():
        return CallFolder(file, create=create)
    return CallDatabase(file, create=create)
