"""`asyncllm batch`."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from asyncllm.simulator import Fault, Latency, Simulator
from tests.cli.conftest import Run

PROMPT = ("--template", "Summarise: {text}")
FIELDS = {"index", "id", "data", "ok", "text", "error", "usage", "cost_usd"}


@pytest.fixture
def rows(directory: Path) -> Path:
    """A JSONL file with five good rows."""
    path = directory / "rows.jsonl"
    path.write_text("".join(json.dumps({"id": f"r{n}", "text": f"row {n} ü"}) + "\n" for n in range(5)))
    return path


def read(path: Path) -> list[dict[str, Any]]:
    """Read the lines of an output, in the order of the input."""
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return sorted(lines, key=lambda line: int(line["index"]))


def test_each_row_has_one_line(run: Run, rows: Path) -> None:
    """Every row is answered, with its data, usage and cost beside it; stdout stays empty."""
    ran = run("batch", "rows.jsonl", "-o", "out.jsonl", *PROMPT)
    assert (ran.code, ran.out) == (0, "")
    assert "5 done, 0 failed" in ran.err
    lines = read(rows.with_name("out.jsonl"))
    assert [line["id"] for line in lines] == ["r0", "r1", "r2", "r3", "r4"]
    for number, line in enumerate(lines):
        assert line.keys() == FIELDS
        assert line["ok"] is True
        assert line["data"] == {"id": f"r{number}", "text": f"row {number} ü"}
        assert f"Summarise: row {number} ü" in line["text"]
        assert line["usage"]["output_tokens"] > 0
        assert line["cost_usd"] > 0


def test_a_csv_carries_its_columns_along(run: Run, directory: Path) -> None:
    """Columns that the prompt does not name come back, quotes and line breaks included."""
    with (directory / "in.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["review", "stars"], ['It "works",\nmostly', "4"], ["", "1"]])
    ran = run("batch", "in.csv", "-o", "out.jsonl", "-t", "Judge: {review}")
    assert ran.code == 0
    first, second = read(directory / "out.jsonl")
    assert first["data"] == {"review": 'It "works",\nmostly', "stars": "4"}
    assert second["data"] == {"review": "", "stars": "1"}


def test_from_stdin_to_stdout(run: Run, rows: Path) -> None:
    """`-` stands for a pipe on both sides; stdout has nothing but the lines."""
    ran = run("batch", "-", "-o", "-", *PROMPT, "--ordered", stdin=rows.read_bytes())
    assert ran.code == 0
    assert [line["index"] for line in ran.lines] == [0, 1, 2, 3, 4]


def test_parameters_reach_the_provider(run: Run, rows: Path, simulator: Simulator, at_provider: list[str]) -> None:
    """System prompt, token limit and concurrency are those of the command line."""
    run("batch", "rows.jsonl", "-o", "out.jsonl", *PROMPT, *at_provider, "-s", "Be brief.", "--max-concurrency", "1")
    assert simulator.seen.max_in_flight == 1
    assert simulator.seen.bodies[0]["messages"][0] == {"role": "system", "content": "Be brief."}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["rows.jsonl", "-t", "{txet}"], "Did you mean {text}?"),
        (["rows.jsonl", "-t", "{text.inner}"], "{text.inner}"),
        (["rows.jsonl", "-t", "no field"], "names no field"),
        (["rows.jsonl", "-t", "{text"], "template is not right"),
        (["rows.jsonl", "-t", "{}"], "name of a field"),
        (["nowhere.jsonl", *PROMPT], "nowhere.jsonl: No such file"),
        (["empty.jsonl", *PROMPT], "no rows"),
        (["array.jsonl", *PROMPT], "one JSON array"),
        (["utf16.csv", *PROMPT], "not UTF-8"),
        (["header.csv", *PROMPT], "the input does not have"),
        (["twice.csv", *PROMPT], "more than once"),
        (["rows.json", *PROMPT], ".json files are not read"),
        ([".", *PROMPT], "Is a directory"),
        (["rows.jsonl", *PROMPT, "--schema", "nowhere.json"], "nowhere.json"),
        (["rows.jsonl", *PROMPT, "--input-format", "xml"], "jsonl or csv"),
        (["rows.jsonl", *PROMPT, "--max-concurrency", "0"], "max-concurrency"),
    ],
)
def test_wrong_usage_sends_nothing(
    run: Run, rows: Path, simulator: Simulator, at_provider: list[str], arguments: list[str], says: str
) -> None:
    """What cannot work is refused in words before the first request, and no output is made."""
    for name, content in {
        "empty.jsonl": b"\n",
        "array.jsonl": b'[\n{"text": "a"}\n]\n',
        "utf16.csv": "text\nä\n".encode("utf-16"),
        "header.csv": b"a,b\n",
        "twice.csv": b"text,text\n1,2\n",
    }.items():
        (rows.parent / name).write_bytes(content)
    ran = run("batch", *arguments, "-o", "out.jsonl", *at_provider)
    assert (ran.code, ran.out) == (2, "")
    assert says in ran.err
    assert simulator.seen.requests == 0
    assert not (rows.parent / "out.jsonl").exists()


def test_bad_rows_are_reported_by_line_and_not_sent(
    run: Run, directory: Path, simulator: Simulator, at_provider: list[str]
) -> None:
    """Broken JSON, another kind of value and a missing field end as failed rows; the others are answered."""
    (directory / "in.jsonl").write_text('{"text": "a"}\n{"text": \n\n[1]\n{"id": 5, "other": 1}\n{"text": "b"}\n')
    ran = run("batch", "in.jsonl", "-o", "out.jsonl", *PROMPT, "--ordered", *at_provider)
    assert ran.code == 1
    assert simulator.seen.requests == 2
    for line in ("line 2: is not valid JSON", "line 4: is not a JSON object", "line 5: has no field 'text'"):
        assert line in ran.err
    assert "2 done, 3 failed (3 of them bad rows)" in ran.err
    lines = [json.loads(line) for line in (directory / "out.jsonl").read_text().splitlines()]
    assert [line["index"] for line in lines] == [0, 1, 2, 3, 4]
    assert [line["ok"] for line in lines] == [True, False, False, False, True]
    assert all(line.keys() == FIELDS for line in lines)
    assert lines[3]["error"] == {"type": "BadRow", "message": "line 5: has no field 'text'", "line": 5}
    assert (lines[3]["id"], lines[3]["data"]) == ("5", {"id": 5, "other": 1})


def test_a_failed_row_keeps_its_error(run: Run, rows: Path, simulator: Simulator, at_provider: list[str]) -> None:
    """One refused request fails one row, with the kind and status of its error."""
    simulator.faults(Fault("status", code=400, contains="row 3"))
    ran = run("batch", "rows.jsonl", "-o", "out.jsonl", *PROMPT, *at_provider)
    assert ran.code == 1
    lines = read(rows.with_name("out.jsonl"))
    assert [line["ok"] for line in lines] == [True, True, True, False, True]
    assert lines[3]["error"]["type"] == "BadRequestError"
    assert lines[3]["error"]["status_code"] == 400
    assert lines[3]["text"] is None


def test_typed_answers(run: Run, directory: Path) -> None:
    """`--schema` validates each answer, and puts it under `value`."""
    (directory / "mail.json").write_text(
        '{"type": "object", "properties": {"email": {"type": "string", "format": "email"}}, "required": ["email"]}'
    )
    rows = '{"text": "I am a@example.com"}\n{"no": 1}\n{"text": "Write to b@example.org"}\n'
    ran = run("batch", "-", "-o", "-", *PROMPT, "--schema", "mail.json", "--ordered", stdin=rows)
    assert ran.code == 1
    assert [line["value"] for line in ran.lines] == [{"email": "a@example.com"}, None, {"email": "b@example.org"}]
    assert "text" not in ran.lines[0]


def test_an_output_that_exists_is_kept(run: Run, rows: Path) -> None:
    """Answers that were paid for are replaced only by who says so, and the input never."""
    output = rows.with_name("out.jsonl")
    output.write_text("paid for\n")
    assert "--overwrite" in run("batch", "rows.jsonl", "-o", "out.jsonl", *PROMPT).err
    assert output.read_text() == "paid for\n"
    assert run("batch", "rows.jsonl", "-o", "out.jsonl", *PROMPT, "--overwrite").code == 0
    assert len(read(output)) == 5
    assert "the input itself" in run("batch", "rows.jsonl", "-o", "./rows.jsonl", *PROMPT, "--overwrite").err


def test_a_missing_key_leaves_no_output(run: Run, rows: Path) -> None:
    """What the configuration lacks is said before an output is made."""
    ran = run("batch", "rows.jsonl", "-o", "out.jsonl", *PROMPT, "--model", "openai/gpt-5-mini")
    assert ran.code != 0
    assert "OPENAI_API_KEY" in ran.err
    assert not rows.with_name("out.jsonl").exists()


def test_fields_inside_of_fields_and_other_values(run: Run) -> None:
    """`{a.b}` reaches into an object, null is empty, and what is no text is JSON."""
    row = {"a": {"b": "deep"}, "c.d": "dotted", "n": None, "list": [1, "ü"]}
    ran = run("batch", "-", "-o", "-", "-t", "{a.b}|{c.d}|{n}|{list}|{{}}", stdin=json.dumps(row))
    assert ran.code == 0
    assert 'deep|dotted||[1, "ü"]|{}' in ran.lines[0]["text"]


def test_lone_surrogates_make_valid_json(run: Run) -> None:
    """What UTF-8 cannot hold is escaped, and comes back as it was."""
    ran = run("batch", "-", "-o", "-", *PROMPT, stdin='{"text": "a\\ud800b"}')
    assert ran.lines[0]["data"] == {"text": "a\ud800b"}


def test_ctrl_c_leaves_a_valid_file_of_what_was_done(rows: Path, secret_key: str) -> None:
    """What was answered is in the file, each line whole; the rest is told, and the exit code is 130."""
    with Simulator(max_in_flight=1, queue=True) as provider:
        provider.faults(Fault("stall", contains="row 3"))
        arguments = ["batch", "rows.jsonl", "-o", "out.jsonl", *PROMPT, "--model", "openai/gpt-5-mini"]
        process = subprocess.Popen(
            [sys.executable, "-m", "asyncllm", *arguments, "--set", f"base_url={provider.url}"],
            env={**os.environ, "OPENAI_API_KEY": secret_key},
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            cwd=rows.parent,
        )
        provider.seen.wait(lambda seen: seen.statuses[200] >= 1 and seen.in_flight >= 1, timeout=30)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    lines = read(rows.with_name("out.jsonl"))
    assert len(lines) < 5
    assert all(line["ok"] for line in lines)
    assert f"interrupted: {len(lines)} done, 0 failed" in err


def test_a_pipe_is_read_while_it_is_written(directory: Path) -> None:
    """An answer comes before the input ends; Ctrl-C does not wait for it either."""
    process = subprocess.Popen(
        [sys.executable, "-m", "asyncllm", "batch", "-", "-o", "-", *PROMPT],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
        cwd=directory,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b'{"text": "first"}\n')
    assert json.loads(process.stdout.readline())["ok"] is True
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) == 130
    process.communicate()


def test_latency_does_not_change_the_order_of_an_ordered_batch(
    run: Run, rows: Path, simulator: Simulator, at_provider: list[str]
) -> None:
    """`--ordered` writes the lines as the rows came, whoever was answered first."""
    simulator.latency(Latency(first_token_s=0.01, spread=1.0))
    ran = run("batch", "rows.jsonl", "-o", "-", *PROMPT, "--ordered", *at_provider)
    assert [line["index"] for line in ran.lines] == [0, 1, 2, 3, 4]
