"""The file of stored answers: read at once, written in batches by a thread, shared by clients and processes."""

from __future__ import annotations

import sqlite3
import threading
import time
import warnings
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from .single_flight import PendingCall, SingleFlight
from .stored_answer import CacheFigures, Claim, StoredAnswer

_SCHEMA = """
CREATE TABLE IF NOT EXISTS answers (
    key BLOB PRIMARY KEY, model TEXT NOT NULL, made REAL NOT NULL, used REAL NOT NULL, cost_usd REAL,
    size INTEGER NOT NULL, answer BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS answers_by_use ON answers (used);
CREATE TABLE IF NOT EXISTS total (bytes INTEGER NOT NULL);
INSERT INTO total SELECT 0 WHERE NOT EXISTS (SELECT * FROM total);
CREATE TRIGGER IF NOT EXISTS added AFTER INSERT ON answers BEGIN UPDATE total SET bytes = bytes + new.size; END;
CREATE TRIGGER IF NOT EXISTS removed AFTER DELETE ON answers BEGIN UPDATE total SET bytes = bytes - old.size; END;
"""
_APPLICATION_ID = 0x6C6C6D63  # "llmc", at its place in the header of a SQLite file
# Longest wait for another process that writes; a reader never waits for one, but for the recovery after a crash.
_BUSY_S = 5.0
# Answers are rarely used again within so many seconds of their last use, which need not be exact.
_USE_WRITTEN_EVERY_S = 10.0
# Least time between two commits, each of which costs more than writing an answer; a kill loses the answers of it.
_WRITTEN_EVERY_S = 0.1
# Room that is made at a time when the file is full, as a share of its bound.
_EVICTED_SHARE = 0.1
# Answers that wait for a slow disk; further ones are not stored.
_MOST_UNWRITTEN = 10_000
_SELECT = "SELECT answer, model, cost_usd, made FROM answers WHERE key = ?"


class AnswerStore:
    """The answers in one file. All methods may be called from any thread, and none but `close` waits for the disk.

    A file that cannot be read or written, or is damaged, never fails a call: it warns once, and finds nothing more.

    Args:
        path: The file, made when it is missing.
        max_bytes: The size of the answers above which those that were not used for longest are removed.
    """

    claim: Claim | None = None

    def __init__(self, path: Path, max_bytes: int) -> None:
        self.path = path
        self.name = str(path)
        self.max_bytes = max_bytes
        self.single_flight = SingleFlight()
        self._lock = threading.Lock()
        self._unwritten: dict[bytes, StoredAnswer] = {}
        self._used: dict[bytes, float] = {}
        self._used_written_at = time.monotonic()
        self._work = threading.Event()
        self._closing = threading.Event()
        self._writer: threading.Thread | None = None
        self._reader: sqlite3.Connection | None = None
        self._failed = False
        try:
            self._reader = _open(path)
        except (sqlite3.Error, OSError) as error:
            self._fail(error)

    def get(self, key: bytes, *, max_age_s: float | None = None) -> StoredAnswer | None:
        """Return the answer of a request; None when there is none, or it is older than `max_age_s` seconds."""
        with self._lock:
            found = self._unwritten.get(key)
            if found is None:
                found = self._read(key)
            if found is None or not found.is_younger(max_age_s):
                return None
            self._used[key] = time.time()
            wake = time.monotonic() - self._used_written_at > _USE_WRITTEN_EVERY_S
        if wake:
            self._wake()
        return found

    async def find(self, key: bytes, *, max_age_s: float | None) -> StoredAnswer | None:
        """Return what `get` does."""
        return self.get(key, max_age_s=max_age_s)

    def put(self, key: bytes, answer: StoredAnswer, *, max_age_s: float | None = None) -> bool:
        """Store the answer of a request; it can be read at once, and is on the disk a moment later.

        Args:
            key: The fingerprint of the request.
            answer: The answer.
            max_age_s: Unused: each reader has an age of its own, and old answers leave by `prune`, or for others.

        Returns:
            Whether it is stored: it is not when it alone is larger than the cache, or the file has failed.
        """
        if answer.size > self.max_bytes:
            return False
        with self._lock:
            if self._failed or len(self._unwritten) >= _MOST_UNWRITTEN:
                return False
            self._unwritten[key] = answer
        self._wake()
        return True

    def land(self, key: bytes, flight: PendingCall) -> None:
        """Wake those who wait for a call that has ended."""
        self.single_flight.land(key, flight)

    def close(self) -> None:
        """Write what is left, and close the file."""
        writer, self._writer = self._writer, None
        if writer is not None:
            self._closing.set()
            self._work.set()
            writer.join()
        with self._lock:
            if self._reader is not None:
                self._reader.close()
                self._reader = None

    def _read(self, key: bytes) -> StoredAnswer | None:
        if self._reader is None or self._failed:
            return None
        try:
            row = self._reader.execute(_SELECT, (key,)).fetchone()
        except sqlite3.Error as error:
            self._fail(error)
            return None
        return None if row is None else StoredAnswer(*row)

    def _wake(self) -> None:
        """Have the writer write, after starting it."""
        with self._lock:
            if self._writer is None and not self._failed:
                self._writer = threading.Thread(target=self._write, name="asyncllm-cache", daemon=True)
                self._writer.start()
        self._work.set()

    def _write(self) -> None:
        """Write what has come since the last time, until the end."""
        try:
            connection = _open(self.path)
            try:
                is_last = False
                while not is_last and not self._failed:
                    self._work.wait()
                    self._work.clear()
                    is_last = self._closing.is_set()
                    self._write_out(connection)
                    self._closing.wait(_WRITTEN_EVERY_S)
            finally:
                connection.close()
        except (sqlite3.Error, OSError) as error:
            self._fail(error)

    def _write_out(self, connection: sqlite3.Connection) -> None:
        with self._lock:
            answers, used = dict(self._unwritten), self._used
            self._used, self._used_written_at = {}, time.monotonic()
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            _insert(connection, answers, used)
            _evict(connection, self.max_bytes)
        with self._lock:
            for key, answer in answers.items():
                if self._unwritten.get(key) is answer:
                    del self._unwritten[key]

    def _fail(self, error: Exception) -> None:
        if not self._failed:
            self._failed = True
            self._unwritten.clear()
            message = (
                f"the cache {self.path} cannot be used ({error}); calls go on without it. "
                "Make room on the disk, or remove the file."
            )
            with suppress(RuntimeWarning):  # where warnings are errors: it must not fail a call
                warnings.warn(message, RuntimeWarning, stacklevel=2)


