"""`asyncllm batch`: what it sends, what it writes, and how it goes on."""

from __future__ import annotations

import csv
import gzip
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from asyncllm import Journal
from asyncllm.simulator import Fault, Latency, Simulator
from tests.cli.conftest import Run

PROMPT = ("--template", "Summarise: {text}")
FIELDS = {"index", "id", "data", "ok", "text", "error", "finish_reason", "model", "usage", "cost_usd"}


@pytest.fixture
def rows(directory: Path) -> Path:
    """A JSONL file with five good rows."""
    path = directory / "rows.jsonl"
    path.write_text("".join(json.dumps({"id": f"r{n}", "text": f"row {n} ü"}) + "\n" for n in range(5)))
    return path


def read(path: Path) -> list[dict[str, Any]]:
    """Read the lines of a file of results, as they stand there."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_each_row_has_one_line_in_order(run: Run, rows: Path, simulator: Simulator, at_provider: list[str]) -> None:
    """Every row is answered, with its data, usage and cost, in the order of the input however answers come."""
    simulator.latency(Latency(first_token_s=0.01, spread=1.0))
    ran = run("batch", "rows.jsonl", "-o", "out.jsonl", *PROMPT, *at_provider)
    assert (ran.code, ran.out) == (0, "")
    assert "5 done, 0 failed" in ran.err
    lines = read(rows.with_name("out.jsonl"))
    for number, line in enumerate(lines):
        assert line.keys() == FIELDS
        assert (line["index"], line["id"], line["ok"]) == (number, f"r{number}", True)
        assert line["data"] == {"id": f"r{number}", "text": f"row {number} ü"}
        assert f"Summarise: row {number} ü" in line["text"]
        assert line["usage"]["output_tokens"] > 0
        assert line["cost_usd"] > 0
    assert len(lines) == 5


def test_a_csv_carries_its_columns_along(run: Run, directory: Path) -> None:
    """Columns that the prompt does not name come back, quotes and line breaks included."""
    with (directory / "in.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["review", "stars"], ['It "works",\nmostly', "4"], ["", "1"]])
    assert run("batch", "in.csv", "-o", "out.csv", "-t", "Judge: {review}").code == 0
    with (directory / "out.csv").open(newline="", encoding="utf-8") as file:
        first, second = csv.DictReader(file)
    assert (first["review"], first["stars"]) == ('It "works",\nmostly', "4")
    assert (second["review"], second["stars"], second["ok"]) == ("", "1", "true")
    assert "Judge:" in second["answer"]


@pytest.mark.parametrize("name", ["out.jsonl.gz", "out.csv", "out.tsv", "out.csv.zst", "out.parquet"])
@pytest.mark.parametrize("source", ["rows.jsonl", "rows.parquet", "rows.txt.gz", "rows.tsv"])
def test_every_kind_of_file_becomes_every_other(run: Run, rows: Path, source: str, name: str) -> None:
    """The output of a run can be the input of the next one, and no row is lost between them."""
    directory = rows.parent
    data = [json.loads(line) for line in rows.read_text().splitlines()]
    parquet.write_table(pa.Table.from_pylist(data), directory / "rows.parquet")
    (directory / "rows.txt.gz").write_bytes(gzip.compress("".join(f"{row['text']}\n" for row in data).encode()))
    (directory / "rows.tsv").write_text("text\tid\n" + "".join(f"{row['text']}\t{row['id']}\n" for row in data))
    assert run("batch", source, "-o", name, *PROMPT).code == 0
    ran = run("batch", name, "-o", "-", "-t", "{text}" if ".jsonl" not in name else "{data.text}")
    assert ran.code == 0
    assert [f"row {number} ü" in line["text"] for number, line in enumerate(ran.lines)] == [True] * 5


def test_from_stdin_to_stdout(run: Run, rows: Path) -> None:
    """`-` stands for a pipe on both sides; stdout has nothing but the lines, in order."""
    ran = run("batch", "-", "-o", "-", *PROMPT, stdin=rows.read_bytes())
    assert ran.code == 0
    assert [line["index"] for line in ran.lines] == [0, 1, 2, 3, 4]
    assert sorted(path.name for path in rows.parent.iterdir()) == ["config.toml", "rows.jsonl"]


def test_stdin_may_go_to_a_file_and_be_continued(run: Run, rows: Path) -> None:
    """What came through a pipe is in the results, also when it comes again."""
    for _ in range(2):
        assert run("batch", "-", "-o", "out.csv", *PROMPT, stdin=gzip.compress(rows.read_bytes())).code == 0
        with rows.with_name("out.csv").open(newline="", encoding="utf-8") as file:
            assert [row["id"] for row in csv.DictReader(file)] == ["r0", "r1", "r2", "r3", "r4"]


def test_csv_to_stdout_needs_columns(run: Run, rows: Path) -> None:
    """Rows of CSV have them from the first on; those of JSON Lines are refused before anything is sent."""
    refused = run("batch", "-", "-o", "-", "--output-format", "csv", *PROMPT, stdin=rows.read_bytes())
    assert (refused.code, refused.out) == (2, "")
    ran = run("batch", "-", "-o", "-", "--output-format", "csv", *PROMPT, stdin="text,n\nx,1\n")
    assert ran.out.splitlines()[0].startswith("text,n,answer,ok")


def test_parameters_reach_the_provider(run: Run, rows: Path, simulator: Simulator, at_provider: list[str]) -> None:
    """System prompt, concurrency, fields of the profile and parameters of a call are those of the command line."""
    (rows.parent / "system.txt").write_text("Be brief.\n")
    options = ["--max-concurrency", "1", "--set", "frequency_penalty=0.5", "--set", "temperature=0.1"]
    options += ["-s", "@system.txt", *at_provider, "--model", "openai/gpt-4o"]
    assert run("batch", "rows.jsonl", "-o", "out.jsonl", *PROMPT, *options).code == 0
    assert simulator.seen.max_in_flight == 1
    body = simulator.seen.bodies[0]
    assert body["messages"][0] == {"role": "system", "content": "Be brief."}
    assert (body["frequency_penalty"], body["temperature"]) == (0.5, 0.1)


def test_a_template_from_a_file(run: Run, rows: Path) -> None:
    """`@FILE` is read, without the line break at its end; `@@` is an @."""
    (rows.parent / "prompt.txt").write_text("Read this:\n{text}\n", encoding="utf-8")
    run("batch", "rows.jsonl", "-o", "out.jsonl", "-t", "@prompt.txt", "--limit", "1")
    assert 'Read this: row 0 ü"' in read(rows.with_name("out.jsonl"))[0]["text"]
    ran = run("batch", "rows.jsonl", "-o", "-", "-t", "@@{id}", "--limit", "2")
    assert ["@r0" in line["text"] for line in ran.lines] == [True, False]


def test_rows_of_openais_batch_files(run: Run, directory: Path, simulator: Simulator, at_provider: list[str]) -> None:
    """They are taken as they are, without a template: the ids, the messages and the parameters of each."""
    lines = [
        {
            "custom_id": f"c-{number}",
            "method": "POST",
            "url": "/v1/chat/completions",
            "body": {
                "model": "gpt-4o-mini",
                "messages": [{"role": "user", "content": f"Question {number}"}],
                "temperature": 0.5,
            },
        }
        for number in range(3)
    ]
    (directory / "requests.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    # Without --model, the row's own is asked for.
    assert run("batch", "requests.jsonl", "-o", "out.jsonl", *at_provider[2:], "--set", "model=openai/x").code == 0
    assert {body["model"] for body in simulator.seen.bodies} == {"gpt-4o-mini"}
    assert simulator.seen.bodies[0]["temperature"] == 0.5
    assert [line["id"] for line in read(directory / "out.jsonl")] == ["c-0", "c-1", "c-2"]
    assert run("batch", "requests.jsonl", "-o", "other.jsonl", *at_provider).code == 0
    assert simulator.seen.bodies[-1]["model"] == "gpt-5-mini"


def test_a_picture_beside_the_input(run: Run, directory: Path, simulator: Simulator, at_provider: list[str]) -> None:
    """`--image` names the column with its path; a row whose picture is missing is set aside."""
    (directory / "in").mkdir()
    (directory / "in" / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n0000")
    (directory / "in" / "rows.csv").write_text("photo,text\na.png,one\nb.png,two\n")
    ran = run("batch", "in/rows.csv", "-o", "out.csv", *PROMPT, "--image", "photo", *at_provider)
    assert "line 3: names a picture that cannot be read: in/b.png" in ran.err
    assert simulator.seen.requests == 1
    assert simulator.seen.bodies[0]["messages"][0]["content"][1]["image_url"]["url"].startswith("data:image/png")


def test_bad_rows_are_reported_by_line_and_not_sent(
    run: Run, directory: Path, simulator: Simulator, at_provider: list[str]
) -> None:
    """Broken JSON, another kind of value and a missing field are set aside; the others are answered."""
    (directory / "in.jsonl").write_text('{"text": "a"}\n{"text": \n\n[1]\n{"id": 5, "other": 1}\n{"text": "b"}\n')
    ran = run("batch", "in.jsonl", "-o", "out.jsonl", *PROMPT, *at_provider)
    assert ran.code == 1
    assert simulator.seen.requests == 2
    for line in ("line 2: is not valid JSON", "line 4: is not a JSON object", "line 5: has no field 'text'"):
        assert line in ran.err
    assert "not sent: 3 rows that cannot be used, in out.jsonl.rejected" in ran.err
    assert [line["index"] for line in read(directory / "out.jsonl")] == [0, 4]
    rejected = read(directory / "out.jsonl.rejected")
    assert [(row["line"], row["row"]) for row in rejected] == [
        (2, '{"text": '),
        (4, "[1]"),
        (5, {"id": 5, "other": 1}),
    ]
    # Mended, the file is gone, and what was answered is not sent again.
    (directory / "in.jsonl").write_text('{"text": "a"}\n{"text": "new"}\n{"text": "b"}\n')
    assert run("batch", "in.jsonl", "-o", "out.jsonl", *PROMPT, *at_provider).code == 0
    assert simulator.seen.requests == 3
    assert not (directory / "out.jsonl.rejected").exists()
    assert [line["data"]["text"] for line in read(directory / "out.jsonl")] == ["a", "new", "b"]


def test_the_first_row_may_lack_what_others_have(run: Run, directory: Path) -> None:
    """Rows of JSON each have fields of their own; a template that fits none of them is refused all the same."""
    (directory / "in.jsonl").write_text('{"other": 1}\n{"text": "a"}\n{"text": "b"}\n')
    ran = run("batch", "in.jsonl", "-o", "out.jsonl", *PROMPT)
    assert ran.code == 1
    assert "line 1: has no field 'text'" in ran.err
    assert [line["index"] for line in read(directory / "out.jsonl")] == [1, 2]
    assert run("batch", "in.jsonl", "-o", "new.jsonl", "-t", "{none}").code == 2


def test_a_failed_row_keeps_its_error_and_is_sent_again(
    run: Run, rows: Path, simulator: Simulator, at_provider: list[str]
) -> None:
    """One refused request fails one row; the same command sends that row alone."""
    simulator.faults(Fault("status", code=400, contains="row 3"))
    ran = run("batch", "rows.jsonl", "-o", "out.jsonl", *PROMPT, *at_provider)
    assert ran.code == 1
    assert "failed: BadRequestError 1" in ran.err
    assert (
        f"to continue: asyncllm batch rows.jsonl -o out.jsonl --template 'Summarise: {{text}}' {at_provider[0]}"
        in ran.err
    )
    lines = read(rows.with_name("out.jsonl"))
    assert [line["ok"] for line in lines] == [True, True, True, False, True]
    assert lines[3]["error"]["type"] == "BadRequestError"
    assert lines[3]["text"] is None
    simulator.faults()
    assert run("batch", "rows.jsonl", "-o", "out.jsonl", *PROMPT, *at_provider).code == 0
    assert simulator.seen.requests == 5 + 1
    assert all(line["ok"] for line in read(rows.with_name("out.jsonl")))


def test_refused_requests_are_named_at_the_end(
    run: Run, rows: Path, simulator: Simulator, at_provider: list[str]
) -> None:
    """The last line has the number of 429s that were waited out; without any, it does not speak of them."""
    simulator.faults(Fault("status", code=429, retry_after=0.001, retry_after_form="ms", times=3))
    ran = run("batch", "rows.jsonl", "-o", "out.jsonl", *PROMPT, *at_provider)
    assert "5 done, 0 failed, 3 requests refused with 429, $" in ran.err
    assert "429" not in run("batch", "rows.jsonl", "-o", "again.jsonl", *PROMPT, *at_provider).err


def test_retry_failed_sends_no_new_rows(run: Run, rows: Path, simulator: Simulator, at_provider: list[str]) -> None:
    """Rows that no run has reached are left for later."""
    simulator.faults(Fault("status", code=400, contains="row 1"))
    run("batch", "rows.jsonl", "-o", "out.jsonl", *PROMPT, *at_provider, "--limit", "3")
    assert [line["ok"] for line in read(rows.with_name("out.jsonl"))] == [True, False, True]
    simulator.faults()
    assert run("batch", "rows.jsonl", "-o", "out.jsonl", *PROMPT, *at_provider, "--retry-failed").code == 0
    assert simulator.seen.requests == 3 + 1
    assert [line["ok"] for line in read(rows.with_name("out.jsonl"))] == [True, True, True]
    assert run("batch", "rows.jsonl", "-o", "out.jsonl", *PROMPT, *at_provider).code == 0
    assert simulator.seen.requests == 3 + 1 + 2
    assert len(read(rows.with_name("out.jsonl"))) == 5


def test_fresh_begins_anew_and_keeps_the_old_journal(
    run: Run, rows: Path, simulator: Simulator, at_provider: list[str]
) -> None:
    """Answers that were paid for are set aside, not deleted."""
    for _ in range(2):
        assert run("batch", "rows.jsonl", "-o", "out.jsonl", *PROMPT, *at_provider, "--fresh").code == 0
    assert simulator.seen.requests == 10
    assert Journal.read(rows.with_name("out.jsonl.journal.old")).summary().done == 5


def test_a_changed_prompt_sends_what_it_changes(
    run: Run, rows: Path, simulator: Simulator, at_provider: list[str]
) -> None:
    """The input is the same, so it is the same job; the run says what is sent again before it sends it."""
    run("batch", "rows.jsonl", "-o", "out.jsonl", *PROMPT, *at_provider)
    ran = run("batch", "rows.jsonl", "-o", "out.jsonl", "-t", "Translate: {text}", *at_provider)
    assert ran.code == 0
    assert simulator.seen.requests == 10
    assert "run 2" in ran.err
    assert all("Translate" in line["text"] for line in read(rows.with_name("out.jsonl")))


def test_a_budget_holds_for_all_runs(run: Run, rows: Path, simulator: Simulator, at_provider: list[str]) -> None:
    """What earlier runs spent counts, and rows beyond it fail without being sent."""
    limit = ["--max-tokens", "400", "--max-concurrency", "1"]
    run("batch", "rows.jsonl", "-o", "out.jsonl", *PROMPT, *at_provider, *limit, "--limit", "2")
    spent = Journal.read(rows.with_name("out.jsonl.journal")).summary().cost_usd
    assert spent > 0
    ran = run("batch", "rows.jsonl", "-o", "out.jsonl", *PROMPT, *at_provider, *limit, "--budget", f"{spent:.9f}")
    assert ran.code == 1
    assert "BudgetExceededError" in ran.err
    assert simulator.seen.requests == 2


def test_typed_answers(run: Run, directory: Path) -> None:
    """`--schema` validates each answer, and puts it under `value`, or a column for each field."""
    (directory / "mail.json").write_text(
        '{"type": "object", "properties": {"email": {"type": "string", "format": "email"}}, "required": ["email"]}'
    )
    rows = '{"text": "I am a@example.com"}\n{"text": "Write to b@example.org"}\n'
    ran = run("batch", "-", "-o", "-", *PROMPT, "--schema", "mail.json", stdin=rows)
    assert ran.code == 0
    assert [line["value"] for line in ran.lines] == [{"email": "a@example.com"}, {"email": "b@example.org"}]
    assert "text" not in ran.lines[0]
    assert run("batch", "-", "-o", "out.csv", *PROMPT, "--schema", "mail.json", stdin=rows).code == 0
    with (directory / "out.csv").open(newline="") as file:
        assert [row["answer.email"] for row in csv.DictReader(file)] == ["a@example.com", "b@example.org"]


def test_an_output_that_exists_is_kept(run: Run, rows: Path) -> None:
    """What no journal belongs to is replaced only by who says so, and the input never."""
    output = rows.with_name("out.jsonl")
    output.write_text("mine\n")
    assert "--overwrite" in run("batch", "rows.jsonl", "-o", "out.jsonl", *PROMPT).err
    assert output.read_text() == "mine\n"
    assert run("batch", "rows.jsonl", "-o", "out.jsonl", *PROMPT, "--overwrite").code == 0
    assert len(read(output)) == 5
    assert "the input itself" in run("batch", "rows.jsonl", "-o", "./rows.jsonl", *PROMPT, "--overwrite").err


def test_a_wrong_key_does_not_fail_every_row(run: Run, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reason that holds for all rows ends the run after a few; what was wrong is said."""
    (directory / "many.jsonl").write_text('{"text": "a"}\n' * 500)
    monkeypatch.setenv("OPENAI_API_KEY", "wrong")
    with Simulator(keys=["right"]) as provider:
        options = ["--model", "openai/gpt-4o", "--set", f"base_url={provider.url}", "--max-concurrency", "5"]
        ran = run("batch", "many.jsonl", "-o", "out.jsonl", *PROMPT, *options)
        assert provider.seen.requests <= 3 * 5
    assert ran.code == 1
    assert "stopped: 0 done, 5 failed" in ran.err
    assert "error: " in ran.err


