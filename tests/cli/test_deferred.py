"""`asyncllm batch --deferred` and `asyncllm jobs`."""

from __future__ import annotations

import json
from pathlib import Path

import openai
import pyarrow.parquet
import pytest

from asyncllm.simulator import Simulator
from tests.cli.conftest import Run

BATCH = ("batch", "rows.jsonl", "-o", "out.jsonl", "--template", "Summarise: {text}", "--deferred", "--poll", "0.01s")


@pytest.fixture
def rows(directory: Path) -> Path:
    """A JSONL file with five good rows, and one that lacks a field."""
    path = directory / "rows.jsonl"
    lines = [json.dumps({"id": f"r{n}", "text": f"row {n}"}) for n in range(5)]
    path.write_text("\n".join([*lines, '{"id": "bad"}']))
    return path


def test_a_deferred_batch_writes_what_a_live_one_writes(
    run: Run, rows: Path, simulator: Simulator, at_provider: list[str]
) -> None:
    """The results have the same rows, in order, and the bad row is set aside."""
    ran = run(*BATCH, *at_provider)
    assert (ran.code, ran.out) == (1, "")
    assert "5 done, 0 failed" in ran.err
    assert "not sent: 1 rows" in ran.err
    lines = [json.loads(line) for line in rows.with_name("out.jsonl").read_text().splitlines()]
    assert [(line["id"], line["ok"]) for line in lines] == [(f"r{n}", True) for n in range(5)]
    assert all(f"row {n}" in line["text"] and line["cost_usd"] > 0 for n, line in enumerate(lines))
    assert sum(simulator.batches.billed.values()) == 5


def test_a_batch_is_left_with_the_provider_and_fetched_later(
    run: Run, rows: Path, simulator: Simulator, at_provider: list[str]
) -> None:
    """`--no-wait` ends when all is sent, `jobs` shows it, and the same command without it takes the results."""
    simulator.batches.takes_s = 1000
    ran = run(*BATCH, *at_provider, "--no-wait")
    assert ran.code == 1, ran.err  # a row is bad
    assert "5 requests are with the provider, in 1 batch" in ran.err
    shown = run("jobs")
    assert not list(rows.parent.glob("*-wal"))
    assert "out.jsonl.journal: 5 requests, 5 without an outcome" in shown.out
    assert "0 of 5 answered" in shown.out
    assert run("jobs", "out.jsonl.journal", "--json").json["out.jsonl.journal"]["waiting"] == 5
    simulator.batches.advance(1000)
    assert "5 done" in run(*BATCH, *at_provider).err
    assert "all have an outcome" in run("jobs").out
    assert sum(simulator.batches.billed.values()) == 5


def test_a_batch_is_cancelled(run: Run, rows: Path, simulator: Simulator, at_provider: list[str]) -> None:
    """`--cancel` stops it at the provider."""
    simulator.batches.takes_s = 1000
    run(*BATCH, *at_provider, "--no-wait")
    ran = run(*BATCH, *at_provider, "--cancel")
    assert ran.code == 0
    assert "cancelled: 0 requests were answered before" in ran.err
    simulator.batches.advance(1000)
    assert not simulator.batches.billed


def test_what_the_limits_leave_free_goes_out_live(
    run: Run, rows: Path, simulator: Simulator, at_provider: list[str]
) -> None:
    """`--mixed` fills the free slots, and defers the rest."""
    assert "5 done" in run(*BATCH, *at_provider, "--mixed", "--max-concurrency", "2").err
    assert simulator.seen.paths.count("/v1/chat/completions") == 2
    assert sum(simulator.batches.billed.values()) == 3


def test_bad_answers_are_asked_for_again_in_a_batch(
    run: Run, rows: Path, simulator: Simulator, at_provider: list[str]
) -> None:
    """With `--reask deferred` no request is live."""
    rows.with_name("never.py").write_text(
        "from pydantic import BaseModel, field_validator\n\n"
        "class Never(BaseModel):\n    number: int\n\n    @field_validator('number')\n    @classmethod\n"
        "    def refused(cls, value):\n        raise ValueError('try again')\n"
    )
    ran = run(*BATCH, *at_provider, "--schema", "never:Never", "--reask", "deferred", "--limit", "1")
    assert "1 failed" in ran.err
    assert simulator.seen.paths.count("/v1/batches") == 3
    assert "/v1/chat/completions" not in simulator.seen.paths


