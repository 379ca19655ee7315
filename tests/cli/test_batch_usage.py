"""Wrong usage of `asyncllm batch`: one line that says what is wrong, exit code 2, nothing sent and nothing made."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from asyncllm.batch.journal.journal_file import open_to_write
from asyncllm.simulator import Simulator
from tests.cli.conftest import Run

PROMPT = ("--template", "Summarise: {text}")
LINE = b'{"text": "a"}\n'


@pytest.fixture
def files(directory: Path) -> Path:
    """Inputs of every wrong kind, beside a right one."""
    for name, content in {
        "rows.jsonl": LINE * 3,
        "empty.jsonl": b"\n",
        "utf16.csv": "text\nä\n".encode("utf-16-le"),
        "header.csv": b"a,b\n",
        "twice.csv": b"text,text\n1,2\n",
        "cut.jsonl.gz": gzip.compress(LINE * 10_000)[:-9],
        "none.jsonl.gz": b"\x1f\x8b no gzip at all",
        "bad.jsonl": LINE + b"broken\n",
        "none.json": b"[1, 2]",
        "broken.json": b"{",
        "none.parquet": b"PAR1",
        "none.xlsx": b"PK",
        "nan.jsonl": b'{"text": "a", "n": NaN}\n',
        "rows.csv": b"text\na\n",
        "binary.txt": b"\xff\xfe\x00",
        "out.old": b"mine",
    }.items():
        (directory / name).write_bytes(content)
    (directory / "a directory").mkdir()
    open_to_write(directory / "python.journal", "normal").close()
    parquet.write_table(pa.table({"other": [1]}), directory / "other.parquet")
    return directory


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        pytest.param(["nowhere.jsonl", *PROMPT], "nowhere.jsonl: No such file", id="no file"),
        pytest.param(["rows.jsonl", "-t", "{txet}"], "Did you mean {text}?", id="wrong column"),
        pytest.param(["other.parquet", *PROMPT], "Its fields are: other", id="wrong column of Parquet"),
        pytest.param(["rows.jsonl", *PROMPT, "-o", "nowhere/out.jsonl"], "No such file", id="unwritable output"),
        pytest.param(["rows.jsonl", *PROMPT, "-o", "/proc/out.jsonl"], "/proc/", id="output where none can be"),
        pytest.param(["cut.jsonl.gz", *PROMPT], "cut.jsonl.gz is broken: it ends too early", id="cut gzip"),
        pytest.param(["none.jsonl.gz", *PROMPT], "none.jsonl.gz is broken", id="broken gzip"),
        pytest.param(["empty.jsonl", *PROMPT], "the input has no rows", id="empty input"),
        pytest.param(["header.csv", *PROMPT], "the input does not have", id="no rows behind the header"),
        pytest.param(["rows.jsonl", *PROMPT, "--schema", "none.json"], "not a JSON Schema", id="schema that is none"),
        pytest.param(["rows.jsonl", *PROMPT, "--schema", "broken.json"], "not valid JSON", id="broken schema"),
        pytest.param(["rows.jsonl", *PROMPT, "--schema", "nowhere.json"], "nowhere.json", id="no schema"),
        pytest.param(["rows.jsonl", *PROMPT, "--schema", "os:nothing"], "os has no 'nothing'", id="no type"),
        pytest.param(["rows.jsonl", "-t", "no field"], "names no field", id="template without a field"),
        pytest.param(["rows.jsonl", "-t", "{text"], "template is not right", id="template that is none"),
        pytest.param(["rows.jsonl", "-t", "@binary.txt"], "not UTF-8", id="template file that is none"),
        pytest.param(["rows.jsonl", "-t", "@nowhere.txt"], "@nowhere.txt: No such file", id="no template file"),
        pytest.param(["rows.jsonl"], "there is no template", id="no template"),
        pytest.param(["rows.jsonl", *PROMPT, "--budget", "0"], "--budget is more than 0", id="budget 0"),
        pytest.param(["rows.jsonl", *PROMPT, "--journal", "out.old"], "out.old", id="journal that is none"),
        pytest.param(["a directory", *PROMPT], "Is a directory", id="a directory as input"),
        pytest.param(["rows.jsonl", *PROMPT, "-o", "a directory"], "is a directory", id="a directory as output"),
        pytest.param(["rows.jsonl", *PROMPT, "-o", "/dev/null"], "no file that can be replaced", id="a device"),
        pytest.param(["utf16.csv", *PROMPT], "--encoding utf-16-le", id="UTF-16"),
        pytest.param(["rows.jsonl", *PROMPT, "--encoding", "klingon"], "no text encoding 'klingon'", id="no encoding"),
        pytest.param(["other.parquet", *PROMPT, "--encoding", "cp1252"], "has no encoding", id="Parquet in cp1252"),
        pytest.param(["rows.jsonl", *PROMPT, "--sheet", "2"], "has no sheets", id="a sheet of JSON"),
        pytest.param(["none.xlsx", *PROMPT], "none.xlsx is no spreadsheet", id="no spreadsheet"),
        pytest.param(["nothing/*.csv", *PROMPT], "no file matches 'nothing/*.csv'", id="a pattern of nothing"),
        pytest.param(["rows.jsonl", "-", *PROMPT], "stdin can be read only once", id="stdin among files"),
        pytest.param(["-", *PROMPT, "--sample", "2"], "stdin can be read only once", id="a sample of stdin"),
        pytest.param(["rows.jsonl", "twice.csv", *PROMPT, "-o", "twice.csv"], "input itself", id="an input is OUT"),
        pytest.param(["nan.jsonl", *PROMPT, "--strict"], "NaN is not a JSON number", id="NaN with --strict"),
        pytest.param(["twice.csv", "rows.csv", *PROMPT], "more than once", id="one broken header of several"),
        pytest.param(["rows.csv", "header.csv", *PROMPT], "the input does not have", id="a column that one file lacks"),
        pytest.param(["rows.csv", *PROMPT, "--columns", "text,n"], "--columns names 'n'", id="no such column"),
        pytest.param(["rows.jsonl", *PROMPT, "-o", "out.json"], ".json files", id="a JSON array out"),
        pytest.param(["twice.csv", *PROMPT], "more than once", id="a column twice"),
        pytest.param(["none.zip", *PROMPT], ".zip files are not read", id="another kind of file"),
        pytest.param(["none.parquet", *PROMPT], "no Parquet file", id="no Parquet"),
        pytest.param(["rows.jsonl", *PROMPT, "--input-format", "xml"], "--input-format is one of", id="no format"),
        pytest.param(["rows.jsonl", *PROMPT, "-o", "out.txt"], "not written as plain lines", id="lines out"),
        pytest.param(["rows.jsonl", *PROMPT, "-o", "-", "--output-format", "parquet"], "stdout", id="Parquet out"),
        pytest.param(["rows.jsonl", *PROMPT, "--max-concurrency", "0"], "max-concurrency", id="no concurrency"),
        pytest.param(["bad.jsonl", *PROMPT, "--strict"], "line 2: is not valid JSON", id="strict"),
        pytest.param(["-", *PROMPT, "--strict"], "can be read only once", id="strict on stdin"),
        pytest.param(["rows.jsonl", *PROMPT, "--confirm-above", "0.0000001"], "--yes", id="unconfirmed"),
        pytest.param(["rows.jsonl", *PROMPT, "--retry-failed"], "nothing that failed", id="nothing to retry"),
        pytest.param(["rows.jsonl", *PROMPT, "-o", "-", "--retry-failed"], "--journal FILE", id="no journal"),
        pytest.param(["rows.jsonl", *PROMPT, "--set", "nothing"], "FIELD=VALUE", id="--set without a value"),
        pytest.param(["rows.jsonl", *PROMPT, "--set", "temprature=1"], "temperature", id="misspelt field"),
    ],
)
def test_wrong_usage_sends_nothing(
    run: Run, files: Path, simulator: Simulator, at_provider: list[str], arguments: list[str], says: str
) -> None:
    """What cannot work is refused in words before the first request, and nothing is left behind."""
    before = sorted(files.rglob("*"))
    output = [] if "-o" in arguments else ["-o", "out.jsonl"]
    ran = run("batch", *arguments, *output, *at_provider)
    assert (ran.code, ran.out) == (2, "")
    assert says in ran.err
    # One line that says what is wrong; where rows are, each has one of its own before it.
    assert [line.startswith(("error: ", "hint: ", "line ")) for line in ran.err.splitlines()].count(False) == 0
    assert ran.err.count("error: ") == 1
    assert simulator.seen.requests == 0
    assert sorted(files.rglob("*")) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_that_cannot_be_written(
    run: Run, files: Path, simulator: Simulator, at_provider: list[str]
) -> None:
    """Nothing is paid for that could not be written down."""
    (files / "a directory").chmod(0o500)
    ran = run("batch", "rows.jsonl", "-o", "a directory/out.jsonl", *PROMPT, *at_provider)
    assert (ran.code, simulator.seen.requests) == (2, 0)
    assert "Permission denied" in ran.err


def test_the_journal_of_another_job(run: Run, files: Path, simulator: Simulator, at_provider: list[str]) -> None:
    """Neither the input nor the prompt is the same: somebody else's answers would be replaced."""
    (files / "other.jsonl").write_bytes(LINE)
    assert run("batch", "rows.jsonl", "-o", "out.jsonl", *PROMPT, *at_provider).code == 0
    content = (files / "out.jsonl").read_bytes()
    ran = run("batch", "other.jsonl", "-o", "out.jsonl", "-t", "Translate {text}", *at_provider)
    assert ran.code == 2
    assert "out.jsonl.journal is the journal of another job" in ran.err
    assert "--fresh" in ran.err
    assert simulator.seen.requests == 3
    assert (files / "out.jsonl").read_bytes() == content
    # A file that was renamed, or that is new, with the same prompt is the same job.
    (files / "rows.jsonl").rename(files / "renamed.jsonl")
    assert run("batch", "renamed.jsonl", "-o", "out.jsonl", *PROMPT, *at_provider).code == 0
    assert simulator.seen.requests == 3


