"""`asyncllm batch` on several files, spreadsheets, arrays, samples and other encodings: resumed, planned, written."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from asyncllm.simulator import Fault, Simulator
from tests.batch.files.spreadsheets import xlsx
from tests.cli.conftest import Run
from tests.cli.test_batch import PROMPT, read


@pytest.fixture
def data(directory: Path) -> Path:
    """Two CSV files and one of JSON Lines, whose ids begin anew in each."""
    (directory / "data").mkdir()
    (directory / "data" / "a.csv").write_text("id,text\n1,a one\n2,a two\n")
    (directory / "data" / "b.csv").write_text("id,text,more\n1,b one,x\n")
    (directory / "data" / "c.jsonl").write_text('{"id": 1, "text": "c one"}\n{"id": 2}\n{"id": 3, "text": "c three"}\n')
    return directory


def table(path: Path) -> list[dict[str, str]]:
    """Read a CSV file."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_several_files_make_one_output(run: Run, data: Path, simulator: Simulator, at_provider: list[str]) -> None:
    """Rows are in the order of the files with the file of each, and a bad one is reported with its file."""
    ran = run("batch", "data/*.csv", "data/c.jsonl", "-o", "out.jsonl", *PROMPT, *at_provider)
    assert ran.code == 1
    assert "data/c.jsonl, line 2: has no field 'text'" in ran.err
    lines = read(data / "out.jsonl")
    assert [(line["index"], line["file"], line["id"], line["data"]["text"]) for line in lines] == [
        (0, "data/a.csv", "1", "a one"),
        (1, "data/a.csv", "2", "a two"),
        (2, "data/b.csv", "1", "b one"),
        (3, "data/c.jsonl", "1", "c one"),
        (5, "data/c.jsonl", "3", "c three"),
    ]
    assert all(line["data"]["text"] in line["text"] for line in lines)
    assert read(data / "out.jsonl.rejected") == [
        {"file": "data/c.jsonl", "line": 2, "problem": "has no field 'text'", "row": {"id": 2}}
    ]
    assert simulator.seen.requests == 5


@pytest.mark.parametrize("output", ["out.csv", "out.parquet", "-"])
def test_columns_of_any_file_are_in_the_table(run: Run, data: Path, output: str) -> None:
    """A row whose file lacks a column has nothing there; `file` names its file."""
    ran = run("batch", "data/*.csv", "-o", output, "--output-format", output.partition(".")[2] or "csv", *PROMPT)
    assert ran.code == 0
    if output == "out.parquet":
        rows = parquet.read_table(data / output).to_pylist()
    else:
        rows = table(data / output) if output != "-" else list(csv.DictReader(ran.out.splitlines()))
    assert [(row["text"], row["more"] or None, row["file"]) for row in rows] == [
        ("a one", None, "data/a.csv"),
        ("a two", None, "data/a.csv"),
        ("b one", "x", "data/b.csv"),
    ]


def test_a_file_more_sends_its_own_rows(run: Run, data: Path, simulator: Simulator, at_provider: list[str]) -> None:
    """The same command with new files in the pattern continues, also where ids are those of other files."""
    options = ["-o", "out.jsonl", *PROMPT, *at_provider]
    assert run("batch", "data/a.csv", *options).code == 0
    assert run("batch", "data/*.csv", *options).code == 0
    assert simulator.seen.requests == 3
    (data / "data" / "z.csv").write_text("id,text\n1,z one\n")
    ran = run("batch", "data/*.csv", *options)
    assert (ran.code, simulator.seen.requests) == (0, 4)
    assert "(3 of them before)" in ran.err
    assert [line["data"]["text"] in line["text"] for line in read(data / "out.jsonl")] == [True] * 4


def test_files_in_another_order_are_not_sent_again(
    run: Run, data: Path, simulator: Simulator, at_provider: list[str]
) -> None:
    """Rows of one id in several files find their answers by what they ask."""
    options = ["-o", "out.jsonl", *PROMPT, *at_provider]
    (data / "data" / "c.csv").write_text("id,text\n1,c one\n2,c two\n")
    assert run("batch", "data/a.csv", "data/b.csv", "data/c.csv", *options).code == 0
    assert run("batch", "data/c.csv", "data/b.csv", "data/a.csv", *options).code == 0
    assert simulator.seen.requests == 5
    lines = read(data / "out.jsonl")
    assert [line["data"]["text"] for line in lines] == ["c one", "c two", "b one", "a one", "a two"]
    assert all(line["data"]["text"] in line["text"] for line in lines)


