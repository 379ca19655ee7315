"""The file of a journal: its schema, how it is opened, and its failures as JournalErrors.

It is a SQLite database in WAL mode: others can read while one process writes, and a commit waits for no fsync unless
that is asked for.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from asyncllm.errors import JournalError

Durability = Literal["normal", "full"]

APPLICATION_ID = 0x61734C4A  # "asLJ": marks a journal among databases
VERSION = 1

# States of an item. UNKNOWN: it was in flight when its run ended, and may have been paid for.
WAITING, DONE, TRUNCATED, FAILED, UNKNOWN = range(5)

# `items` has the input of the latest run: each item's position and state. `answers` has what was paid for, and all that
# is needed to find it again without `items`: each row stands for itself, so that a damaged file loses only the rows
# that are damaged.
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

LOCAL_DISK = "Put it onto a local disk."
_KEPT = "everything committed is kept, and is not sent again"
# How long another program may have the database locked before that is an error.
BUSY_TIMEOUT_S = 5.0


def open_to_write(path: Path | None, durability: Durability) -> sqlite3.Connection:
    """Open a journal for writing, and create it if there is none.

    Args:
        path: The file; None for a temporary database of this connection alone.

    Raises:
        JournalError: It cannot be written, is damaged, is no journal, or is of a newer version.
    """
    if path is None:
        scratch = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        scratch.execute("PRAGMA journal_mode = OFF")
        scratch.executescript(f"BEGIN; {_SCHEMA} COMMIT;")
        return scratch
    with failures(path):
        new = not path.exists() or path.stat().st_size == 0
        if new:
            _create(path)
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
        JournalError: It does not exist, is damaged, is no journal, or is of a newer version.
    """
    if not path.is_file():
        raise JournalError(f"there is no journal {path}.", hint="Check the path; the first run makes it.")
    # In a directory that cannot be written, SQLite cannot create its shared memory, and no writer can either.
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
def failures(path: Path | None) -> Generator[None]:
    """Translate errors of SQLite and of the system into a JournalError with a hint."""
    failure: JournalError | None = None
    try:
        yield
    except sqlite3.Error as error:
        failure = _translated(path, error)
    except OSError as error:
        failure = unwritable(path, error)
    if failure is not None:
        raise failure


def damaged(path: Path | None, what: str) -> JournalError:
    """Return the error of a damaged journal."""
    return JournalError(
        f"the journal {path} is damaged: {what}.",
        hint="Call Journal.recover(path): it keeps every answer that is whole, and the damaged file beside it.",
    )


def _check(connection: sqlite3.Connection, path: Path) -> None:
    """Raise if a database is no journal, or one of a newer version."""
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
    """Check every page, a gigabyte in a second or two, so that a run does not meet the damage half-way."""
    (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        raise damaged(path, str(found).replace("\n", " ").removeprefix("*** in database main *** "))


def _create(path: Path) -> None:
    """Create an empty journal in one step."""
    new = beside(path, "-new")
    new.unlink(missing_ok=True)
    with closing(sqlite3.connect(new, isolation_level=None)) as connection:
        if connection.execute("PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
            raise JournalError(f"the journal {path} is on a file system that cannot share memory.", hint=LOCAL_DISK)
        connection.executescript(
            f"BEGIN; {_SCHEMA} PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {VERSION}; COMMIT;"
        )
    os.replace(new, path)


def _translated(path: Path | None, error: sqlite3.Error) -> JournalError:
    # The low byte is the kind of the error; the rest says where in SQLite it happened.
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return damaged(path, str(error))
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM):
        return _read_only(path)
    if code == sqlite3.SQLITE_FULL:
        problem, hint = f"the disk of the journal {path} is full.", f"Make room and start again: {_KEPT}."
    elif code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        problem, hint = f"the journal {path} is in use by another program.", "Close what has it open, and start again."
    else:
        problem = f"the journal {path} cannot be used: {error}."
        hint = f"Check that its directory exists and can be written, and the disk's health; {_KEPT}."
    return JournalError(problem, hint=hint)


def _read_only(path: Path | None) -> JournalError:
    hint = "Make it and its directory writable, or give this run another journal."
    return JournalError(f"the journal {path} is read-only.", hint=hint)


def unwritable(path: Path | None, error: OSError) -> JournalError:
    """Return the error of a journal that the system does not let write."""
    return JournalError(
        f"the journal {path} cannot be written: {error.strerror or error}.",
        hint="Check that its directory exists, can be written, and has room; or give this run another journal.",
    )


def beside(path: Path, suffix: str) -> Path:
    """Return the file of this suffix that belongs to a journal."""
    return path.with_name(path.name + suffix)