def test_a_journal_of_a_program(run: Run, files: Path, simulator: Simulator, at_provider: list[str]) -> None:
    """A journal that the command did not write may hold anything."""
    from asyncllm import Request
    from tests.batch.journals import outcome, write_run

    write_run(files / "mine.journal", [Request("Hi")], [outcome()])
    ran = run("batch", "rows.jsonl", "-o", "out.jsonl", *PROMPT, "--journal", "mine.journal", *at_provider)
    assert (ran.code, simulator.seen.requests) == (2, 0)
    assert "was not run by this command" in ran.err


def test_a_dry_run_counts_and_sends_nothing(
    run: Run, files: Path, simulator: Simulator, at_provider: list[str]
) -> None:
    """Rows, tokens, money and time, with what is assumed; nothing is made, stdin included."""
    before = sorted(files.rglob("*"))
    options = [*PROMPT, *at_provider, "--max-tokens", "100", "--set", "requests_per_minute=2", "--dry-run"]
    ran = run("batch", "bad.jsonl", "-o", "out.jsonl", *options)
    assert ran.code == 0
    assert "1 to send, 1 that cannot be used" in ran.out
    assert "at most 100 each" in ran.out
    assert "at least 30 s, by requests_per_minute" in ran.out
    assert "$" in ran.out
    assert "3 to send" in run("batch", "-", "-o", "out.jsonl", *options, stdin=LINE * 3).out
    assert simulator.seen.requests == 0
    assert sorted(files.rglob("*")) == before