def figures(path: Path) -> CacheFigures:
    """Return what a cache holds.

    Raises:
        OSError: There is no such file.
        sqlite3.Error: It is no cache, or damaged.
    """
    connection = _open_existing(path)
    try:
        count, cost, oldest = connection.execute("SELECT count(*), total(cost_usd), min(made) FROM answers").fetchone()
        (size,) = connection.execute("SELECT bytes FROM total").fetchone()
        models = connection.execute("SELECT model, count(*) FROM answers GROUP BY model ORDER BY 2 DESC, 1").fetchall()
    finally:
        connection.close()
    return CacheFigures(count, size, cost, oldest, dict(models))


def prune(path: Path, *, older_than_s: float | None = None, max_bytes: int | None = None) -> int:
    """Remove answers that are old, or those used least recently until the others fit; return how many.

    Raises:
        OSError: There is no such file.
        sqlite3.Error: It is no cache, or damaged.
    """
    connection = _open_existing(path)
    try:
        with connection:
            before = connection.total_changes
            connection.execute("BEGIN IMMEDIATE")
            (count,) = connection.execute("SELECT count(*) FROM answers").fetchone()
            if older_than_s is not None:
                connection.execute("DELETE FROM answers WHERE made < ?", (time.time() - older_than_s,))
            if max_bytes is not None:
                _evict(connection, max_bytes)
            (left,) = connection.execute("SELECT count(*) FROM answers").fetchone()
        if connection.total_changes > before:
            connection.execute("VACUUM")
    finally:
        connection.close()
    removed: int = count - left
    return removed


def _open(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
    try:
        (id,) = connection.execute("PRAGMA application_id").fetchone()
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if id == 0 and tables == 0:
            connection.execute("PRAGMA journal_mode = wal")
            connection.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA application_id = {_APPLICATION_ID}; COMMIT;")
        elif id != _APPLICATION_ID:
            raise sqlite3.DatabaseError("it is another database")
        # A crash of the machine may lose the last answers, never the file.
        connection.execute("PRAGMA synchronous = normal")
    except BaseException:
        connection.close()
        raise
    return connection


def _open_existing(path: Path) -> sqlite3.Connection:
    if not path.is_file():
        raise FileNotFoundError(f"there is no cache {path}")
    return _open(path)


def _insert(connection: sqlite3.Connection, answers: dict[bytes, StoredAnswer], used: dict[bytes, float]) -> None:
    connection.executemany("DELETE FROM answers WHERE key = ?", [(key,) for key in answers])
    connection.executemany("INSERT INTO answers VALUES (?, ?, ?, ?, ?, ?, ?)", _rows(answers))
    connection.executemany("UPDATE answers SET used = ? WHERE key = ?", [(when, key) for key, when in used.items()])


def _rows(answers: dict[bytes, StoredAnswer]) -> Iterable[tuple[object, ...]]:
    for key, answer in answers.items():
        yield key, answer.model, answer.made_at, answer.made_at, answer.cost_usd, answer.size, answer.data


def _evict(connection: sqlite3.Connection, max_bytes: int) -> None:
    """Remove the answers that were not used for longest, where the others would not fit."""
    (size,) = connection.execute("SELECT bytes FROM total").fetchone()
    if size <= max_bytes:
        return
    surplus = size - max_bytes * (1 - _EVICTED_SHARE)
    removed: list[tuple[bytes]] = []
    for key, row_size in connection.execute("SELECT key, size FROM answers ORDER BY used"):
        if surplus <= 0:
            break
        surplus -= row_size
        removed.append((key,))
    connection.executemany("DELETE FROM answers WHERE key = ?", removed)
