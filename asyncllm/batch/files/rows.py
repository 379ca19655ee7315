"""Rows from the lines of a file: JSON Lines, CSV, plain lines.

A row that cannot be parsed is a `BadRow` with its line number, and the rows behind it are parsed.
"""

from __future__ import annotations

import codecs
import csv
import json
import re
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import TypeAlias, cast

from asyncllm.errors import ConfigError

from .formats import Format

LINE_FIELD = "text"
"""The field of a row that is a plain line."""

# A CSV row whose quotes stay open for this long is taken for a mistake.
_OPEN_BYTES = 16 * 1024 * 1024
_DELIMITERS = ",;\t"
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the input.

    Attributes:
        index: Its position among the rows, from 0.
        line: The line of the file where it begins, from 1.
        data: Its fields.
        size_bytes: Its bytes in the file.
    """

    index: int
    line: int
    data: dict[str, object]
    size_bytes: int


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that cannot be used.

    Attributes:
        index: Its position among the rows, from 0.
        line: The line of the file where it begins, from 1.
        problem: What is wrong with it.
        size_bytes: Its bytes in the file.
        data: Its fields, where they could be parsed.
        raw: Its text, where they could not.
    """

    index: int
    line: int
    problem: str
    size_bytes: int
    data: dict[str, object] | None = None
    raw: str | None = None


# The fields of a row, or what is wrong with it.
_Fields: TypeAlias = dict[str, object] | str
# The line where a row begins, its fields, and its bytes.
_Found: TypeAlias = tuple[int, _Fields, bytes]


class RowReader:
    """Reads rows from the lines of a file, once.

    Args:
        lines: The lines with their line feeds. Other line ends of Unicode may be part of a text.
        format: `jsonl`, `csv` or `lines`; None decides by the first character: `{` begins a row of JSON.
        where: The name of the file, for errors.

    Attributes:
        columns: The columns that every row has; None for JSONL, and until the header of a CSV file is read.
    """

    def __init__(self, lines: Iterable[bytes], format: Format | None = None, where: str = "the input") -> None:
        self.columns: Sequence[str] | None = (LINE_FIELD,) if format == "lines" else None
        self._lines = iter(lines)
        self._format = format
        self._where = where

    def __iter__(self) -> Iterator[Row | BadRow]:
        """Yield the rows.

        Raises:
            ConfigError: The file is of another format altogether.
        """
        for index, (line, fields, raw) in enumerate(self._found()):
            if isinstance(fields, str):
                text = raw.decode("utf-8", "backslashreplace").rstrip("\r\n")
                yield BadRow(index, line, fields, len(raw), raw=text)
            else:
                yield Row(index, line, fields, len(raw))

    def _found(self) -> Iterator[_Found]:
        first = self._first_lines()
        if not first:
            return iter(())
        lines = chain(first, self._lines)
        if self._format == "lines":
            return _parsed(lines, _line_fields)
        begin = first[-1].strip()
        if begin.startswith(b"[") and self._format != "csv":
            raise ConfigError(
                f"{self._where} is one JSON array.", hint="Write one object on each line: `jq -c '.[]' FILE` does it."
            )
        if self._format == "jsonl" or (self._format is None and begin.startswith(b"{")):
            return _parsed(lines, _json_fields)
        # A line without the delimiter may be a table of one column.
        return self._csv_rows(lines, max(_DELIMITERS, key=begin.decode("utf-8", "replace").count))

    def _first_lines(self) -> list[bytes]:
        """Return the lines to the first that is not empty, without a byte order mark."""
        first: list[bytes] = []
        for line in self._lines:
            if not first:
                if line.startswith(_UTF16) or b"\0" in line:
                    hint = "Convert it, for example with `iconv -f UTF-16 -t UTF-8`."
                    raise ConfigError(f"{self._where} is not UTF-8 text.", hint=hint)
                line = line.removeprefix(codecs.BOM_UTF8)
            first.append(line)
            if line.strip():
                break
        return first

    def _csv_rows(self, lines: Iterator[bytes], delimiter: str) -> Iterator[_Found]:
        # A field may be as long as a row; the limit belongs to the process, and is only ever raised here.
        csv.field_size_limit(sys.maxsize)
        source = _CsvLines(lines)
        while source.begin_row():
            try:
                cells, problem = next(csv.reader(source, delimiter=delimiter)), None
            except csv.Error as error:
                cells, problem = [], f"is not valid CSV: {error}"
            if source.is_open and cells:
                # This one line is bad, not the rest of the file.
                source.take_back()
                problem = "opens a quote that is never closed"
            if fields := self._csv_fields(cells, problem):
                yield source.line, fields, b"".join(source.row)

    def _csv_fields(self, cells: list[str], problem: str | None) -> _Fields | None:
        """Return the fields of a row; None for an empty line and for the header."""
        if problem is None and not cells:
            return None
        if problem is None and any(map(_SURROGATE.search, cells)):
            problem = "is not UTF-8 text"
        if self.columns is None:
            if problem is not None:
                raise ConfigError(f"{self._where}: the header {problem}.")
            self.columns = _columns(cells, self._where)
            return None
        if problem is None and len(cells) != len(self.columns):
            problem = f"has {len(cells)} columns, the header {len(self.columns)}"
        return problem or dict(zip(self.columns, cells, strict=True))