def sent_by_another(simulator: Simulator, key: str) -> str:
    """Create a batch with OpenAI's SDK, and return its id."""
    lines = [
        json.dumps(
            {
                "custom_id": f"one/{number}",
                "method": "POST",
                "url": "/v1/chat/completions",
                "body": {"model": "gpt-5-mini", "messages": [{"role": "user", "content": f"question {number}"}]},
            }
        )
        for number in range(3)
    ]
    with openai.OpenAI(base_url=simulator.url, api_key=key) as client:
        file = client.files.create(file=("in.jsonl", "\n".join(lines).encode()), purpose="batch")
        return client.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h").id


@pytest.mark.parametrize("output", ["out.jsonl", "out.csv", "out.parquet", "-"])
def test_a_batch_is_adopted(
    run: Run, directory: Path, simulator: Simulator, at_provider: list[str], secret_key: str, output: str
) -> None:
    """The results of a batch that something else created are written, at once or by a later command."""
    simulator.batches.takes_s = 1000
    id = sent_by_another(simulator, secret_key)
    command = ("batch", id, "-o", output, "--adopt", "--poll", "0.01s", "--journal", "its.journal", *at_provider)
    ran = run(*command, "--no-wait")
    assert (ran.code, ran.out) == (0, ""), ran.err
    assert "3 requests are with the provider, in 1 batch" in ran.err
    assert "its.journal: 3 requests, 3 without an outcome" in run("jobs").out
    simulator.batches.advance(1000)
    for _ in range(2):  # the second from the journal
        ran = run(*command)
        assert (ran.code, "3 done, 0 failed" in ran.err) == (0, True), ran.err
        if output == "out.parquet":
            written = str(pyarrow.parquet.read_table(directory / output).to_pylist())
        else:
            written = ran.out if output == "-" else (directory / output).read_text()
        assert all(f"one/{number}" in written and f"question {number}" in written for number in range(3))
    assert sum(simulator.batches.billed.values()) == 3
    other = run(*command[:1], "batch_other", *command[2:])
    assert (other.code, "journal of another job" in other.err) == (2, True)


def test_a_batch_that_is_not_there_is_not_adopted(run: Run, directory: Path, at_provider: list[str]) -> None:
    """The provider's error says so."""
    ran = run("batch", "batch_none", "-o", "out.jsonl", "--adopt", *at_provider)
    assert ran.code not in (0, 2)
    assert "batch_none" in ran.err
    assert not (directory / "out.jsonl").exists()


def test_the_plan_shows_both_prices(run: Run, rows: Path, at_provider: list[str]) -> None:
    """A dry run says what is saved, and sends nothing."""
    ran = run(*BATCH, *at_provider, "--dry-run")
    assert ran.code == 0
    assert "which saves $" in ran.out


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--no-wait"], "--no-wait belongs to --deferred"),
        (["--mixed"], "--mixed belongs to --deferred"),
        (["--deferred", "--mixed", "--no-wait"], "--mixed waits"),
        (["--deferred", "--reask", "later"], "--reask is live or deferred, not 'later'"),
        (["--adopt"], "--template does not go with --adopt"),
        (["--deferred", "--poll", "soon"], "--poll takes a time"),
        (["--deferred", "--cancel"], "nothing to cancel"),
    ],
)
def test_wrong_usage(run: Run, rows: Path, arguments: list[str], problem: str) -> None:
    """Exit code 2, and a message that names the thing."""
    ran = run("batch", "rows.jsonl", "-o", "out.jsonl", "-t", "{text}", *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert problem in ran.err


def test_no_jobs(run: Run) -> None:
    """A directory without journals has none."""
    assert "there is no journal with deferred batches" in run("jobs").err