def test_the_output_is_no_input_of_its_pattern(run: Run, data: Path) -> None:
    """The same command may be given again though OUT, and what lies beside it, match the pattern by then."""
    (data / "data" / "c.jsonl").write_text('{"id": 1, "text": "c one"}\n{"id": 2}\n')
    for _ in range(2):
        assert run("batch", "data/*", "-o", "data/out.csv", *PROMPT).code == 1
        assert len(table(data / "data" / "out.csv")) == 4
    assert (data / "data" / "out.csv.rejected").exists()
    assert (data / "data" / "out.csv.journal").exists()


def test_a_run_over_several_files_that_was_stopped(
    run: Run, data: Path, simulator: Simulator, at_provider: list[str]
) -> None:
    """What one run reached and what the one before did are each beside their own row."""
    options = ["-o", "out.jsonl", *PROMPT, *at_provider, "--max-concurrency", "1"]
    assert run("batch", "data/*.csv", *options, "--limit", "2").code == 0
    simulator.faults(Fault("status", code=400, contains="b one"))
    run("batch", "data/*.csv", *options, "--stop-after-errors", "1")
    simulator.faults()
    assert run("batch", "data/*.csv", *options, "--retry-failed").code == 0
    assert simulator.seen.requests == 4
    assert [line["file"] for line in read(data / "out.jsonl")] == ["data/a.csv", "data/a.csv", "data/b.csv"]
    assert all(line["data"]["text"] in line["text"] for line in read(data / "out.jsonl"))


def test_a_changed_file_among_several_is_noticed(run: Run, data: Path, simulator: Simulator) -> None:
    """Only the row that was corrected is sent."""
    options = ["-o", "out.jsonl", *PROMPT, "--model", "openai/x", "--set", f"base_url={simulator.url}"]
    options += ["--set", "api_key=k"]
    run("batch", "data/*.csv", *options)
    (data / "data" / "b.csv").write_text("id,text,more\n1,b ONE,x\n")
    run("batch", "data/*.csv", *options)
    assert simulator.seen.requests == 4
    assert "b ONE" in read(data / "out.jsonl")[2]["text"]


def test_a_sample_is_part_of_the_whole(run: Run, directory: Path, simulator: Simulator, at_provider: list[str]) -> None:
    """A larger sample, and then all rows, send only what is missing; each answer is beside its row."""
    (directory / "rows.csv").write_text("text\n" + "".join(f"row {n} of many\n" for n in range(60)))
    options = ["rows.csv", "-o", "out.jsonl", *PROMPT, *at_provider]
    sent = []
    for sample in (["--sample", "5"], ["--sample", "20"], []):
        assert run("batch", *options, *sample).code == 0
        lines = read(directory / "out.jsonl")
        sent.append((len(lines), simulator.seen.requests))
        assert all(line["data"]["text"] == f"row {line['index']} of many" for line in lines)
        assert all(line["data"]["text"] in line["text"] for line in lines)
    assert sent == [(5, 5), (20, 20), (60, 60)]


def test_a_sample_behind_a_run_that_was_stopped(
    run: Run, directory: Path, simulator: Simulator, at_provider: list[str]
) -> None:
    """Answers of a run with other rows are not put beside rows of this one."""
    (directory / "rows.csv").write_text("text\n" + "".join(f"row {n} of many\n" for n in range(60)))
    options = ["rows.csv", "-o", "out.jsonl", *PROMPT, *at_provider, "--max-concurrency", "1"]
    assert run("batch", *options, "--sample", "20").code == 0
    simulator.faults(Fault("status", code=400, contains="row 1 of"))
    sample = (directory / "out.jsonl").read_bytes()
    assert run("batch", *options, "--stop-after-errors", "1").code == 1
    assert (directory / "out.jsonl").read_bytes() == sample, "it has more rows"
    (directory / "out.jsonl").unlink()
    assert run("batch", *options, "--stop-after-errors", "1").code == 1
    lines = [line for line in read(directory / "out.jsonl") if line["ok"]]
    assert 0 < len(lines) < 20
    assert all(line["data"]["text"] == f"row {line['index']} of many" for line in lines)
    assert all(line["data"]["text"] in line["text"] for line in lines)
    refused = run("batch", *options, "--sample", "9", "--retry-failed")
    assert refused.code == 2
    assert "the earlier runs had no --sample" in refused.err


def test_a_dry_run_of_a_sample_of_several_files(run: Run, data: Path) -> None:
    """It counts what is sent, and says what it is a part of."""
    ran = run("batch", "data/*.csv", "-o", "out.jsonl", *PROMPT, "--sample", "2", "--dry-run")
    assert "2 to send, a random sample of 2" in ran.out
    assert "files       2" in ran.out
    assert not (data / "out.jsonl").exists()


