"""Results in each kind of file."""

from __future__ import annotations

import csv
import gzip
import io
import json
from typing import Any

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from asyncllm.batch.files import InferredColumns, Layout, RowResult, result_writer
from asyncllm.batch.files.columns import AnswerColumns

GOOD = RowResult(0, "a", True, text="fine", finish_reason="stop", model="m", usage={"input_tokens": 3}, cost_usd=0.5)
FAILED = RowResult(1, None, False, error={"type": "ServerError", "message": "no", "status_code": 503})
SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "amount": {"anyOf": [{"type": "number"}, {"type": "null"}]},
        "tags": {"type": "array", "items": {"type": "string"}},
        "place": {"$ref": "#/$defs/Place"},
    },
    "$defs": {"Place": {"type": "string", "enum": ["here"]}},
}


def written(layout: Layout, *results: tuple[dict[str, Any], RowResult]) -> bytes:
    """Write results, and return the file."""
    file = io.BytesIO()
    with result_writer(file, layout) as writer:
        for data, answer in results:
            writer.write(data, answer)
        file.seek(0, io.SEEK_END)
    return file.getvalue()


def cells(layout: Layout, *results: tuple[dict[str, Any], RowResult]) -> list[list[str]]:
    """Write results as CSV, and read them back."""
    return list(csv.reader(io.StringIO(written(layout, *results).decode(), newline=""), delimiter=layout.delimiter))


def test_lines_of_json_have_the_row_and_the_answer() -> None:
    """Everything that is known stands in its line."""
    lines = [json.loads(line) for line in written(Layout(), ({"t": "ü"}, GOOD), ({"t": None}, FAILED)).splitlines()]
    assert lines[0] == {
        "index": 0,
        "id": "a",
        "data": {"t": "ü"},
        "ok": True,
        "text": "fine",
        "error": None,
        "finish_reason": "stop",
        "model": "m",
        "usage": {"input_tokens": 3},
        "cost_usd": 0.5,
    }
    assert lines[1]["error"] == {"type": "ServerError", "message": "no", "status_code": 503}


def test_a_table_has_the_columns_of_the_input_and_those_of_the_answer() -> None:
    """Columns keep their order, and what failed has its error beside an empty answer."""
    head, first, second = cells(Layout("csv", carried={"t": "str"}), ({"t": "x"}, GOOD), ({"t": None}, FAILED))
    assert head == ["t", "answer", "ok", "error", "finish_reason", "model", "input_tokens", "output_tokens", "cost_usd"]
    assert first == ["x", "fine", "true", "", "stop", "m", "3", "", "0.5"]
    assert second[:4] == ["", "", "false", "ServerError: no"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("=1+1", "'=1+1"),
        ("+cmd|' /C calc'!A0", "'+cmd|' /C calc'!A0"),
        ("- a list", "'- a list"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        ("\n=1", "'\n=1"),
        ("-5.5", "-5.5"),
        ("+3e8", "+3e8"),
        ("a=b", "a=b"),
        ("", ""),
    ],
)
def test_a_spreadsheet_calculates_nothing(text: str, shown: str) -> None:
    """What a spreadsheet would take for a formula becomes a text, in carried columns too; numbers stay numbers."""
    answer = RowResult(0, None, True, text=text)
    layout = Layout("csv", carried={"t": "str"})
    assert cells(layout, ({"t": text}, answer))[1][:2] == [shown, shown]
    raw = Layout("csv", carried={"t": "str"}, escaped=False)
    assert cells(raw, ({"t": text}, answer))[1][:2] == [text, text]


def test_changed_cells_are_counted() -> None:
    """Who reads the file with a program is told that it is not as it was."""
    file = io.BytesIO()
    with result_writer(file, Layout("csv", carried={"t": "str"})) as writer:
        writer.write({"t": "=1"}, RowResult(0, None, True, text="=2"))
    assert writer.escaped == 2


def test_fields_of_typed_answers_are_columns() -> None:
    """An object's fields stand apart, as CSV and as typed columns of Parquet."""
    value = {"name": "Ann", "amount": 2.5, "tags": ["a"], "place": "here"}
    answers = (
        RowResult(0, None, True, typed=True, value=value),
        RowResult(1, None, False, typed=True, error=FAILED.error),
    )
    head, first, second = cells(Layout("csv", schema=SCHEMA), *(({}, answer) for answer in answers))
    assert head[:5] == ["answer.name", "answer.amount", "answer.tags", "answer.place", "ok"]
    assert first[:5] == ["Ann", "2.5", '["a"]', "here", "true"]
    assert second[:5] == ["", "", "", "", "false"]
    table = parquet.read_table(
        io.BytesIO(written(Layout("parquet", schema=SCHEMA), *(({}, answer) for answer in answers)))
    )
    assert table.schema.field("answer.amount").type == pa.float64()
    assert table.column("answer.amount").to_pylist() == [2.5, None]
    assert table.column("answer.tags").to_pylist() == ['["a"]', None]
    assert table.column("ok").to_pylist() == [True, False]


def test_a_typed_answer_that_is_no_object_is_one_column() -> None:
    """Its value is JSON."""
    columns = AnswerColumns({"type": "array", "items": {"type": "integer"}}, ())
    assert columns.kinds["answer"] == "json"
    assert columns.cells(RowResult(0, None, True, typed=True, value=[1]))["answer"] == [1]


def test_a_column_of_the_input_keeps_its_name() -> None:
    """One of the results that is called alike gives way."""
    head, first = cells(Layout("csv", carried={"answer": "str", "ok": "str"}), ({"answer": "mine", "ok": "yes"}, GOOD))
    assert head[:4] == ["answer", "ok", "asyncllm_answer", "asyncllm_ok"]
    assert first[:4] == ["mine", "yes", "fine", "true"]


def test_parquet_of_rows_of_any_shape() -> None:
    """Columns of one type have it, others hold JSON, and a row without a column has a null."""
    rows: list[dict[str, Any]] = [{"n": 1, "mixed": 1, "deep": {"a": 1}}, {"n": 2.5, "mixed": "x"}, {"s": "a\ud800b"}]
    inferred = InferredColumns()
    for row in rows:
        inferred.add(row)
    results = [(row, RowResult(n, None, True, text="t")) for n, row in enumerate(rows)]
    table = parquet.read_table(io.BytesIO(written(Layout("parquet", carried=inferred.kinds), *results)))
    assert table.column("n").to_pylist() == [1.0, 2.5, None]
    assert table.column("mixed").to_pylist() == ["1", '"x"', None]
    assert table.column("deep").to_pylist() == ['{"a": 1}', None, None]
    assert table.column("s").to_pylist() == [None, None, "a\\ud800b"]


def test_parquet_of_parquet_keeps_its_types() -> None:
    """The columns of the input come out with the types they came in with."""
    carried = pa.schema([("d", pa.date32()), ("l", pa.list_(pa.int32()))])
    layout = Layout("parquet", carried={"d": "str", "l": "str"}, table=carried)
    import datetime

    row = {"d": datetime.date(2025, 4, 30), "l": [1, 2]}
    table = parquet.read_table(io.BytesIO(written(layout, (row, GOOD))))
    assert table.schema.field("d").type == pa.date32()
    assert table.column("l").to_pylist() == [[1, 2]]


def test_compressed_results_are_the_same_bytes_each_time() -> None:
    """Neither the time nor a name is in them."""
    layout = Layout(compression="gzip")
    assert written(layout, ({}, GOOD)) == written(layout, ({}, GOOD))
    assert json.loads(gzip.decompress(written(layout, ({}, GOOD))))["text"] == "fine"
