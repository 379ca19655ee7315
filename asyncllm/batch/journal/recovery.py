"""Recovery: a new journal of what is whole in a damaged one."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from types import UnionType

from asyncllm.errors import JournalError

from .answer_row import COLUMNS, INSERT_ANSWER, AnswerRow
from .in_flight import remove_in_flight
from .journal_file import beside, failures, open_to_write
from .leaf_pages import leaf_rows
from .lock import JournalLock

# The types of the columns of the small tables that hold no number.
_JSON = frozenset(("terms", "again", "parts", "own"))
_TYPES: dict[str, type | UnionType] = {"ended": str | None, "limited_by": str | None, "digest": bytes}
_NUMBER = int | float | None


@dataclass(frozen=True, slots=True)
class Recovered:
    """The result of recovering a journal.

    Attributes:
        answers: The number of answers that were whole, and are kept.
        damaged: The new path of the damaged file.
    """

    answers: int
    damaged: Path


def recover(path: Path) -> Recovered:
    """Replace a damaged journal by a new one of what is whole in it; the damaged file is kept beside it.

    Raises:
        JournalError: It does not exist, is in use, or the new one cannot be written.
    """
    if not path.is_file():
        raise JournalError(f"there is no journal {path}.", hint="Check the path.")
    lock = JournalLock(path)
    try:
        recovered = beside(path, "-recovered")
        recovered.unlink(missing_ok=True)  # left over by an attempt that was killed
        with failures(path):
            answers = _whole_answers(path)
            _write(recovered, answers, path)
            damaged = _set_aside(path)
            os.replace(recovered, path)
            remove_in_flight(path)
    finally:
        lock.release()
    return Recovered(len(answers), damaged)


def _whole_answers(path: Path) -> list[AnswerRow]:
    """Return the answers that are as they were written, the newest of each item, in the order of their numbers."""
    newest: dict[tuple[bytes, int], AnswerRow] = {}
    for values in leaf_rows(path, beside(path, "-wal"), beside(path, "-pages"), COLUMNS):
        row = AnswerRow(*values)
        if row.is_whole:
            key = (row.key, row.occurrence)
            if key not in newest or newest[key].version < row.version:
                newest[key] = row
    return sorted(newest.values(), key=lambda row: (row.number, row.version))


def _write(path: Path, answers: list[AnswerRow], damaged: Path) -> None:
    with closing(open_to_write(path, "full")) as connection:
        connection.execute("BEGIN IMMEDIATE")
        for table in ("runs", "terms", "samples"):
            _copy(connection, damaged, table)
        if not connection.execute("SELECT count(*) FROM runs").fetchone()[0]:
            # So that the budget knows what has been spent.
            spent = sum(row.cost_usd or 0.0 for row in answers)
            connection.execute(
                "INSERT INTO runs (run, started_at, ended, terms, answered, cost_usd) VALUES (1, 0, 'killed', ?, ?, ?)",
                ("{}", len(answers), spent),
            )
        run = connection.execute("SELECT max(run) FROM runs").fetchone()[0]
        # Rows of torn pages may share a number; their order is kept.
        for number, row in enumerate(answers, 1):
            item = (number, row.key, row.occurrence, run, number - 1, row.state)
            connection.execute("INSERT INTO items VALUES (?, ?, ?, ?, ?, ?)", item)
            connection.execute(INSERT_ANSWER, row._replace(number=number))
        connection.execute("COMMIT")


def _copy(connection: sqlite3.Connection, damaged: Path, table: str) -> None:
    """Copy a small table as far as it can be read."""
    with suppress(sqlite3.Error):
        for row in _read(damaged, table):
            if all(_fits(name, row[name]) for name in row.keys()):  # noqa: SIM118  # a row iterates over its values
                marks = ", ".join("?" * len(row))
                connection.execute(f"INSERT OR IGNORE INTO {table} VALUES ({marks})", tuple(row))


def _read(damaged: Path, table: str) -> Iterator[sqlite3.Row]:
    with closing(sqlite3.connect(damaged)) as connection:
        connection.row_factory = sqlite3.Row
        yield from connection.execute(f"SELECT * FROM {table}")


def _fits(column: str, value: object) -> bool:
    """Return whether a column of a small table may hold a value; a torn page may hold anything."""
    if column in _JSON and value is not None:
        with suppress(ValueError):
            return isinstance(value, str) and json.loads(value) is not None
        return False
    return isinstance(value, _TYPES.get(column, _NUMBER))


def _set_aside(path: Path) -> Path:
    """Rename a journal and its log, and return its new path, the first that is free."""
    free = (beside(path, f".damaged-{number}") for number in count(1))
    aside = next(one for one in free if not one.exists())
    os.rename(path, aside)
    for suffix in ("-wal", "-shm"):
        with suppress(FileNotFoundError):
            os.rename(beside(path, suffix), beside(aside, suffix))
    return aside
