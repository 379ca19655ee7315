"""Results out: as JSON Lines, CSV or Parquet; and the rows that were not sent."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import IO, Any, Protocol

from .columns import AnswerColumns, Kind, as_kind, as_text
from .formats import Compression, Format, compressed
from .result_record import RowResult
from .rows import BadRow

# What makes a spreadsheet take a cell for a formula. Source: OWASP, "CSV Injection".
_FORMULA = re.compile(r"[=+\-@\t\r\n]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?%?")


@dataclass(frozen=True, slots=True)
class Layout:
    """What a file of results looks like.

    Attributes:
        format: How rows stand in it.
        compression: What it is compressed with.
        carried: The columns of the input and what they hold; JSON Lines need none.
        schema: The JSON Schema of typed answers; None when they are texts.
        table: The columns of the input as pyarrow has them, where it was Parquet.
        escaped: Cells of CSV that a spreadsheet would calculate are written as texts.
        delimiter: What parts the cells of CSV.
    """

    format: Format = "jsonl"
    compression: Compression | None = None
    carried: Mapping[str, Kind] = field(default_factory=dict)
    schema: Mapping[str, Any] | None = None
    table: Any = None
    escaped: bool = True
    delimiter: str = ","


class ResultWriter(Protocol):
    """Writes results, one a row.

    Attributes:
        escaped: How many cells were changed so that no spreadsheet calculates them.
    """

    escaped: int

    def write(self, data: Mapping[str, Any], answer: RowResult) -> None:
        """Write an answer beside the fields of its row."""


@contextmanager
def result_writer(file: IO[bytes], layout: Layout, *, at_once: bool = False) -> Iterator[ResultWriter]:
    """Give a writer of results, and finish the file at the end of the block; closing it is the caller's.

    Args:
        file: Where to.
        layout: What it looks like.
        at_once: Each result shall be seen as soon as it is written, as in a pipe.
    """
    with ExitStack() as stack:
        if layout.format == "parquet":
            yield stack.enter_context(_table(file, layout))
            return
        packed = stack.enter_context(compressed(file, layout.compression))
        yield _JsonResults(packed, at_once) if layout.format == "jsonl" else _CsvResults(packed, layout, at_once)


class JsonlWriter:
    """Writes one JSON object a line, each whole and at once, so that a run that is cut short leaves a valid file."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def write(self, record: Mapping[str, Any]) -> None:
        """Write a line."""
        self._file.write(_json_line(record))
        self._file.flush()


def rejected_record(row: BadRow) -> dict[str, Any]:
    """Return a row that was not sent, with its line and what is wrong with it."""
    return {"line": row.line, "problem": row.problem, "row": row.raw if row.data is None else row.data}


class _JsonResults:
    escaped = 0

    def __init__(self, file: IO[bytes], at_once: bool) -> None:
        self._file = file
        self._at_once = at_once

    def write(self, data: Mapping[str, Any], answer: RowResult) -> None:
        self._file.write(_json_line(answer.record(data)))
        if self._at_once:
            self._file.flush()


class _CsvResults:
    def __init__(self, file: IO[bytes], layout: Layout, at_once: bool) -> None:
        self.escaped = 0
        self._file = file
        self._at_once = at_once
        self._escapes = layout.escaped
        self._carried = tuple(layout.carried)
        self._answer = AnswerColumns(layout.schema, layout.carried)
        self._text = io.StringIO(newline="")
        self._cells = csv.writer(self._text, delimiter=layout.delimiter, lineterminator="\n")
        self._line([*self._carried, *self._answer.kinds])

    def write(self, data: Mapping[str, Any], answer: RowResult) -> None:
        values = [*map(data.get, self._carried), *self._answer.cells(answer).values()]
        self._line([self._safe(as_text(value)) for value in values])

    def _line(self, cells: list[str]) -> None:
        self._cells.writerow(cells)
        self._file.write(self._text.getvalue().encode("utf-8", "backslashreplace"))
        self._text.seek(0)
        self._text.truncate()
        if self._at_once:
            self._file.flush()

    def _safe(self, cell: str) -> str:
        if not self._escapes or not _FORMULA.match(cell) or _NUMBER.fullmatch(cell):
            return cell
        self.escaped += 1
        return f"'{cell}"


@contextmanager
def _table(file: IO[bytes], layout: Layout) -> Iterator[ResultWriter]:
    from .parquet import ParquetWriter, joined, schema_of

    answer = AnswerColumns(layout.schema, layout.carried)
    carried = schema_of(layout.carried) if layout.table is None else layout.table
    with ParquetWriter(file, joined(carried, schema_of(answer.kinds))) as writer:
        yield _TableResults(writer, layout, answer)


class _TableResults:
    escaped = 0

    def __init__(self, writer: Any, layout: Layout, answer: AnswerColumns) -> None:
        self._writer = writer
        self._carried = layout.carried
        self._as_it_is = layout.table is not None
        self._answer = answer

    def write(self, data: Mapping[str, Any], answer: RowResult) -> None:
        carried = {
            name: data.get(name) if self._as_it_is else as_kind(data.get(name), kind)
            for name, kind in self._carried.items()
        }
        cells = self._answer.cells(answer)
        self._writer.write(carried | {name: as_kind(cells[name], kind) for name, kind in self._answer.kinds.items()})


def _json_line(record: Mapping[str, Any]) -> bytes:
    line = json.dumps(record, ensure_ascii=False, default=str)
    # A lone surrogate becomes \udXXX, which is its spelling in JSON.
    return line.encode("utf-8", "backslashreplace") + b"\n"
