"""Reading rows: any cut of a file gives the same rows, and what is wrong stays with its row."""

from __future__ import annotations

import csv
import io
import json
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncllm import ConfigError
from asyncllm.batch.files import BadRow, Format, Row
from asyncllm.batch.files.formats import uncompressed
from asyncllm.batch.files.rows import RowReader

NOT_UTF8 = "is not UTF-8 text (give its encoding, such as --encoding cp1252)"


class Pieces(io.RawIOBase):
    """A file whose every read returns the next piece, as that of a pipe does."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = deque(filter(None, pieces))

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        piece = self._pieces.popleft() if self._pieces else b""
        buffer[: len(piece)] = piece
        return len(piece)


def read(data: bytes, *, format: Format | None = None, cuts: list[int] | None = None) -> list[Row | BadRow]:
    """Read a file that comes in pieces."""
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts or ()), len(data)]
    pieces = Pieces(data[begin:end] for begin, end in pairwise(edges))
    return list(RowReader(uncompressed(pieces, None), format))


def found(rows: list[Row | BadRow]) -> list[tuple[int, Any]]:
    """Return the line and the fields, or the problem, of each row."""
    return [(row.line, row.problem if isinstance(row, BadRow) else row.data) for row in rows]


CELLS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\0"), max_size=6)
TABLES = st.integers(1, 3).flatmap(
    lambda width: st.lists(st.lists(CELLS, min_size=width, max_size=width), min_size=1, max_size=5)
)


@given(table=TABLES, delimiter=st.sampled_from(",;\t"), cuts=st.lists(st.integers(0), max_size=4))
def test_a_csv_file_reads_as_the_csv_module_reads_it(table: list[list[str]], delimiter: str, cuts: list[int]) -> None:
    """However the file is cut and its cells are filled, its rows are those that were written."""
    header = [f"column{delimiter * (number == 0)}{number}" for number in range(len(table[0]))]
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows([header, *table])
    rows = read(text.getvalue().encode(), format="csv", cuts=cuts)
    assert [row.data for row in rows] == [dict(zip(header, cells, strict=True)) for cells in table]
    assert [row.index for row in rows] == list(range(len(table)))


@given(
    values=st.lists(st.dictionaries(st.text(max_size=3), st.none() | st.text(max_size=9) | st.integers()), max_size=5),
    cuts=st.lists(st.integers(0), max_size=4),
)
def test_a_jsonl_file_reads_as_json_reads_it(values: list[dict[str, Any]], cuts: list[int]) -> None:
    """However the file is cut, each line is one object."""
    data = "\n".join(json.dumps(value, ensure_ascii=False) for value in values).encode("utf-8", "backslashreplace")
    assert found(read(data, format="jsonl", cuts=cuts)) == list(enumerate(values, 1))


@given(
    data=st.binary(max_size=60), format=st.sampled_from([None, "jsonl", "json", "csv"]), cuts=st.lists(st.integers(0))
)
def test_no_bytes_are_too_strange(data: bytes, format: Format | None, cuts: list[int]) -> None:
    """Any bytes end in rows, bad rows, or one clear error; never in another error."""
    with suppress(ConfigError):
        rows = read(data, format=format, cuts=cuts)
        assert all(isinstance(row, Row) or row.problem for row in rows)


@pytest.mark.parametrize(
    ("data", "rows"),
    [
        (b'\xef\xbb\xbf{"a": 1}\r\n\r\n{"a": 2}', [(1, {"a": 1}), (3, {"a": 2})]),
        (b'{"a": 1}\nno\n', [(1, {"a": 1}), (2, "is not valid JSON: Expecting value at column 1")]),
        (b'{"a": 1}\n[2]\n', [(1, {"a": 1}), (2, "is not a JSON object")]),
        (b'{"a": [NaN, -Infinity]}\n', [(1, {"a": [None, None]})]),
        (b'{"a": "\xff"}\n{}\n', [(1, NOT_UTF8), (2, {})]),
        (b'{"a": "\xe2\x80\xa8\x0b"}\n', [(1, "is not valid JSON: Invalid control character at at column 9")]),
        ('{"a": "\u2028\u0085"}\n'.encode(), [(1, {"a": "\u2028\u0085"})]),
        (b"\xef\xbb\xbfa,b\r\n1,2\r\n", [(2, {"a": "1", "b": "2"})]),
        (b'a,b\n"1\n2",3\n\n4,5', [(2, {"a": "1\n2", "b": "3"}), (5, {"a": "4", "b": "5"})]),
        (b"a,b\n1\n1,2,3\n", [(2, "has 1 columns, the header 2"), (3, "has 3 columns, the header 2")]),
        (b"a;b\n1,5;2\n", [(2, {"a": "1,5", "b": "2"})]),
        (b"a\tb\n1\t2\n", [(2, {"a": "1", "b": "2"})]),
        (b'a,b\n5" pipe,1\n', [(2, {"a": '5" pipe', "b": "1"})]),
        (b"a,b\n\xff,1\n2,3\n", [(2, NOT_UTF8), (3, {"a": "2", "b": "3"})]),
        (b'a,b\n"1,2\n3,4\n', [(2, "opens a quote that is never closed"), (3, {"a": "3", "b": "4"})]),
        (b"", []),
    ],
)
def test_awkward_files(data: bytes, rows: list[tuple[int, Any]]) -> None:
    """Marks, line ends, quotes and broken rows, with the lines as an editor counts them."""
    assert found(read(data)) == rows


def test_plain_lines_are_rows_of_one_field() -> None:
    """Each line that is not empty is a row, with its text under `text`."""
    assert found(read(b"one\r\n\n {two\n\xff\n", format="lines")) == [
        (1, {"text": "one"}),
        (3, {"text": " {two"}),
        (4, NOT_UTF8),
    ]


def test_a_row_that_cannot_be_read_keeps_its_text() -> None:
    """What is set aside can be mended, because it is there as it stood in the file."""
    bad = read(b'{"a": 1}\n{"a": \xff1\r\n')[1]
    assert isinstance(bad, BadRow)
    assert bad.raw == '{"a": \\xff1'


def test_deep_nesting_is_a_bad_row() -> None:
    """A row that would exhaust the parser is refused, the next one read."""
    first, second = read(b'{"a": ' + b"[" * 100_000 + b'\n{"a": 1}\n')
    assert isinstance(first, BadRow)
    assert isinstance(second, Row)


def test_sizes_add_up_to_the_file() -> None:
    """The rows take as many bytes as the file has behind its header, for a bar that ends at its end."""
    body = 'ä,"1\n2"\nb,3\n'.encode()
    assert sum(row.size_bytes for row in read(b"x,y\n" + body)) == len(body)


def test_a_quote_that_stays_open_does_not_hold_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """After so many bytes the line with the quote is at fault, and reading goes on behind it."""
    monkeypatch.setattr("asyncllm.batch.files.rows._OPEN_BYTES", 20)
    rows = read(b'a,b\n"oops,1\n2,3\n4,5\n6,7\n8,9\n', format="csv")
    assert found(rows)[0] == (2, "opens a quote that is never closed")
    assert found(rows)[-1] == (6, {"a": "8", "b": "9"})