def test_stop_after_errors(run: Run, rows: Path, simulator: Simulator, at_provider: list[str]) -> None:
    """The run ends with the error that was one too many."""
    simulator.faults(Fault("status", code=400))
    options = ["--stop-after-errors", "2", "--max-concurrency", "1"]
    ran = run("batch", "rows.jsonl", "-o", "out.jsonl", *PROMPT, *at_provider, *options)
    assert ran.code == 1
    assert simulator.seen.requests <= 3
    assert "stopped: " in ran.err


def test_identical_rows_are_sent_once(run: Run, directory: Path, simulator: Simulator, at_provider: list[str]) -> None:
    """Each has the answer, and its own line."""
    (directory / "in.jsonl").write_text('{"text": "a"}\n{"text": "b"}\n' * 5)
    assert run("batch", "in.jsonl", "-o", "out.jsonl", *PROMPT, *at_provider, "--deduplicate").code == 0
    assert simulator.seen.requests == 2
    lines = read(directory / "out.jsonl")
    assert len(lines) == 10
    assert len({line["text"] for line in lines}) == 2


def test_a_link_stays_one(run: Run, rows: Path) -> None:
    """The results go where the link leads."""
    (rows.parent / "elsewhere").mkdir()
    rows.with_name("out.jsonl").symlink_to(rows.parent / "elsewhere" / "real.jsonl")
    assert run("batch", "rows.jsonl", "-o", "out.jsonl", *PROMPT).code == 0
    assert rows.with_name("out.jsonl").is_symlink()
    assert len(read(rows.parent / "elsewhere" / "real.jsonl")) == 5