def test_only_the_columns_that_are_named_are_kept(run: Run, data: Path) -> None:
    """In the order that they are named in, in every format; the prompt may use others."""
    assert run("batch", "data/*.csv", "-o", "out.csv", *PROMPT, "--columns", "more, id").code == 0
    rows = table(data / "out.csv")
    assert list(rows[0])[:3] == ["more", "id", "answer"]
    assert [row["id"] for row in rows] == ["1", "2", "1"]
    assert "a one" in rows[0]["answer"]
    assert run("batch", "data/c.jsonl", "-o", "out.jsonl", *PROMPT, "--columns", "id,nothing").code == 1
    assert [line["data"] for line in read(data / "out.jsonl")] == [{"id": 1}, {"id": 3}]
    ran = run("batch", "data/c.jsonl", "-o", "out2.jsonl", *PROMPT, "--columns", "nothing")
    assert "no row has the column 'nothing' of --columns" in ran.err
    parquet.write_table(pa.table({"n": pa.array([1], pa.int8()), "text": ["x"]}), data / "in.parquet")
    assert run("batch", "in.parquet", "-o", "out.parquet", *PROMPT, "--columns", "n").code == 0
    schema = parquet.read_schema(data / "out.parquet")
    assert schema.names[:2] == ["n", "answer"]
    assert str(schema.field("n").type) == "int8"


def test_a_spreadsheet_to_a_table_with_types(run: Run, directory: Path) -> None:
    """Numbers of a sheet are numbers of the output; `--sheet` chooses."""
    (directory / "in.xlsx").write_bytes(xlsx({"one": [["x"]], "two": [["text", "n"], ["hello", 3], ["you", None]]}))
    assert run("batch", "in.xlsx", "--sheet", "two", "-o", "out.parquet", *PROMPT).code == 0
    rows = parquet.read_table(directory / "out.parquet").to_pylist()
    assert [(row["text"], row["n"]) for row in rows] == [("hello", 3), ("you", None)]
    assert "hello" in rows[0]["answer"]


def test_an_array_is_an_input(run: Run, directory: Path) -> None:
    """As a file of that name, and through a pipe."""
    rows = [{"id": n, "text": f"row {n}"} for n in range(3)]
    (directory / "in.json").write_text(json.dumps(rows, indent=1))
    assert run("batch", "in.json", "-o", "out.jsonl", *PROMPT).code == 0
    assert [line["data"] for line in read(directory / "out.jsonl")] == rows
    ran = run("batch", "-", "-o", "-", *PROMPT, stdin=json.dumps(rows))
    assert [line["data"] for line in ran.lines] == rows


def test_nan_is_null_and_noted(run: Run, directory: Path) -> None:
    """The first row with one is named, all are counted, and the results are valid JSON."""
    (directory / "in.jsonl").write_text('{"text": "a", "n": 1}\n{"text": "b", "n": NaN}\n{"text": NaN, "n": 2}\n')
    ran = run("batch", "in.jsonl", "-o", "out.jsonl", *PROMPT)
    assert ran.code == 0
    assert "line 2: has NaN, which is read as null (--strict refuses it)" in ran.err
    assert "NaN or Infinity was read as null in 2 rows" in ran.err
    assert [line["data"]["n"] for line in read(directory / "out.jsonl")] == [1, None, 2]
    dry = run("batch", "in.jsonl", "-o", "out.jsonl", *PROMPT, "--dry-run")
    assert "2 with NaN or Infinity read as null" in dry.out


def test_an_encoding_is_named_where_one_is_needed(run: Run, directory: Path) -> None:
    """The message has the remedy, and the remedy works."""
    (directory / "in.csv").write_bytes("text\nnaïve\n".encode("cp1252"))
    assert "--encoding cp1252" in run("batch", "in.csv", "-o", "out.csv", *PROMPT).err
    assert run("batch", "in.csv", "-o", "out.csv", *PROMPT, "--encoding", "cp1252").code == 0
    assert "naïve" in table(directory / "out.csv")[0]["answer"]


def test_a_picture_is_beside_the_file_of_its_row(
    run: Run, directory: Path, simulator: Simulator, at_provider: list[str]
) -> None:
    """Files of several directories each have theirs."""
    for name in ("one", "two"):
        (directory / name).mkdir()
        (directory / name / "x.png").write_bytes(b"\x89PNG\r\n\x1a\n" + name.encode() * 4)
        (directory / name / "rows.csv").write_text(f"photo,text\nx.png,{name}\n")
    assert run("batch", "*/rows.csv", "-o", "out.csv", *PROMPT, "--image", "photo", *at_provider).code == 0
    assert len({str(body["messages"][0]["content"][1]) for body in simulator.seen.bodies}) == 2


def test_the_report_counts_all_files(run: Run, data: Path) -> None:
    """A journal of several files is one batch."""
    run("batch", "data/*.csv", "-o", "out.csv", *PROMPT)
    assert run("report", "out.csv", "--json").json["done"] == 3
