"""A new journal of what is whole in a damaged one."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from asyncllm.errors import JournalError

from .answer_row import COLUMNS, AnswerRow
from .in_flight import remove_in_flight
from .journal_file import Hold, beside, failures, open_to_write
from .pages import rows

# What the columns of the small tables hold, where it is no number.
_JSON = frozenset(("terms", "again", "parts", "own"))
_TYPES: dict[str, Any] = {"ended": str | None, "limited_by": str | None, "digest": bytes}
Answers = dict[tuple[bytes, int], AnswerRow]


@dataclass(frozen=True, slots=True)
class Recovered:
    """What came of recovering a journal.

    Attributes:
        answers: How many answers were whole, and are kept.
        damaged: Where the damaged file is now.
    """

    answers: int
    damaged: Path


def recover(path: Path) -> Recovered:
    """Put a journal of what is whole in the place of a damaged one, which is kept beside it.

    Raises:
        JournalError: It is not there, in use, or the new one cannot be written.
    """
    if not path.is_file():
        raise JournalError(f"there is no journal {path}.", hint="Check the path.")
    hold = Hold(path)
    try:
        made = beside(path, "-recovered")
        made.unlink(missing_ok=True)  # of an attempt that did not come to its end
        with failures(path):
            answers = _whole(path)
            _write(made, answers, path)
            damaged = _put_aside(path)
            os.replace(made, path)
            remove_in_flight(path)
    finally:
        hold.release()
    return Recovered(len(answers), damaged)


def _whole(path: Path) -> Answers:
    """Return the newest of the answers that are as they were written."""
    found: Answers = {}
    for number, values in rows(path, beside(path, "-wal"), COLUMNS):
        row = AnswerRow(number, *values[1:])  # type: ignore[arg-type]  # what is of other types is not whole
        if row.is_whole:
            key = (row.key, row.occurrence)
            if key not in found or found[key].version < row.version:
                found[key] = row
    return found


def _write(made: Path, answers: Answers, damaged: Path) -> None:
    with closing(open_to_write(made, "full")) as connection:
        connection.execute("BEGIN IMMEDIATE")
        for table in ("runs", "terms", "samples"):
            _copy(connection, damaged, table)
        if not connection.execute("SELECT count(*) FROM runs").fetchone()[0]:
            # So that what has been spent is not spent again.
            spent = sum(row.cost_usd or 0.0 for row in answers.values())
            connection.execute(
                "INSERT INTO runs (run, started_at, ended, terms, answered, cost_usd) VALUES (1, 0, 'killed', ?, ?, ?)",
                ("{}", len(answers), spent),
            )
        run = connection.execute("SELECT max(run) FROM runs").fetchone()[0]
        # Numbers may be doubled where tables are torn; the order in which they were given stays.
        for number, row in zip(count(1), sorted(answers.values())):
            item = (number, row.key, row.occurrence, run, number - 1, row.state)
            connection.execute("INSERT INTO items VALUES (?, ?, ?, ?, ?, ?)", item)
            marks = ", ".join("?" * COLUMNS)
            connection.execute(f"INSERT INTO answers VALUES ({marks})", row._replace(number=number))
        connection.execute("COMMIT")


def _copy(connection: sqlite3.Connection, damaged: Path, table: str) -> None:
    """Copy a small table as far as it can be read."""
    with suppress(sqlite3.Error):
        for row in _read(damaged, table):
            if all(_fits(name, row[name]) for name in row.keys()):  # noqa: SIM118  # a row iterates over its values
                marks = ", ".join("?" * len(row))
                connection.execute(f"INSERT OR IGNORE INTO {table} VALUES ({marks})", tuple(row))


def _read(damaged: Path, table: str) -> Iterator[Any]:
    with closing(sqlite3.connect(damaged)) as connection:
        connection.row_factory = sqlite3.Row
        yield from connection.execute(f"SELECT * FROM {table}")


def _fits(column: str, value: object) -> bool:
    """Tell whether a value may stand in a column of a small table; a torn page may hold anything."""
    if column in _JSON and value is not None:
        with suppress(TypeError, ValueError):
            return json.loads(value) is not None  # type: ignore[arg-type]  # other types are refused
        return False
    return isinstance(value, _TYPES.get(column, int | float | None))


def _put_aside(path: Path) -> Path:
    """Rename a journal to the first name that is free, and its log with it."""
    for number in count(1):
        aside = beside(path, f".damaged-{number}")
        if not aside.exists():
            break
    os.rename(path, aside)
    for suffix in ("-wal", "-shm"):
        with suppress(FileNotFoundError):
            os.rename(beside(path, suffix), beside(aside, suffix))
    return aside