def test_a_dry_run_knows_what_is_done(run: Run, files: Path, simulator: Simulator, at_provider: list[str]) -> None:
    """What the journal has an answer for costs nothing more."""
    run("batch", "rows.jsonl", "-o", "out.jsonl", *PROMPT, *at_provider, "--limit", "2")
    ran = run("batch", "rows.jsonl", "-o", "out.jsonl", *PROMPT, *at_provider, "--dry-run")
    assert "1 to send" in ran.out
    assert "about 2 before, in out.jsonl.journal" in ran.out
    assert simulator.seen.requests == 2


def test_the_estimate_is_near_what_it_costs(run: Run, directory: Path) -> None:
    """Tokens counted on a part and scaled to the whole are those that all of it takes."""
    rows = [{"text": "word " * (number % 50)} for number in range(3000)]
    (directory / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    ran = run("batch", "rows.jsonl", "-o", "out.jsonl", *PROMPT, "--dry-run", "--model", "openai/gpt-4o")
    from asyncllm.models import count_tokens

    prompts = [f"Summarise: {row['text']}" for row in rows]
    truth = sum(count_tokens([{"role": "user", "content": prompt}], "gpt-4o").tokens for prompt in prompts)
    told = next(line for line in ran.out.splitlines() if line.startswith("tokens in")).split()[-1]
    assert abs(int(told.replace(",", "")) - truth) < truth * 0.02


def test_confirmed_it_runs(run: Run, files: Path, simulator: Simulator, at_provider: list[str]) -> None:
    """Below the limit, or with --yes, no question is asked."""
    options = [*PROMPT, *at_provider, "--max-tokens", "100"]
    assert run("batch", "rows.jsonl", "-o", "a.jsonl", *options, "--confirm-above", "5").code == 0
    assert run("batch", "rows.jsonl", "-o", "b.jsonl", *options, "--confirm-above", "0", "--yes").code == 0
    assert simulator.seen.requests == 6
