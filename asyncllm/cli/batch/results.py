"""The results of a batch, as they are written: from the journal into a file at the end, or as they come to stdout.

A file is put together beside the old one and takes its place in one step, so that a kill leaves one of the two, whole.
"""

from __future__ import annotations

import os
import sys
from array import array
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from asyncllm.batch.files import (
    BadRow,
    JsonlWriter,
    Kind,
    Layout,
    ResultWriter,
    Row,
    RowResult,
    SeenColumns,
    rejected_record,
    result_writer,
)

from ..terminal.exit_codes import UsageProblem
from ..terminal.output import note
from .job import Job

if TYPE_CHECKING:
    from asyncllm.batch.journal.entry import JournalEntry
    from asyncllm.batch.journal.journal import Journal

# On stderr these many bad rows are enough to see what is wrong with the file; all of them are in OUT.rejected.
_SHOWN_PROBLEMS = 20


class RowNumbers:
    """Which row of the input each item of the journal was: the same number, and one more for each row left out."""

    def __init__(self) -> None:
        self._items = array("Q", [0])
        self._rows = array("Q", [0])
        self.count = 0

    def add(self, row: int) -> None:
        """Note the row of the next item."""
        if row - self.count != self._rows[-1] - self._items[-1]:
            self._items.append(self.count)
            self._rows.append(row)
        self.count += 1

    def row(self, item: int) -> int:
        """Return the row of an item."""
        at = bisect_right(self._items, item) - 1
        return self._rows[at] + item - self._items[at]


class Rejected:
    """The rows that are not sent: told on stderr, and kept in a file of their own.

    Args:
        path: The file, made with the first such row; one of an earlier run is removed. None for none.
    """

    def __init__(self, path: Path | None) -> None:
        self.count = 0
        self._path = path
        self._file: IO[bytes] | None = None
        if path is not None:
            path.unlink(missing_ok=True)

    def add(self, row: BadRow) -> None:
        """Take a row that is not sent."""
        self.count += 1
        if self.count <= _SHOWN_PROBLEMS:
            note(f"line {row.line}: {row.problem}")
        elif self.count == _SHOWN_PROBLEMS + 1:
            note("more rows cannot be used" + ("" if self._path is None else f"; all of them are in {self._path}"))
        if self._path is not None:
            if self._file is None:
                self._file = self._path.open("wb")
            JsonlWriter(self._file).write(rejected_record(row))

    def close(self) -> None:
        """Finish the file."""
        if self._file is not None:
            self._file.close()


@contextmanager
def to_stdout(job: Job, columns: Any) -> Iterator[ResultWriter]:
    """Give a writer of results to stdout, each seen as soon as it is written.

    Args:
        job: What is done.
        columns: The columns that every row of the input has; None where each row has its own.
    """
    kinds: Mapping[str, Kind] = dict.fromkeys(columns or (), "str")
    if job.target.format == "csv" and columns is None:
        raise UsageProblem(
            "rows of JSON Lines have no columns that are known before the last one is read.",
            "Write them to a file, -o OUT.csv, or as JSON Lines.",
        )
    layout = Layout(job.target.format, carried=kinds, schema=job.schema, escaped=job.target.escaped)
    with result_writer(sys.stdout.buffer, layout, at_once=True) as writer:
        yield writer


def write_results(job: Job, journal: Journal, row_numbers: RowNumbers, *, unchanged: bool) -> int:
    """Write what the journal has into the file of results.

    Args:
        job: What was done.
        journal: Its journal.
        row_numbers: Which rows its items were.
        unchanged: Whether the input is what it was in the run before; if so, what this run did not reach is there as
            that one left it.

    Returns:
        How many cells were changed so that no spreadsheet calculates them.
    """
    path = job.target.path
    assert path is not None
    partial = job.target.partial
    try:
        with partial.open("wb") as file:
            with result_writer(file, _layout(job, journal, row_numbers, unchanged)) as writer:
                for row, entry in _joined(job, journal, row_numbers, unchanged):
                    writer.write(row.data, _answer(job, row, entry))
            file.flush()
            # The name must not come to the disk before the content does.
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    return writer.escaped


def _layout(job: Job, journal: Journal, row_numbers: RowNumbers, unchanged: bool) -> Layout:
    target = job.target
    carried: Mapping[str, Kind] = {}
    table = None
    if target.format != "jsonl":
        carried, table = _columns(job, journal, row_numbers, unchanged)
    return Layout(
        target.format, target.compression, carried, job.schema, table, target.escaped, delimiter=target.delimiter
    )


def _columns(job: Job, journal: Journal, row_numbers: RowNumbers, unchanged: bool) -> tuple[Mapping[str, Kind], Any]:
    """Find the columns of the input: by its header, by its directory, or by looking at every row."""
    if job.source.reads_again:
        with job.source.open() as reading:
            if job.source.format == "parquet":
                return dict.fromkeys(reading.columns or (), "str"), reading.table
            next(reading.rows(), None)
            if reading.columns is not None:
                return dict.fromkeys(reading.columns, "str"), None
    seen = SeenColumns()
    for row, _ in _joined(job, journal, row_numbers, unchanged):
        seen.see(row.data)
    return seen.kinds, None


def _joined(job: Job, journal: Journal, row_numbers: RowNumbers, unchanged: bool) -> Iterator[tuple[Row, JournalEntry]]:
    """Put the rows of the input beside the entries of the journal; both come in one order."""
    entries = journal.outcomes(reached=not unchanged)
    if not job.source.reads_again:
        for entry in entries:
            yield Row(**entry.data), entry
        return
    with job.source.open() as reading:
        rows = _sent(job, reading.rows(), row_numbers)
        index, row = next(rows, (-1, None))
        for entry in entries:
            while row is not None and index < entry.index:
                index, row = next(rows, (-1, None))
            if row is not None and index == entry.index:
                yield row, entry


def _sent(job: Job, rows: Iterator[Row | BadRow], row_numbers: RowNumbers) -> Iterator[tuple[int, Row]]:
    """Pick the rows that were sent, each with its number among them."""
    item = 0
    for row in rows:
        if item < row_numbers.count:
            sent = row.index == row_numbers.row(item)
        else:
            # This run did not come so far; which rows an earlier one sent is decided as it did.
            sent = isinstance(row, Row) and not isinstance(job.request(row), BadRow)
        if sent and isinstance(row, Row):
            yield item, row
            item += 1


def _answer(job: Job, row: Row, entry: JournalEntry) -> RowResult:
    typed = job.response_model is not None
    return RowResult(
        row.index,
        entry.id,
        entry.ok,
        typed=typed,
        text=entry.text if entry.ok else entry.text or None,
        value=entry.value if typed else None,
        error=None if entry.error is None else {"type": entry.error, "message": entry.message},
        finish_reason=entry.finish_reason,
        model=entry.model,
        usage=entry.usage.to_dict(),
        cost_usd=entry.cost_usd,
    )
