"""The messages of a journal's errors, and their remedies."""

from __future__ import annotations

import errno
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from asyncllm import Journal, JournalError, Request
from asyncllm.batch.journal.journal_file import failures, open_to_write
from asyncllm.batch.journal.lock import JournalLock, is_locked

from .journals import outcome, write_run

RECOVER = "Call Journal.recover(path): it keeps every answer that is whole, and the damaged file beside it."
DIRECTORY = "Check that its directory exists, can be written, and has room; or give this run another journal."


def sqlite_error(code: int) -> sqlite3.Error:
    """Return an error as SQLite raises it with this code."""
    error = sqlite3.OperationalError("SQLite's own words")
    error.sqlite_errorcode = code
    return error


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (
            sqlite_error(sqlite3.SQLITE_FULL),
            "the disk of the journal {path} is full. "
            "Make room and start again: everything committed is kept, and is not sent again.",
        ),
        (
            sqlite_error(sqlite3.SQLITE_CORRUPT),
            "the journal {path} is damaged: SQLite's own words. " + RECOVER,
        ),
        (
            sqlite_error(sqlite3.SQLITE_NOTADB),
            "the journal {path} is damaged: SQLite's own words. " + RECOVER,
        ),
        *(
            (
                sqlite_error(code),
                "the journal {path} is read-only. "
                "Make it and its directory writable, or give this run another journal.",
            )
            for code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_READONLY_DBMOVED, sqlite3.SQLITE_PERM)
        ),
        *(
            (
                sqlite_error(code),
                "the journal {path} is in use by another program. Close what has it open, and start again.",
            )
            for code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_BUSY_SNAPSHOT, sqlite3.SQLITE_LOCKED)
        ),
        *(
            (
                error,
                "the journal {path} cannot be used: SQLite's own words. "
                "Check that its directory exists and can be written, and the disk's health; "
                "everything committed is kept, and is not sent again.",
            )
            for error in (sqlite_error(sqlite3.SQLITE_IOERR), sqlite3.ProgrammingError("SQLite's own words"))
        ),
        (
            OSError(errno.ENOSPC, "No space left on device"),
            "the journal {path} cannot be written: No space left on device. " + DIRECTORY,
        ),
        (OSError("no number"), "the journal {path} cannot be written: no number. " + DIRECTORY),
    ],
    ids=lambda value: (
        "" if isinstance(value, str) else f"{type(value).__name__} {getattr(value, 'sqlite_errorcode', '')}"
    ),
)
def test_a_failure_says_what_to_do(path: Path, error: Exception, says: str) -> None:
    """What SQLite and the system report is translated into one sentence of what happened and one of what to do."""
    with pytest.raises(JournalError) as caught, failures(path):
        raise error
    assert str(caught.value) == says.format(path=path)


def test_what_is_no_failure_passes(path: Path) -> None:
    """Errors of a batch and cancellations are raised as they are."""
    with pytest.raises(KeyError), failures(path):
        raise KeyError("mine")


def test_a_journal_that_is_not_there(path: Path) -> None:
    """Reading and recovering need a file; the next run would make one."""
    with pytest.raises(JournalError) as caught:
        Journal.read(path)
    assert str(caught.value) == f"there is no journal {path}. Check the path; the first run makes it."
    with pytest.raises(JournalError) as caught:
        Journal.recover(path)
    assert str(caught.value) == f"there is no journal {path}. Check the path."
    with pytest.raises(JournalError, match="there is no journal"):
        Journal.read(path.parent)


def test_a_journal_of_a_newer_version(path: Path) -> None:
    """The remedies are a newer release and another file."""
    write_run(path, [], [])
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 2")
    with pytest.raises(JournalError) as caught:
        Journal.read(path)
    assert str(caught.value) == (
        f"the journal {path} was written by a newer version of asyncllm. "
        "Upgrade asyncllm, or give this run another journal."
    )


