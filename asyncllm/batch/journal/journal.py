"""Journals, which make a batch durable; and summaries of what they hold."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, Self, get_args

from .answer_row import AnswerRow
from .entry import JournalEntry, decode
from .fingerprint import id_of
from .in_flight import read_in_flight
from .journal_file import (
    DONE,
    FAILED,
    TRUNCATED,
    UNKNOWN,
    WAITING,
    Durability,
    damaged,
    failures,
    open_to_read,
)
from .lock import is_locked
from .recovery import Recovered, recover

Ended = Literal["running", "done", "stopped", "killed"]
_ENDED = (DONE, TRUNCATED, FAILED)
# Of a summary, what is the sum of that of its runs.
_TOTALS = ("unknown", "input_tokens", "output_tokens", "cost_usd", "unpriced", "unknown_usd")


@dataclass(frozen=True, slots=True)
class Sample:
    """The state of a run at one moment.

    Attributes:
        at: Unix time in seconds.
        run: The run.
        in_flight: Items being worked on.
        waiting: Items taken from the input and not yet begun.
        done: Items answered, with those that the journal had.
        failed: Items that ended with an error.
        tokens: Tokens used by this run, input and output.
        cost_usd: The cost of this run, as far as it is known.
        limited_by: What limits its pace: `input`, `consumer`, `slots`, `requests`, ...; None when it is not known.
    """

    at: float
    run: int
    in_flight: int
    waiting: int
    done: int
    failed: int
    tokens: int
    cost_usd: float
    limited_by: str | None


@dataclass(frozen=True, slots=True)
class RunSummary:
    """One run of a batch.

    Attributes:
        run: Its number, from 1.
        started_at: Unix time in seconds.
        ended_at: Likewise; None when it is running or was killed.
        ended: `done` at the end of its input; `stopped` by an error, a cancellation or Ctrl-C; `killed`; or `running`.
        answered: Requests that it sent and that were answered.
        failed: Requests that it sent and that ended with an error.
        unknown: Requests that it had in flight when it ended: their outcome is unknown, and they may be paid for.
        input_tokens: Tokens it sent, as far as they are known.
        output_tokens: Tokens it received, likewise.
        cost_usd: Its cost in US dollars, as far as it is known.
        unpriced: Its answers whose cost is not known.
        unknown_usd: The estimated cost of `unknown`.
        again: The number of items that it sent again, by reason.
    """

    run: int
    started_at: float
    ended_at: float | None
    ended: Ended
    answered: int
    failed: int
    unknown: int
    input_tokens: int
    output_tokens: int
    cost_usd: float
    unpriced: int
    unknown_usd: float
    again: Mapping[str, int] = field(default_factory=dict[str, int])


@dataclass(frozen=True, slots=True)
class JournalSummary:
    """The contents of a journal.

    Attributes:
        items: Items of the input that have been reached.
        done: Items that have an answer.
        truncated: Answers that the token limit cut; the next run sends these items again.
        failed: The number of items that ended with an error, by the name of its class.
        waiting: Items that have been taken and not been answered.
        in_flight: Items that are being sent right now.
        unknown: Requests of all runs that were in flight when a run was killed or stopped: their outcome is unknown,
            and they may be paid for.
        input_tokens: The tokens that all runs sent.
        output_tokens: The tokens that all runs received.
        cost_usd: The cost of all runs in US dollars, as far as it is known.
        unpriced: Answers whose cost is not known.
        unknown_usd: The estimated cost of `unknown`, of runs before the latest.
        running: Whether a run is writing it.
        runs: The runs, in order.
    """

    items: int
    done: int
    truncated: int
    failed: Mapping[str, int]
    waiting: int
    in_flight: int
    unknown: int
    input_tokens: int
    output_tokens: int
    cost_usd: float
    unpriced: int
    unknown_usd: float
    running: bool
    runs: tuple[RunSummary, ...]


class Journal:
    """A file that makes a batch durable: what is in it is not sent again.

    Pass it to `gather` or `map`, which creates the file if there is none; or read it, also while a run writes it.

    Args:
        path: The file.
        durability: `normal` keeps every answer when the process crashes or is killed, and all but those of the last
            moments when the power fails; `full` waits for the disk, and keeps those too.
        keep_prompts: Store the messages too, rather than their hash alone.
        keep_data: Store the `data` of each `Request` too, which must have a JSON form.

    Example:
        ```python
        await llm.gather(["Name a colour.", "Name a fruit."], journal=Journal("names.journal", keep_prompts=True))

        summary = Journal.read("names.journal").summary()
        print(summary.done, summary.failed, summary.cost_usd)
        ```
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        durability: Durability = "normal",
        keep_prompts: bool = False,
        keep_data: bool = False,
    ) -> None:
        if durability not in get_args(Durability):
            raise ValueError(f"durability is 'normal' or 'full', not {durability!r}")
        self.path = Path(path)
        self.durability: Durability = durability
        self.keep_prompts = keep_prompts
        self.keep_data = keep_data

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Self:
        """Return an existing journal, for reading.

        Raises:
            JournalError: It does not exist, is damaged, is no journal, or is of a newer version.
        """
        journal = cls(path)
        journal._connect().close()
        return journal

    @classmethod
    def recover(cls, path: str | os.PathLike[str]) -> Recovered:
        """Replace a damaged journal by a new one of what is whole in it; the damaged file is kept beside it.

        What is whole is not sent again. Until the next run, the index of an entry is near what it was in the input.

        Raises:
            JournalError: It does not exist, is in use, or the new one cannot be written.
        """
        return recover(Path(path))

    def outcomes(self, *, reached: bool = False) -> Iterator[JournalEntry]:
        """Yield the entries of the latest run in the order of its input.

        Until a run has come to the end of its input, what it has not reached yet is yielded as earlier runs left it.

        Args:
            reached: Yield only what the latest run itself has reached: if its input is not the one before, the
                positions of the rest are those of the old input.

        Raises:
            JournalError: It cannot be read; what is whole of a damaged one is yielded first.
        """
        with closing(self._connect()) as connection, failures(self.path):
            # The short rows alone are sorted: sorting the answers themselves would copy all of them.
            items = connection.execute(
                "SELECT number, position, stem FROM items WHERE run >= ? AND state IN (?, ?, ?) "
                "ORDER BY position, number",
                (_last(connection) if reached else _latest(connection), *_ENDED),
            )
            answers = connection.cursor()
            for number, position, key in items:
                found = answers.execute("SELECT * FROM answers WHERE number = ?", (number,)).fetchone()
                row = None if found is None else AnswerRow(*found)
                if row is None or not row.is_whole or row.key != key:
                    raise damaged(self.path, f"the answer of item {position} is not what was written")
                yield decode(row.entry, position, id_of(key))

    def summary(self) -> JournalSummary:
        """Return a summary of the journal.

        Raises:
            JournalError: It cannot be read.
        """
        running = is_locked(self.path)
        with closing(self._connect()) as connection, failures(self.path):
            latest = _latest(connection)
            count = dict(
                connection.execute("SELECT state, count(*) FROM items WHERE run >= ? GROUP BY state", (latest,))
            )
            failed = connection.execute(
                "SELECT a.error, count(*) FROM items i JOIN answers a USING (number) "
                "WHERE i.run >= ? AND i.state = ? GROUP BY a.error ORDER BY 2 DESC, 1",
                (latest, FAILED),
            ).fetchall()
            in_flight = _in_flight(connection, self.path)
            runs = _runs(connection, self.path, running, in_flight)
        totals: dict[str, Any] = {name: sum(getattr(run, name) for run in runs) for name in _TOTALS}
        return JournalSummary(
            items=sum(count.values()),
            done=count.get(DONE, 0) + count.get(TRUNCATED, 0),
            truncated=count.get(TRUNCATED, 0),
            failed=dict(failed),
            waiting=count.get(WAITING, 0) + count.get(UNKNOWN, 0),
            in_flight=in_flight if running else 0,
            running=running,
            runs=runs,
            **totals,
        )

    def samples(self) -> Iterator[Sample]:
        """Yield the state of the runs, about once a second, in order.

        Raises:
            JournalError: It cannot be read.
        """
        with closing(self._connect()) as connection, failures(self.path):
            for row in connection.execute("SELECT * FROM samples ORDER BY rowid"):
                yield Sample(*row)

    def __repr__(self) -> str:
        return f"Journal({str(self.path)!r})"

    def _connect(self) -> sqlite3.Connection:
        return open_to_read(self.path)