def test_a_missing_key_leaves_nothing_behind(run: Run, rows: Path) -> None:
    """What the configuration lacks is said before anything is made."""
    ran = run("batch", "rows.jsonl", "-o", "out.jsonl", *PROMPT, "--model", "openai/gpt-5-mini")
    assert ran.code != 0
    assert "OPENAI_API_KEY" in ran.err
    assert sorted(path.name for path in rows.parent.iterdir()) == ["config.toml", "rows.jsonl"]


def test_lone_surrogates_make_valid_json(run: Run) -> None:
    """What UTF-8 cannot hold is escaped, and comes back as it was."""
    ran = run("batch", "-", "-o", "-", *PROMPT, stdin='{"text": "a\\ud800b"}')
    assert ran.lines[0]["data"] == {"text": "a\ud800b"}


def test_no_key_is_shown_in_the_command_that_continues(
    run: Run, rows: Path, simulator: Simulator, secret_key: str
) -> None:
    """A key on the command line is not repeated on the screen."""
    simulator.faults(Fault("status", code=400))
    options = ["--model", "openai/x", "--set", f"base_url={simulator.url}", "--set", f"api_key={secret_key}"]
    ran = run("batch", "rows.jsonl", "-o", "out.jsonl", *PROMPT, *options)
    assert "'api_key=***'" in ran.err