class _CsvLines(Iterator[str]):
    """The lines of a CSV file as text, which end where a row has been open for too long.

    Attributes:
        line: The number of the line where the row begins.
        row: The lines of the row.
        is_open: Whether more lines were asked for than the row may have.
    """

    def __init__(self, lines: Iterator[bytes]) -> None:
        self._lines = lines
        self._ahead: deque[bytes] = deque()
        self._open_bytes = 0
        self.line = 1
        self.row: list[bytes] = []
        self.is_open = False

    def begin_row(self) -> bool:
        """Begin a row, and return whether there is one."""
        self.line += len(self.row)
        self.row, self._open_bytes, self.is_open = [], 0, False
        if not self._ahead:
            self._ahead.extend(islice(self._lines, 1))
        return bool(self._ahead)

    def take_back(self) -> None:
        """Take back all lines of the row but the first."""
        self._ahead.extendleft(reversed(self.row[1:]))
        del self.row[1:]

    def __next__(self) -> str:
        line = b""
        if self._open_bytes < _OPEN_BYTES:
            line = self._ahead.popleft() if self._ahead else next(self._lines, b"")
        if not line:
            self.is_open = True
            raise StopIteration
        self._open_bytes += len(line)
        self.row.append(line)
        return line.decode("utf-8", "surrogateescape")


def _parsed(lines: Iterable[bytes], fields: Callable[[bytes], _Fields]) -> Iterator[_Found]:
    """Yield rows of a line each."""
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield number, fields(line), line


def _columns(cells: list[str], where: str) -> list[str]:
    names = [cell.strip() for cell in cells]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(f"{where}: the header names {', '.join(map(repr, twice))} more than once.")
    return names


def _line_fields(line: bytes) -> _Fields:
    try:
        return {LINE_FIELD: line.decode("utf-8").rstrip("\r\n")}
    except UnicodeDecodeError:
        return "is not UTF-8 text"


def _json_fields(line: bytes) -> _Fields:
    try:
        value: object = json.loads(line.decode("utf-8").rstrip(), parse_constant=_refuse_constant)
    except UnicodeDecodeError:
        return "is not UTF-8 text"
    except json.JSONDecodeError as error:
        return f"is not valid JSON: {error.msg} at column {error.colno}"
    except (ValueError, RecursionError) as error:
        return f"is not valid JSON: {error}"
    return cast(dict[str, object], value) if isinstance(value, dict) else "is not a JSON object"


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")