def _latest(connection: sqlite3.Connection) -> int:
    """Return the first run whose items count: the last that came to the end of its input, or the first of all."""
    return _number(connection, "SELECT coalesce(max(run), 0) FROM runs WHERE ended = 'done'")


def _last(connection: sqlite3.Connection) -> int:
    """Return the number of the last run."""
    return _number(connection, "SELECT coalesce(max(run), 0) FROM runs")


def _in_flight(connection: sqlite3.Connection, path: Path) -> int:
    numbers = read_in_flight(path)
    marks = ", ".join("?" * len(numbers))
    latest = f"state = {WAITING} AND run = (SELECT max(run) FROM runs)"
    return _number(connection, f"SELECT count(*) FROM items WHERE number IN ({marks}) AND {latest}", *numbers)


def _number(connection: sqlite3.Connection, query: str, *parameters: int) -> int:
    number: int = connection.execute(query, parameters).fetchone()[0]
    return number


def _runs(connection: sqlite3.Connection, path: Path, running: bool, in_flight: int) -> tuple[RunSummary, ...]:
    names = [name.name for name in fields(RunSummary)]
    rows = [dict(zip(names, row, strict=True)) for row in connection.execute(f"SELECT {', '.join(names)} FROM runs")]
    has_ended = not rows or rows[-1]["ended"] is not None
    for row in rows:
        row["ended"] = row["ended"] or ("running" if running else "killed")
        try:
            row["again"] = json.loads(row["again"] or "{}")
        except ValueError:
            raise damaged(path, "what it says of its runs is not what was written") from None
    runs = [RunSummary(**row) for row in rows]
    if not has_ended and not running:
        runs[-1] = replace(runs[-1], unknown=runs[-1].unknown + in_flight)
    return tuple(runs)
