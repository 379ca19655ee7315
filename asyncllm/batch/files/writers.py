"""Writers of results, as JSON Lines, CSV or Parquet; and of rows that were not sent."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Protocol, cast

from .columns import AnswerColumns, Kind, as_kind, as_text
from .formats import Compression, Format, compressed
from .result_record import RowResult
from .rows import BadRow

if TYPE_CHECKING:
    from .parquet import ParquetWriter, Schema

# First characters with which a spreadsheet takes a cell for a formula. Source: OWASP, "CSV Injection".
_FORMULA = re.compile(r"[=+\-@\t\r\n]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?%?")


@dataclass(frozen=True, slots=True)
class Layout:
    """The layout of a file of results.

    Attributes:
        carried: The columns of the input and their kinds; JSON Lines need none.
        schema: The JSON Schema of typed answers; None when they are texts.
        table: The columns of the input with their types, where it was Parquet.
        escaped: Whether cells of CSV that a spreadsheet would calculate are written as texts.
        with_file: Whether tables have a column with the file of the row.
    """

    format: Format = "jsonl"
    compression: Compression | None = None
    carried: Mapping[str, Kind] = field(default_factory=dict[str, Kind])
    schema: Mapping[str, object] | None = None
    table: Schema | None = None
    escaped: bool = True
    delimiter: str = ","
    with_file: bool = False


class ResultWriter(Protocol):
    """Writes results, one a row.

    Attributes:
        escaped: How many cells were changed so that no spreadsheet calculates them.
    """

    escaped: int

    def write(self, data: Mapping[str, object], answer: RowResult) -> None:
        """Write an answer beside the fields of its row."""
        ...


@contextmanager
def result_writer(file: IO[bytes], layout: Layout, *, at_once: bool = False) -> Generator[ResultWriter]:
    """Yield a writer of results, and finish the file at the end of the block; the caller closes it.

    Args:
        at_once: Whether each result is flushed, as a pipe needs it.
    """
    with ExitStack() as stack:
        if layout.format == "parquet":
            yield stack.enter_context(_table(file, layout))
            return
        packed = stack.enter_context(compressed(file, layout.compression))
        yield _JsonResults(packed, at_once) if layout.format == "jsonl" else _CsvResults(packed, layout, at_once)


class JsonlWriter:
    """Writes one JSON object a line, each flushed, so that a run that is cut short leaves a valid file."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def write(self, record: Mapping[str, object]) -> None:
        """Write a line."""
        self._file.write(_json_line(record))
        self._file.flush()


def rejected_record(row: BadRow) -> dict[str, object]:
    """Return a row that was not sent, with its line and what is wrong with it."""
    file = {} if row.file is None else {"file": row.file}
    return {**file, "line": row.line, "problem": row.problem, "row": row.raw if row.data is None else row.data}


class _JsonResults:
    escaped = 0

    def __init__(self, file: IO[bytes], at_once: bool) -> None:
        self._file = file
        self._at_once = at_once

    def write(self, data: Mapping[str, object], answer: RowResult) -> None:
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
        self._answer = AnswerColumns(layout.schema, layout.carried, with_file=layout.with_file)
        self._text = io.StringIO(newline="")
        self._cells = csv.writer(self._text, delimiter=layout.delimiter, lineterminator="\n")
        self._line([*self._carried, *self._answer.kinds])

    def write(self, data: Mapping[str, object], answer: RowResult) -> None:
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
def _table(file: IO[bytes], layout: Layout) -> Generator[ResultWriter]:
    from .parquet import ParquetWriter, schema_of

    answer = AnswerColumns(layout.schema, layout.carried, with_file=layout.with_file)
    carried = schema_of(layout.carried) if layout.table is None else layout.table
    with ParquetWriter(file, schema_of(answer.kinds, carried)) as writer:
        yield _TableResults(writer, layout, answer)


class _TableResults:
    escaped = 0

    def __init__(self, writer: ParquetWriter, layout: Layout, answer: AnswerColumns) -> None:
        self._writer = writer
        self._carried = layout.carried
        self._has_types = layout.table is not None
        self._answer = answer

    def write(self, data: Mapping[str, object], answer: RowResult) -> None:
        carried = {
            name: data.get(name) if self._has_types else as_kind(data.get(name), kind)
            for name, kind in self._carried.items()
        }
        cells = self._answer.cells(answer)
        self._writer.write(carried | {name: as_kind(cells[name], kind) for name, kind in self._answer.kinds.items()})


def _json_line(record: Mapping[str, object]) -> bytes:
    try:
        line = json.dumps(record, ensure_ascii=False, default=str, allow_nan=False)
    except ValueError:
        line = json.dumps(_finite(record), ensure_ascii=False, default=str)
    # A lone surrogate becomes \udXXX, which is its spelling in JSON.
    return line.encode("utf-8", "backslashreplace") + b"\n"


def _finite(value: object) -> object:
    """Return a value with null for the numbers that JSON lacks, which Parquet has."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {name: _finite(item) for name, item in cast(Mapping[str, object], value).items()}
    return [_finite(item) for item in cast(list[object], value)] if isinstance(value, list | tuple) else value
