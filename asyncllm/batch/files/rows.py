"""Parsers of rows from the bytes of a file, a piece at a time: JSON Lines, CSV, plain lines.

A row that cannot be parsed is a `BadRow` with its line number, and the rows behind it are parsed.
"""

from __future__ import annotations

import codecs
import csv
import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
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


class RowParser:
    """Parses the bytes of a file into rows, however they are cut into pieces.

    Args:
        format: `jsonl`, `csv` or `lines`; None decides by the first character: `{` begins a row of JSON.
        where: The name of the file, for errors.
    """

    def __init__(self, format: Format | None = None, where: str = "the input") -> None:
        self._format = format
        self._where = where
        self._rest: list[bytes] = []
        self._parser: _LineRows | _CsvRows | None = None
        self._index = 0

    @property
    def columns(self) -> Sequence[str] | None:
        """The columns that every row has; None for JSONL, and before the header of a CSV file was read."""
        return self._parser.columns if self._parser is not None else None

    def feed(self, data: bytes) -> list[Row | BadRow]:
        """Take a piece of the file, and return the rows that it completes.

        Raises:
            ConfigError: The file is of another format altogether.
        """
        # Line feeds alone end a line: the other line ends of Unicode may be part of a text.
        first, *others = data.split(b"\n")
        self._rest.append(first)
        if not others:
            return []
        last = others.pop()
        lines = [line + b"\n" for line in (b"".join(self._rest), *others)]
        self._rest = [last]
        return self._rows(lines, last=False)

    def close(self) -> list[Row | BadRow]:
        """Return the rows that the end of the file completes."""
        line, self._rest = b"".join(self._rest), []
        return self._rows([line] if line else [], last=True)

    def _rows(self, lines: list[bytes], *, last: bool) -> list[Row | BadRow]:
        if self._parser is None:
            if not lines:
                return []
            self._parser = self._start(lines)
        rows: list[Row | BadRow] = []
        for line, found, raw in self._parser.rows(lines, last=last):
            if isinstance(found, str):
                text = raw.decode("utf-8", "backslashreplace").rstrip("\r\n")
                rows.append(BadRow(self._index, line, found, len(raw), raw=text))
            else:
                rows.append(Row(self._index, line, found, len(raw)))
            self._index += 1
        return rows

    def _start(self, lines: list[bytes]) -> _LineRows | _CsvRows:
        """Return the parser for the format of the file, decided by its beginning where it is not given."""
        if lines[0].startswith(_UTF16) or b"\0" in lines[0]:
            raise ConfigError(
                f"{self._where} is not UTF-8 text.", hint="Convert it, for example with `iconv -f UTF-16 -t UTF-8`."
            )
        lines[0] = lines[0].removeprefix(codecs.BOM_UTF8)
        if self._format == "lines":
            return _LineRows(_line_object, (LINE_FIELD,))
        first = next((line.strip() for line in lines if line.strip()), b"")
        if first.startswith(b"[") and self._format != "csv":
            raise ConfigError(
                f"{self._where} is one JSON array.", hint="Write one object on each line: `jq -c '.[]' FILE` does it."
            )
        as_json = self._format == "jsonl" or (self._format is None and first.startswith(b"{"))
        return _LineRows(_json_object, None) if as_json else _CsvRows(self._where)


# The fields of a row, or what is wrong with it.
_Fields: TypeAlias = dict[str, object] | str
# The line where a row begins, its fields, and its bytes.
_Found: TypeAlias = tuple[int, _Fields, bytes]


class _LineRows:
    """Rows of a line each."""

    def __init__(self, parse: Callable[[bytes], _Fields], columns: Sequence[str] | None) -> None:
        self.columns = columns
        self._parse = parse
        self._line = 0

    def rows(self, lines: Iterable[bytes], *, last: bool) -> Iterator[_Found]:
        for line in lines:
            self._line += 1
            if line.strip():
                yield self._line, self._parse(line), line


class _CsvRows:
    def __init__(self, where: str) -> None:
        self.columns: list[str] | None = None
        # A field may be as long as a row; the limit belongs to the process, and is only ever raised here.
        csv.field_size_limit(sys.maxsize)
        self._where = where
        self._delimiter = ","
        self._line = 0
        self._open: list[bytes] = []  # the lines of a row whose quotes are not closed yet

    def rows(self, lines: list[bytes], *, last: bool) -> Iterator[_Found]:
        if self.columns is None and lines and not self._open:
            self._delimiter = max(_DELIMITERS, key=lines[0].decode("utf-8", "replace").count)
        source = _Lines(self._open + lines)
        while (begin := source.offset) < len(source.lines):
            cells, problem = self._parse(source)
            if source.ran_dry and cells:
                # The quotes of this row are still open.
                if not last and sum(map(len, source.lines[begin:])) < _OPEN_BYTES:
                    source.offset = begin
                    break
                # This one line is bad, not the rest of the file.
                source.offset, problem = begin + 1, "opens a quote that is never closed"
            line, self._line = self._line + 1, self._line + source.offset - begin
            if found := self._found(cells, problem):
                yield line, found, b"".join(source.lines[begin : source.offset])
        self._open = source.lines[source.offset :]

    def _parse(self, source: _Lines) -> tuple[list[str], str | None]:
        try:
            return next(csv.reader(source, delimiter=self._delimiter)), None
        except csv.Error as error:
            return [], f"is not valid CSV: {error}"

    def _found(self, cells: list[str], problem: str | None) -> _Fields | None:
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


class _Lines(Iterator[str]):
    """Lines as text, from an offset on, and whether more were asked for than there are."""

    def __init__(self, lines: list[bytes]) -> None:
        self.lines = lines
        self.offset = 0
        self.ran_dry = False

    def __next__(self) -> str:
        self.ran_dry = self.offset == len(self.lines)
        if self.ran_dry:
            raise StopIteration
        self.offset += 1
        return self.lines[self.offset - 1].decode("utf-8", "surrogateescape")


def _columns(cells: list[str], where: str) -> list[str]:
    names = [cell.strip() for cell in cells]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(f"{where}: the header names {', '.join(map(repr, twice))} more than once.")
    return names


def _line_object(line: bytes) -> _Fields:
    try:
        return {LINE_FIELD: line.decode("utf-8").rstrip("\r\n")}
    except UnicodeDecodeError:
        return "is not UTF-8 text"


def _json_object(line: bytes) -> _Fields:
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
