"""Inputs beyond one file of UTF-8: JSON arrays, spreadsheets, other encodings, several files, samples."""

from __future__ import annotations

import gzip
import json
import math
import os
import sys
import tracemalloc
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncllm import ConfigError
from asyncllm.batch.files import BadRow, FileInput, FileInputs, Row, matching_files
from asyncllm.batch.files.file_inputs import SAMPLE_SEED
from asyncllm.batch.files.writers import Layout, result_writer
from tests.batch.files.spreadsheets import xlsx
from tests.batch.files.test_rows import found, read

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)

PROBLEM = "is not valid JSON"


def read_all(source: FileInput | FileInputs) -> list[Row | BadRow]:
    """Read a source to its end."""
    with source.open() as reading:
        return list(reading.rows())


def data_of(source: FileInput | FileInputs) -> list[Any]:
    """Read the fields of each row, or what is wrong with it."""
    return [row.problem if isinstance(row, BadRow) else row.data for row in read_all(source)]


@given(
    values=st.lists(st.dictionaries(st.text(max_size=3), JSON, max_size=3), max_size=4),
    indent=st.sampled_from([None, 0, 2]),
    as_array=st.booleans(),
    cuts=st.lists(st.integers(0), max_size=6),
)
def test_a_json_file_reads_as_json_reads_it(
    values: list[dict[str, Any]], indent: int | None, as_array: bool, cuts: list[int]
) -> None:
    """However it is cut and indented, an array has its items, and so has a file of one object after the other."""
    texts = [json.dumps(value, indent=indent, ensure_ascii=False) for value in values]
    text = json.dumps(values, indent=indent) if as_array else "\n".join(texts)
    rows = read(text.encode("utf-8", "backslashreplace"), format="json", cuts=cuts)
    assert [row.data for row in rows] == values


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        (b"[]", []),
        (b" \xef\xbb\xbf[]"[1:], []),
        (b'[{"a": 1},\n {"a": 2}\n]', [(1, {"a": 1}), (2, {"a": 2})]),
        (b'[\n\n{"a": "]}\\"\\\\"}]', [(3, {"a": ']}"\\'})]),
        (b'[{"a": [[1], {"b": 2}]}, 7, [8], "x"]', [(1, {"a": [[1], {"b": 2}]}), *[(1, "is not a JSON object")] * 3]),
        (b'[{"a": 1}\n, {"a": no}\n, {"a": 2},]', [(1, {"a": 1}), (2, PROBLEM), (3, {"a": 2})]),
        (b'[{"a": 1}][{"a": 2}]\n{"a": 3}', [(1, {"a": 1}), (1, {"a": 2}), (2, {"a": 3})]),
        (b'[{"a": 1}, {"a": NaN}]', [(1, {"a": 1}), (1, {"a": None})]),
        (b'[{"a": 1}', [(1, {"a": 1}), (1, "has no end of the array: the file may be cut off")]),
        (b'[{"a": 1}, {"a', [(1, {"a": 1}), (1, "is not closed: the file may be cut off")]),
        (b'[{"a": "\xff"}]', [(1, "is not UTF-8 text (give its encoding, such as --encoding cp1252)")]),
    ],
)
def test_awkward_arrays(text: bytes, rows: list[tuple[int, Any]]) -> None:
    """What is wrong with an item stays with it, and a file that was cut off says so."""
    read_rows = found(read(text))
    assert [(line, PROBLEM if str(what).startswith(PROBLEM) else what) for line, what in read_rows] == rows


