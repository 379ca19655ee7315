"""The file of a journal: how it is laid out, opened, held by one process at a time, and what its failures mean.

It is a SQLite database in WAL mode, so that others can read while one process writes, and a commit costs no fsync
unless it is asked for.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import IO, Literal
from urllib.parse import quote

from asyncllm.errors import JournalError

Durability = Literal["normal", "full"]

APPLICATION_ID = 0x61734C4A  # "asLJ": tells a journal from any other database
VERSION = 1

# How far an item is. One that is UNKNOWN was sent and never answered: it is paid for, perhaps, and nobody knows.
WAITING, DONE, TRUNCATED, FAILED, UNKNOWN = range(5)

# `items` is the store of the latest run: which inputs there are, where they stand, and how far they are. `answers` has
# what was paid for, and everything that is needed to find it again without the store: each row stands for itself, so
# that a damaged file loses only the rows that are damaged.
# The columns `stem` (the key of a request) and `terms` (its settings) have the names of format 1.
_SCHEMA = """
CREATE TABLE runs (
    run INTEGER PRIMARY KEY, started_at REAL NOT NULL, ended_at REAL, ended TEXT, terms TEXT NOT NULL, again TEXT,
    answered INTEGER NOT NULL DEFAULT 0, failed INTEGER NOT NULL DEFAULT 0, unknown INTEGER NOT NULL DEFAULT 0,
    input_tokens INTEGER NOT NULL DEFAULT 0, output_tokens INTEGER NOT NULL DEFAULT 0,
    cost_usd REAL NOT NULL DEFAULT 0, unpriced INTEGER NOT NULL DEFAULT 0, unknown_usd REAL NOT NULL DEFAULT 0,
    charged_usd REAL NOT NULL DEFAULT 0
);
CREATE TABLE terms (digest BLOB PRIMARY KEY, parts TEXT NOT NULL, own TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE items (
    number INTEGER PRIMARY KEY, stem BLOB NOT NULL, occurrence INTEGER NOT NULL, run INTEGER NOT NULL,
    position INTEGER NOT NULL, state INTEGER NOT NULL, UNIQUE (stem, occurrence)
);
CREATE TABLE answers (
    number INTEGER PRIMARY KEY, checksum INTEGER NOT NULL, version INTEGER NOT NULL, stem BLOB NOT NULL,
    occurrence INTEGER NOT NULL, sent BLOB NOT NULL, prompt BLOB NOT NULL, terms BLOB NOT NULL,
    state INTEGER NOT NULL, error TEXT, input_tokens INTEGER, output_tokens INTEGER, cost_usd REAL, entry BLOB NOT NULL
);
CREATE TABLE shared (sent BLOB PRIMARY KEY, number INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE samples (
    at REAL NOT NULL, run INTEGER NOT NULL, in_flight INTEGER NOT NULL, waiting INTEGER NOT NULL, done INTEGER NOT NULL,
    failed INTEGER NOT NULL, tokens INTEGER NOT NULL, cost_usd REAL NOT NULL, limited_by TEXT
);
"""


_LOCAL = "Put it onto a local disk."

# How often, and how many seconds apart, the right to write is asked for: a reader that wants to know whether anybody
# has it takes it for a moment.
_TRIES = 5
# Another program may look into the database for a moment; one that writes for longer than this is in the way.
BUSY_TIMEOUT_S = 5.0
_BETWEEN_TRIES_S = 0.01


class Hold:
    """The right to write a journal, which one process has at a time; the system takes it back when that is killed.

    Args:
        path: The journal.

    Raises:
        JournalError: Another has it, or the directory cannot be written.
    """

    def __init__(self, path: Path) -> None:
        # A file of its own: closing a second descriptor of the database would release SQLite's locks on it.
        self._path = lock_path(path)
        self._file: IO[bytes] | None = None
        while self._file is None:
            try:
                file = self._path.open("ab")
            except OSError as error:
                raise _unwritable(path, error) from None
            if self._locked(file, path):
                self._file = file
            else:
                file.close()  # the one before us has just removed it

    def release(self) -> None:
        """Give the right back."""
        file, self._file = self._file, None
        if file is not None:
            # While it is still held, so that nobody holds a file that is not there any more.
            with suppress(OSError):
                self._path.unlink()
            file.close()

    def _locked(self, file: IO[bytes], path: Path) -> bool:
        for _ in range(_TRIES):
            with suppress(BlockingIOError):
                return self._try(file, path)
            time.sleep(_BETWEEN_TRIES_S)
        file.close()
        raise JournalError(
            f"the journal {path} is in use by another run.",
            hint="Wait for its end, or give this run another journal; Journal.read() can read it meanwhile.",
        )

    def _try(self, file: IO[bytes], path: Path) -> bool:
        try:
            _lock(file, exclusively=True)
        except BlockingIOError:
            raise
        except OSError as error:
            file.close()
            raise JournalError(f"the journal {path} cannot be locked: {error.strerror}.", hint=_LOCAL) from None
        with suppress(OSError):
            return os.fstat(file.fileno()).st_ino == self._path.stat().st_ino
        return False


def is_held(path: Path) -> bool:
    """Tell whether somebody is writing a journal."""
    try:
        with lock_path(path).open("rb") as file:
            _lock(file, exclusively=False)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


def _lock(file: IO[bytes], *, exclusively: bool) -> None:
    """Lock a file, or raise BlockingIOError where somebody else has."""
    import fcntl  # here, because Windows has none, and only journals need it

    fcntl.flock(file, (fcntl.LOCK_EX if exclusively else fcntl.LOCK_SH) | fcntl.LOCK_NB)


def lock_path(path: Path) -> Path:
    """Return the file that says who writes a journal."""
    return beside(path, "-lock")


def in_flight_path(path: Path) -> Path:
    """Return the file that says what a run has in flight."""
    return beside(path, "-sent")


def open_to_write(path: Path | None, durability: Durability) -> sqlite3.Connection:
    """Open a journal, or make it.

    Args:
        path: The file; None for a database that nobody else sees and that is gone when it is closed.
        durability: Whether a commit waits for the disk.

    Raises:
        JournalError: It cannot be written, is damaged, is none, or is of a newer version.
    """
    if path is None:
        scratch = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        scratch.execute("PRAGMA journal_mode = OFF")
        scratch.executescript(f"BEGIN; {_SCHEMA} COMMIT;")
        return scratch
    with failures(path):
        new = not path.exists() or path.stat().st_size == 0
        if new:
            _make(path)
        elif not os.access(path, os.W_OK):
            raise _read_only(path)
        connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
    try:
        with failures(path):
            _check(connection, path)
            connection.execute(f"PRAGMA synchronous = {durability}")
            if not new:
                _check_pages(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def open_to_read(path: Path) -> sqlite3.Connection:
    """Open a journal for reading, also while another process writes it.

    Raises:
        JournalError: It is not there, damaged, none, or of a newer version.
    """
    if not path.is_file():
        raise JournalError(f"there is no journal {path}.", hint="Check the path; the first run makes it.")
    # Where the directory cannot be written, SQLite can make no shared memory, and nobody else can have any.
    immutable = "" if os.access(path.parent, os.W_OK) or beside(path, "-wal").exists() else "&immutable=1"
    with failures(path):
        connection = sqlite3.connect(
            f"file:{quote(str(path))}?mode=ro{immutable}", uri=True, isolation_level=None, check_same_thread=False
        )
        try:
            _check(connection, path)
        except BaseException:
            connection.close()
            raise
    return connection


@contextmanager
def failures(path: Path | None) -> Iterator[None]:
    """Turn what SQLite and the system say into a JournalError that says what to do."""
    failure: JournalError | None = None
    try:
        yield
    except sqlite3.Error as error:
        failure = _translated(path, error)
    except OSError as error:
        failure = _unwritable(path, error)
    if failure is not None:
        raise failure


def damaged(path: Path | None, what: str) -> JournalError:
    """Make the error of a damaged journal."""
    return JournalError(
        f"the journal {path} is damaged: {what}.",
        hint="Call Journal.recover(path): it keeps every answer that is whole, and the damaged file beside it.",
    )


def _check(connection: sqlite3.Connection, path: Path) -> None:
    """Refuse what is no journal, or one of the future."""
    application, version = (
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")
    )
    if application == APPLICATION_ID:
        if version > VERSION:
            raise JournalError(
                f"the journal {path} was written by a newer version of asyncllm.",
                hint="Upgrade asyncllm, or give this run another journal.",
            )
        return
    empty = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
    if application or version or not empty:
        raise JournalError(
            f"{path} is a database, and no journal of asyncllm.", hint="Give the journal a file of its own."
        )


def _check_pages(connection: sqlite3.Connection, path: Path) -> None:
    """Look at every page, a gigabyte in a second or two: a run must not find out half-way that a journal is broken."""
    (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        raise damaged(path, str(found).replace("\n", " ").removeprefix("*** in database main *** "))


def _make(path: Path) -> None:
    """Make an empty journal, which is there whole or not at all."""
    made = beside(path, "-new")
    made.unlink(missing_ok=True)
    with closing(sqlite3.connect(made, isolation_level=None)) as connection:
        if connection.execute("PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
            raise JournalError(f"the journal {path} is on a file system that cannot share memory.", hint=_LOCAL)
        connection.executescript(
            f"BEGIN; {_SCHEMA} PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {VERSION}; COMMIT;"
        )
    os.replace(made, path)


def _translated(path: Path | None, error: sqlite3.Error) -> JournalError:
    # The low byte is the kind; the rest says where in SQLite it happened.
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    if code == sqlite3.SQLITE_FULL:
        return JournalError(
            f"the disk of the journal {path} is full.",
            hint="Make room and start again: everything committed is kept, and is not sent again.",
        )
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return damaged(path, str(error))
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM):
        return _read_only(path)
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return JournalError(
            f"the journal {path} is in use by another program.", hint="Close what has it open, and start again."
        )
    return JournalError(
        f"the journal {path} cannot be used: {error}.",
        hint="Check that its directory exists and can be written, and the disk's health; what is committed is kept.",
    )


def _read_only(path: Path | None) -> JournalError:
    return JournalError(
        f"the journal {path} is read-only.",
        hint="Make it and its directory writable, or give this run another journal.",
    )


def _unwritable(path: Path | None, error: OSError) -> JournalError:
    return JournalError(
        f"the journal {path} cannot be written: {error.strerror or error}.",
        hint="Check that its directory exists, can be written, and has room; or give this run another journal.",
    )


def beside(path: Path, suffix: str) -> Path:
    """Return the file of this suffix that belongs to a journal."""
    return path.with_name(path.name + suffix)
