"""The results of a batch: from the journal into a file at its end, or to stdout as they come."""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_right
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, TYPE_CHECKING

from asyncllm.batch.files import (
    BadRow,
    InferredColumns,
    JsonlWriter,
    Kind,
    Layout,
    ResultWriter,
    Row,
    RowResult,
    position_of,
    rejected_record,
    result_writer,
)
from asyncllm.errors import ConfigError

from ..terminal.exit_codes import UsageProblem
from ..terminal.output import note
from ..terminal.replaced_file import replacing
from .job import Job

if TYPE_CHECKING:
    from asyncllm.batch.files.parquet import Schema
    from asyncllm.batch.journal.entry import JournalEntry
    from asyncllm.batch.journal.journal import Journal

# As many bad rows on stderr show what is wrong with the file; all of them are in OUT.rejected.
_SHOWN_PROBLEMS = 20


class RowNumbers:
    """The row of each item: the same number, and one more for each row that was left out before it."""

    def __init__(self) -> None:
        self._items = array("Q", [0])
        self._rows = array("Q", [0])
        self.count = 0

    def add(self, row: int) -> None:
        """Add the row of the next item."""
        if row - self.count != self._rows[-1] - self._items[-1]:
            self._items.append(self.count)
            self._rows.append(row)
        self.count += 1

    def row(self, item: int) -> int:
        """Return the row of an item."""
        at = bisect_right(self._items, item) - 1
        return self._rows[at] + item - self._items[at]


class Rejected:
    """The rows that are not sent, reported on stderr and written to a file of their own.

    Args:
        path: The file, created with the first such row; one of an earlier run is removed. None for none.
    """

    def __init__(self, path: Path | None) -> None:
        self.count = 0
        self._path = path
        self._file: IO[bytes] | None = None
        if path is not None:
            path.unlink(missing_ok=True)

    def add(self, row: BadRow) -> None:
        """Add a row that is not sent."""
        self.count += 1
        if self.count <= _SHOWN_PROBLEMS:
            note(f"{position_of(row)}: {row.problem}")
        elif self.count == _SHOWN_PROBLEMS + 1:
            note("more rows cannot be used" + ("" if self._path is None else f"; all of them are in {self._path}"))
        if self._path is not None:
            if self._file is None:
                self._file = self._path.open("wb")
            JsonlWriter(self._file).write(rejected_record(row))

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()


@contextmanager
def to_stdout(job: Job, columns: Sequence[str] | None) -> Generator[ResultWriter]:
    """Yield a writer of results to stdout, each flushed.

    Args:
        columns: The columns of the input; None where each row has its own.
    """
    columns = job.target.columns or columns
    kinds: Mapping[str, Kind] = dict.fromkeys(columns or (), "str")
    if job.target.format == "csv" and columns is None:
        raise UsageProblem(
            "rows of JSON Lines have no columns that are known before the last one is read.",
            "Write them to a file, -o OUT.csv, or as JSON Lines.",
        )
    several = len(job.source.files) > 1
    layout = Layout(job.target.format, None, kinds, job.schema, escaped=job.target.escaped, with_file=several)
    with result_writer(sys.stdout.buffer, layout, at_once=True) as writer:
        yield writer


class ResultsFile:
    """The file of results, written from the journal.

    Args:
        unchanged: Whether all runs had this input and prompt; if so, what this run did not reach is written as earlier
            ones left it.
    """

    def __init__(self, job: Job, journal: Journal, row_numbers: RowNumbers, *, unchanged: bool) -> None:
        self._job = job
        self._journal = journal
        self._row_numbers = row_numbers
        self._unchanged = unchanged

    def are_fewer(self) -> bool:
        """Return whether the file that is there has more rows, or is of another kind."""
        if self._unchanged:
            return False  # what earlier runs left is among the results
        try:
            before = self._job.target.row_count()
        except ConfigError:
            return True
        return before > sum(1 for _ in self._joined())

    def write(self) -> int:
        """Replace the file, and return the number of cells that were changed so that no spreadsheet calculates them."""
        path = self._job.target.path
        assert path is not None
        with replacing(path) as file, result_writer(file, self._layout()) as writer:
            absent = set(self._job.target.columns or ())
            for row, entry in self._joined():
                kept = self._job.target.kept(row.data)
                absent -= kept.keys()
                typed = self._job.answers is not None
                writer.write(kept, RowResult.of_entry(row.index, entry, typed=typed, file=row.file))
        for name in sorted(absent):
            note(f"no row has the column {name!r} of --columns")
        return writer.escaped

    def _layout(self) -> Layout:
        layout = self._job.layout
        if layout.format == "jsonl":
            return layout
        carried, table = self._columns()
        return replace(layout, carried=carried, table=table)

    def _columns(self) -> tuple[Mapping[str, Kind], Schema | None]:
        """Return the columns that are kept: by the header, by the types of a table, or by all rows of the input."""
        source, kept = self._job.source, self._job.target.columns
        if source.reads_again:
            known = self._job.target.known_columns(source)
            if known is not None:
                return known
        inferred = InferredColumns()
        for row, _ in self._joined():
            inferred.add(row.data)
        kinds = inferred.kinds
        return kinds if kept is None else {name: kinds.get(name, "str") for name in kept}, None

    def _joined(self) -> Iterator[tuple[Row, JournalEntry]]:
        """Yield the rows of the input with their entries of the journal; both are in one order."""
        entries = self._journal.outcomes(reached=not self._unchanged)
        if not self._job.source.reads_again:
            for entry in entries:
                yield Row(**entry.data), entry
            return
        with self._job.source.open() as reading:
            rows = self._sent(reading.rows())
            index, row = next(rows, (-1, None))
            for entry in entries:
                while row is not None and index < entry.index:
                    index, row = next(rows, (-1, None))
                if row is not None and index == entry.index:
                    yield row, entry

    def _sent(self, rows: Iterator[Row | BadRow]) -> Iterator[tuple[int, Row]]:
        """Yield the rows that were sent, each with its index among them."""
        item = 0
        for row in rows:
            if item < self._row_numbers.count:
                sent = row.index == self._row_numbers.row(item)
            else:
                # This run did not come so far: an earlier one sent the rows that make a request.
                sent = isinstance(row, Row) and not isinstance(self._job.request(row), BadRow)
            if sent and isinstance(row, Row):
                yield item, row
                item += 1
