"""Rows from the bytes of a file: JSON Lines, a JSON array, CSV, plain lines.

A row that cannot be parsed is a `BadRow` with its line number, and the rows behind it are parsed.
"""

from __future__ import annotations

import codecs
import csv
import io
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
from .json_stream import json_values

LINE_FIELD = "text"
"""The field of a row that is a plain line."""

# A CSV row whose quotes stay open for this long is taken for a mistake.
_OPEN_BYTES = 16 * 1024 * 1024
_DELIMITERS = ",;\t"
# As much of a row that cannot be parsed is kept.
_RAW_BYTES = 1024 * 1024
_NOT_UTF8 = "is not UTF-8 text (give its encoding, such as --encoding cp1252)"
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the input.

    Attributes:
        index: Its position among the rows, from 0.
        line: The line of the file where it begins, from 1.
        nulled: `NaN` or `Infinity`, where the row has that and it was read as null.
        file: The file, where the input has several.
    """

    index: int
    line: int
    data: dict[str, object]
    size_bytes: int
    nulled: str | None = None
    file: str | None = None


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that cannot be used.

    Attributes:
        data: Its fields, where they could be parsed.
        raw: Its text, where they could not.
    """

    index: int
    line: int
    problem: str
    size_bytes: int
    data: dict[str, object] | None = None
    raw: str | None = None
    file: str | None = None


def position_of(row: Row | BadRow) -> str:
    """Return where a row is, such as `line 7` or `b.csv, line 7`."""
    return f"line {row.line}" if row.file is None else f"{row.file}, line {row.line}"


# The fields of a row, or what is wrong with it.
_Fields: TypeAlias = dict[str, object] | str
# The line where a row begins, its fields, and its bytes.
_Found: TypeAlias = tuple[int, _Fields, bytes]


class RowReader:
    """Reads rows from a file, once.

    Args:
        file: The file, uncompressed and in UTF-8.
        format: `jsonl`, `json`, `csv` or `lines`; None decides by the first character: `{` begins a row of JSON. One
            that begins with `[` is a JSON array, also where it should be JSON Lines.
        where: The name of the file, for errors.
        encoding: The encoding that it was decoded from, for errors.
        strict: Whether a row of JSON with NaN or Infinity is a bad one, rather than one with null.

    Attributes:
        columns: The columns that every row has; None for JSON, and until the header of a CSV file is read.
    """

    def __init__(
        self,
        file: io.BufferedReader,
        format: Format | None = None,
        where: str = "the input",
        encoding: str | None = None,
        *,
        strict: bool = False,
    ) -> None:
        self.columns: Sequence[str] | None = (LINE_FIELD,) if format == "lines" else None
        self._file = file
        self._format = format
        self._where = where
        self._not_text = f"is not {encoding} text" if encoding is not None else _NOT_UTF8
        self._strict = strict
        self._nulled: str | None = None
        self._decode_json = json.JSONDecoder(parse_constant=self._null).decode

    def __iter__(self) -> Iterator[Row | BadRow]:
        """Yield the rows.

        Raises:
            ConfigError: The file is of another format altogether.
        """
        for index, (line, fields, raw) in enumerate(self._found()):
            if isinstance(fields, str):
                text = raw[:_RAW_BYTES].decode("utf-8", "backslashreplace").rstrip("\r\n")
                yield BadRow(index, line, fields, len(raw), raw=text)
            else:
                yield Row(index, line, fields, len(raw), self._nulled)
            self._nulled = None

    def _found(self) -> Iterator[_Found]:
        if self._format in (None, "json", "jsonl") and self._begins_with(b"[" if self._format != "json" else b"[{"):
            return ((line, problem or self._json_fields(raw), raw) for line, raw, problem in json_values(self._file))
        first = self._first_lines()
        if not first:
            return iter(())
        lines = chain(first, self._file)
        if self._format == "lines":
            return _parsed(lines, self._line_fields)
        begin = first[-1].strip()
        if self._format in ("json", "jsonl") or (self._format is None and begin.startswith(b"{")):
            return _parsed(lines, self._json_fields)
        # A line without the delimiter may be a table of one column.
        return self._csv_rows(lines, max(_DELIMITERS, key=begin.decode("utf-8", "replace").count))

    def _begins_with(self, either: bytes) -> bool:
        begin = self._file.peek().removeprefix(codecs.BOM_UTF8).lstrip()[:1]
        return begin != b"" and begin in either

    def _first_lines(self) -> list[bytes]:
        """Return the lines to the first that is not empty, without a byte order mark."""
        first: list[bytes] = []
        for line in self._file:
            if not first:
                if b"\0" in line:
                    raise ConfigError(
                        f"{self._where} is not UTF-8 text.", hint="Give its encoding, such as --encoding utf-16-le."
                    )
                line = line.removeprefix(codecs.BOM_UTF8)
            first.append(line)
            if line.strip():
                break
        return first

    def _line_fields(self, line: bytes) -> _Fields:
        try:
            return {LINE_FIELD: line.decode("utf-8").rstrip("\r\n")}
        except UnicodeDecodeError:
            return self._not_text

    def _json_fields(self, text: bytes) -> _Fields:
        try:
            value: object = self._decode_json(text.decode("utf-8").strip())
        except UnicodeDecodeError:
            return self._not_text
        except json.JSONDecodeError as error:
            return f"is not valid JSON: {error.msg} at column {error.colno}"
        except (ValueError, RecursionError) as error:
            return f"is not valid JSON: {error}"
        return cast(dict[str, object], value) if isinstance(value, dict) else "is not a JSON object"

    def _null(self, name: str) -> None:
        """Read a number that JSON lacks, and pandas writes for a missing value, as null."""
        if self._strict:
            raise ValueError(f"{name} is not a JSON number")
        self._nulled = name.removeprefix("-")

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
            problem = self._not_text
        if self.columns is None:
            if problem is not None:
                raise ConfigError(f"{self._where}: the header {problem}.")
            self.columns = header(cells, self._where)
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


def header(cells: Sequence[str], where: str) -> list[str]:
    """Return the columns that a header names; raise ConfigError if it names one more than once."""
    names = [cell.strip() for cell in cells]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(f"{where}: the header names {', '.join(map(repr, twice))} more than once.")
    return names