def test_what_is_left_beside_the_output(run: Run, rows: Path) -> None:
    """The journal is one file, and nothing temporary stays."""
    run("batch", "rows.jsonl", "-o", "out.jsonl", *PROMPT)
    assert sorted(path.name for path in rows.parent.iterdir()) == [
        "config.toml",
        "out.jsonl",
        "out.jsonl.journal",
        "rows.jsonl",
    ]


def started(rows: Path, provider: Simulator, secret_key: str, *options: str) -> subprocess.Popen[str]:
    """Start the command on a provider, as a process of its own."""
    arguments = ["batch", "rows.jsonl", "-o", "out.jsonl", *PROMPT, "--model", "openai/gpt-5-mini", *options]
    return subprocess.Popen(
        [sys.executable, "-m", "asyncllm", *arguments, "--set", f"base_url={provider.url}"],
        env={**os.environ, "OPENAI_API_KEY": secret_key},
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        cwd=rows.parent,
    )


@pytest.mark.parametrize(
    ("by", "code", "word"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")]
)
def test_a_stopped_run_writes_what_was_done_and_how_to_go_on(
    rows: Path, secret_key: str, by: signal.Signals, code: int, word: str
) -> None:
    """What was answered is in the file, the exit code says why it is not all, and the same command does the rest."""
    with Simulator() as provider:
        provider.faults(Fault("stall", contains="row 3"))
        # One at a time, so that a request tells that the answer before it is in the journal.
        process = started(rows, provider, secret_key, "--max-concurrency", "1")
        provider.seen.wait(lambda seen: seen.requests == 4, timeout=30)
        process.send_signal(by)
        _, err = process.communicate(timeout=30)
        assert process.returncode == code
        lines = read(rows.with_name("out.jsonl"))
        assert [(line["index"], line["ok"]) for line in lines] == [(0, True), (1, True), (2, True)]
        assert f"{word}: 3 done, 0 failed" in err
        assert "to continue: asyncllm batch rows.jsonl" in err
        provider.faults()
        again = started(rows, provider, secret_key)
        again.communicate(timeout=30)
        assert again.returncode == 0
    assert [line["index"] for line in read(rows.with_name("out.jsonl"))] == [0, 1, 2, 3, 4]


def test_a_kill_leaves_the_results_of_the_run_before(rows: Path, secret_key: str) -> None:
    """The old file stays whole until the new one is; the answers of the killed run are in the journal."""
    with Simulator() as provider:
        first = started(rows, provider, secret_key, "--limit", "2")
        first.communicate(timeout=30)
        before = rows.with_name("out.jsonl").read_bytes()
        provider.faults(Fault("stall", contains="row 4"))
        process = started(rows, provider, secret_key, "--max-concurrency", "1")
        provider.seen.wait(lambda seen: seen.requests == 2 + 3, timeout=30)
        process.kill()
        process.communicate(timeout=30)
        assert rows.with_name("out.jsonl").read_bytes() == before
        provider.faults()
        again = started(rows, provider, secret_key)
        _, err = again.communicate(timeout=30)
        assert provider.seen.requests == 2 + 3 + 1
    assert again.returncode == 0
    assert "run 3: 4 done" in err
    assert [line["index"] for line in read(rows.with_name("out.jsonl"))] == [0, 1, 2, 3, 4]


def test_an_input_that_changes_meanwhile_gets_no_wrong_answers(rows: Path, secret_key: str) -> None:
    """Answers are not put beside rows that they are not of; the same command again takes what fits."""
    with Simulator() as provider:
        provider.faults(Fault("stall", contains="row 3"))
        process = started(rows, provider, secret_key, "--max-concurrency", "1")
        provider.seen.wait(lambda seen: seen.requests == 4, timeout=30)
        lines = rows.read_text().splitlines(keepends=True)
        rows.write_text("".join(['{"id": "first", "text": "row 9"}\n', *lines]))
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
        assert process.returncode == 2
        assert "rows.jsonl has changed while the batch ran" in err
        assert not rows.with_name("out.jsonl").exists()
        provider.faults()
        again = started(rows, provider, secret_key)
        again.communicate(timeout=30)
        assert again.returncode == 0
        assert provider.seen.requests == 4 + 3
    answered = read(rows.with_name("out.jsonl"))
    assert [line["id"] for line in answered] == ["first", "r0", "r1", "r2", "r3", "r4"]
    assert all(line["data"]["text"] in line["text"] for line in answered)


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