def test_an_array_needs_no_memory(tmp_path: Path) -> None:
    """An array of 40 MB on one line, compressed, is read in a few."""
    item = json.dumps({"text": "the same again " * 60}).encode()
    with gzip.open(tmp_path / "rows.json.gz", "wb", compresslevel=1) as file:
        file.write(b"[" + item)
        for _ in range(40):
            file.write((b"," + item) * (1_000_000 // len(item)))
        file.write(b"]")
    tracemalloc.start()
    with FileInput(str(tmp_path / "rows.json.gz")).open() as reading:
        count = sum(isinstance(row, Row) for row in reading.rows())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 40 * (1_000_000 // len(item)) + 1
    assert peak < 8_000_000


def test_an_item_that_is_never_closed_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """A quote that stays open does not fill the memory with the rest of the file."""
    monkeypatch.setattr("asyncllm.batch.files.json_stream._OPEN_BYTES", 100)
    rows = read(b'[{"a": 1},\n{"a": "' + b"x" * 1000)
    assert found(rows)[0] == (1, {"a": 1})
    assert "the rest is not read" in found(rows)[1][1]


def test_strict_json_has_no_nan(tmp_path: Path) -> None:
    """A row with a number that JSON lacks is read with null, and says so, or is a bad row."""
    path = tmp_path / "rows.jsonl"
    path.write_text('{"a": -Infinity}\n{"a": 1}\n')
    assert [row.nulled for row in read_all(FileInput(str(path))) if isinstance(row, Row)] == ["Infinity", None]
    first, second = data_of(FileInput(str(path), strict=True))
    assert first == "is not valid JSON: -Infinity is not a JSON number"
    assert second == {"a": 1}


def test_results_are_json_whatever_the_row_has(tmp_path: Path) -> None:
    """Parquet has numbers that JSON lacks; a line of results has null for them."""
    from asyncllm.batch.files import RowResult

    with (tmp_path / "out.jsonl").open("wb") as file, result_writer(file, Layout()) as writer:
        writer.write({"a": math.nan, "b": [{"c": math.inf}], "d": 1.5}, RowResult(0, None, True, text="x"))
    text = (tmp_path / "out.jsonl").read_text()
    assert json.loads(text)["data"] == {"a": None, "b": [{"c": None}], "d": 1.5}
    assert "NaN" not in text


@pytest.mark.parametrize(
    ("encoding", "given"),
    [
        ("cp1252", "cp1252"),
        ("shift_jis", "shift_jis"),
        ("utf-16", None),
        ("utf-16", "utf-16"),
        ("utf-16-le", "utf-16-le"),
    ],
)
@pytest.mark.parametrize("name", ["rows.csv", "rows.jsonl", "rows.json", "rows.txt", "rows.csv.gz"])
def test_text_in_other_encodings(tmp_path: Path, name: str, encoding: str, given: str | None) -> None:
    """Every text format is read in any encoding of Python; UTF-16 says itself what it is."""
    word = "テスト" if encoding == "shift_jis" else "£ naïve"
    rows = [{"text": f"{word} {n}"} for n in range(300)]
    texts = {
        "csv": "text\n" + "".join(f"{row['text']}\n" for row in rows),
        "jsonl": "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows),
        "json": json.dumps(rows, ensure_ascii=False),
        "txt": "".join(f"{row['text']}\n" for row in rows),
    }
    data = texts[name.split(".")[1]].encode(encoding)
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    assert data_of(FileInput(str(tmp_path / name), encoding=given)) == rows


def test_bytes_that_the_encoding_lacks_spoil_one_row(tmp_path: Path) -> None:
    """The row says which encoding it is not of, and the others are read."""
    path = tmp_path / "rows.csv"
    path.write_bytes("text\né\n".encode("cp1252") + b"\x81\nx\n")
    assert data_of(FileInput(str(path), encoding="cp1252")) == [{"text": "é"}, "is not cp1252 text", {"text": "x"}]


def test_half_a_character_of_utf16_is_one_clear_error(tmp_path: Path) -> None:
    """A file that ends within a character is broken."""
    path = tmp_path / "rows.txt"
    path.write_bytes("one\ntwo".encode("utf-16") + b"x")
    with pytest.raises(ConfigError, match=r"rows\.txt is not utf-16 text"):
        data_of(FileInput(str(path)))


SHEETS: dict[str, list[list[object]]] = {
    "First": [["id", "text", None], [1, "ä <b>", 2.5], [], [True, None, date(2024, 2, 29)]],
    "Second": [["text"], ["other"]],
    "Nothing": [],
}


def test_a_sheet_is_a_table(tmp_path: Path) -> None:
    """Numbers, truth values and dates come as JSON has them; the line is that of the sheet, and empty rows are none."""
    path = tmp_path / "rows.xlsx"
    path.write_bytes(xlsx(SHEETS))
    with FileInput(str(path)).open() as reading:
        rows = list(reading.rows())
        assert reading.columns == ("id", "text", "column_3")
    assert found(rows) == [
        (2, {"id": 1, "text": "ä <b>", "column_3": 2.5}),
        (4, {"id": True, "text": None, "column_3": "2024-02-29"}),
    ]


@pytest.mark.parametrize(
    ("sheet", "rows"), [(None, 2), ("First", 2), ("Second", 1), ("2", 1), ("Nothing", 0), ("4", None), ("Third", None)]
)
def test_the_sheet_that_is_read(tmp_path: Path, sheet: str | None, rows: int | None) -> None:
    """By its name or its number; one that is not there is refused with those that are."""
    path = tmp_path / "rows.xlsx"
    path.write_bytes(xlsx(SHEETS))
    if rows is not None:
        assert len(read_all(FileInput(str(path), sheet=sheet))) == rows
        return
    with pytest.raises(ConfigError) as refused:
        read_all(FileInput(str(path), sheet=sheet))
    assert refused.value.hint == "Its sheets are: First, Second, Nothing."


def test_without_the_package_a_spreadsheet_is_a_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says what to install."""
    monkeypatch.setitem(sys.modules, "python_calamine", None)
    (tmp_path / "rows.xlsx").write_bytes(xlsx(SHEETS))
    with pytest.raises(ConfigError) as refused:
        read_all(FileInput(str(tmp_path / "rows.xlsx")))
    assert "asyncllm[xlsx]" in str(refused.value)


@pytest.fixture
def several(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with rows in files of many kinds."""
    (tmp_path / "a.csv").write_text("id,text\n1,a1\n2,a2\n")
    (tmp_path / "b.csv.gz").write_bytes(gzip.compress(b"text,more\nb1,x\n"))
    (tmp_path / "c.jsonl").write_text('{"text": "c1"}\nbroken\n')
    (tmp_path / "d.xlsx").write_bytes(xlsx({"s": [["text"], ["d1"]]}))
    parquet.write_table(pa.table({"text": ["e1"], "n": pa.array([1], pa.int32())}), tmp_path / "e.parquet")
    parquet.write_table(pa.table({"text": ["f1"], "n": pa.array([0.5])}), tmp_path / "f.parquet")
    parquet.write_table(pa.table({"text": ["g1"], "n": pa.array(["no"])}), tmp_path / "g.parquet")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def inputs(*names: str, sample: int | None = None) -> FileInputs:
    """Return files as one input."""
    return FileInputs([FileInput(name) for name in names], sample)


def test_several_files_are_one_input(several: Path) -> None:
    """Rows come in the order of the files, are counted through, and say where they stand."""
    rows = read_all(inputs("a.csv", "b.csv.gz", "c.jsonl", "d.xlsx", "e.parquet"))
    assert [row.index for row in rows] == list(range(7))
    assert [(row.file, row.line) for row in rows[2:5]] == [("b.csv.gz", 2), ("c.jsonl", 1), ("c.jsonl", 2)]
    assert [row.data["text"] for row in rows if isinstance(row, Row)] == ["a1", "a2", "b1", "c1", "d1", "e1"]


def test_the_columns_of_several_files(several: Path) -> None:
    """A template needs columns that all have; results have those that any has; JSON Lines have none."""
    with inputs("a.csv", "b.csv.gz").open() as reading:
        assert (reading.columns, reading.all_columns) == (["text"], ["id", "text", "more"])
    with inputs("a.csv", "c.jsonl").open() as reading:
        assert (reading.columns, reading.all_columns) == (None, None)


def test_the_types_of_several_tables(several: Path) -> None:
    """Types that go together become the wider one; where none fits, the rows decide."""
    with inputs("e.parquet", "f.parquet").open() as reading:
        assert reading.table is not None
        assert [str(field.type) for field in reading.table] == ["string", "double"]
        assert reading.total_bytes == 2
    with inputs("e.parquet", "g.parquet").open() as reading:
        assert reading.table is None
        assert not reading.is_text


def test_patterns_and_names(several: Path) -> None:
    """A pattern stands for its files by name, never for the output; a file is read once however often it is named."""
    assert matching_files(["c.jsonl", "*.csv*", "a.csv"]) == ["c.jsonl", "a.csv", "b.csv.gz"]
    assert matching_files(["*.parquet"], leave_out=Path("f.parquet")) == ["e.parquet", "g.parquet"]
    assert matching_files(["-", "nowhere.csv"]) == ["-", "nowhere.csv"]
    (several / "[1].csv").write_text("text\n")
    assert matching_files(["[1].csv"]) == ["[1].csv"]
    (several / "deep" / "er").mkdir(parents=True)
    (several / "deep" / "er" / "x.csv").write_text("text\n")
    assert matching_files(["deep/**/*.csv"]) == ["deep/er/x.csv"]
    with pytest.raises(ConfigError, match=r"no file matches 'q\*'"):
        matching_files(["q*"])


def test_a_sample_is_the_same_each_time_and_grows(tmp_path: Path) -> None:
    """Its rows are in order with their indexes; a larger one has all of a smaller one, so that no answer is lost."""
    (tmp_path / "rows.txt").write_text("".join(f"row {n}\n" for n in range(1000)))
    source = str(tmp_path / "rows.txt")
    small, again, large = (read_all(inputs(source, sample=size)) for size in (10, 10, 50))
    indexes = [row.index for row in small]
    assert indexes == [row.index for row in again] == sorted(indexes)
    assert len(indexes) == 10
    assert max(indexes) > 500
    assert {row.index for row in large} > set(indexes)
    assert [row.data for row in small if isinstance(row, Row)] == [{"text": f"row {index}"} for index in indexes]
    assert len(read_all(inputs(source, sample=5000))) == 1000
    assert SAMPLE_SEED == 0  # as the documentation has it


def test_a_sample_of_several_files(several: Path) -> None:
    """It is one of all their rows."""
    all_rows = [(row.file, row.line) for row in read_all(inputs("a.csv", "b.csv.gz", "d.xlsx"))]
    source = inputs("a.csv", "b.csv.gz", "d.xlsx", sample=2)
    with source.open() as reading:
        rows = list(reading.rows())
        assert reading.columns == ["text"]
    assert [(row.file, row.line) for row in rows] == [all_rows[row.index] for row in rows]
    assert len(rows) == 2


@pytest.mark.leaks
def test_no_file_stays_open(several: Path) -> None:
    """Neither between the files, nor where the rows are not read to the end."""
    with inputs("a.csv", "b.csv.gz", "e.parquet").open() as reading:
        rows = reading.rows()
        assert [next(rows).file for _ in range(3)] == ["a.csv", "a.csv", "b.csv.gz"]


def test_a_pipe_among_files_is_refused(several: Path) -> None:
    """The heads of several files are looked at first, and what a pipe gives is gone then."""
    os.mkfifo(several / "pipe")
    with pytest.raises(ConfigError, match="pipe can be read only once"):
        inputs("a.csv", "pipe")
    with pytest.raises(ConfigError, match="stdin can be read only once"):
        inputs("-", sample=1)