@pytest.mark.parametrize("change", ["CREATE TABLE mine (x)", "PRAGMA application_id = 1", "PRAGMA user_version = 1"])
def test_a_database_of_something_else(path: Path, change: str) -> None:
    """Tables, an id or a version of somebody else make a database that is left alone."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")  # which makes the file, be it empty otherwise
        connection.execute(change)
    for use in (Journal.read, lambda path: open_to_write(path, "normal")):
        with pytest.raises(JournalError) as caught:
            use(path)
        assert str(caught.value) == (
            f"{path} is a database, and no journal of asyncllm. Give the journal a file of its own."
        )


def test_a_journal_in_use(path: Path) -> None:
    """The second run is told that it may read meanwhile, and may write once the first has ended."""
    hold = JournalLock(path)
    assert is_locked(path)
    with pytest.raises(JournalError) as caught:
        JournalLock(path)
    assert str(caught.value) == (
        f"the journal {path} is in use by another run. "
        "Wait for its end, or give this run another journal; Journal.read() can read it meanwhile."
    )
    hold.release()
    assert not is_locked(path)
    hold.release()  # once more does no harm
    JournalLock(path).release()


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    """A journal is not made with its directories: a misspelt path would go unnoticed."""
    path = tmp_path / "nowhere" / "journal"
    with pytest.raises(JournalError) as caught:
        JournalLock(path)
    assert str(caught.value) == f"the journal {path} cannot be written: No such file or directory. {DIRECTORY}"


def test_an_answer_that_is_not_what_was_written(path: Path) -> None:
    """The error names the item, and how to keep the rest."""
    write_run(path, [Request("a"), Request("b")], [outcome("1"), outcome("the second")])
    path.write_bytes(path.read_bytes().replace(b"the second", b"THE second"))
    with pytest.raises(JournalError) as caught:
        list(Journal(path).outcomes())
    assert str(caught.value) == (
        f"the journal {path} is damaged: the answer of item 1 is not what was written. {RECOVER}"
    )
    with pytest.raises(JournalError) as caught:
        write_run(path, [Request("b")], [None])
    assert str(caught.value) == f"the journal {path} is damaged: an answer in it is not what was written. {RECOVER}"


def test_runs_that_are_not_what_was_written(path: Path) -> None:
    """What a run said of itself may be damaged too, and is never guessed at."""
    write_run(path, [Request("a")], [outcome("1")])
    says = f"the journal {path} is damaged: what it says of its runs is not what was written. {RECOVER}"
    for column, read in (("again", lambda: Journal(path).summary()), ("terms", lambda: write_run(path, [], []))):
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute(f"UPDATE runs SET {column} = '{{\"torn'")
        with pytest.raises(JournalError) as caught:
            read()
        assert str(caught.value) == says


def test_a_torn_page_is_found_before_the_run_begins(path: Path) -> None:
    """Every page is looked at when a journal is opened; SQLite's words stand on one line."""
    write_run(path, [Request(f"{n}") for n in range(200)], [outcome(f"{n}") for n in range(200)])
    data = bytearray(path.read_bytes())
    data[-4096:] = bytes(4096)
    path.write_bytes(data)
    with pytest.raises(JournalError) as caught:
        open_to_write(path, "normal")
    assert caught.value.message.startswith(f"the journal {path} is damaged: ")
    assert "***" not in caught.value.message
    assert "\n" not in caught.value.message
    assert caught.value.hint == RECOVER


def test_the_durability_has_two_names(path: Path) -> None:
    """Another name is refused before anything is written."""
    with pytest.raises(ValueError, match=r"^durability is 'normal' or 'full', not 'fast'$"):
        Journal(path, durability="fast")  # type: ignore[arg-type]
    assert not path.exists()


@pytest.mark.parametrize(("durability", "synchronous"), [("normal", 1), ("full", 2)])
def test_the_durability_is_sqlites(path: Path, durability: str, synchronous: int) -> None:
    """`full` waits for the disk at each commit; `normal` does not."""
    for _ in ("made", "opened again"):
        connection = open_to_write(path, durability)  # type: ignore[arg-type]
        assert connection.execute("PRAGMA synchronous").fetchone() == (synchronous,)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        connection.close()
