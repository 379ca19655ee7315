"""`asyncllm batch --deferred` and `asyncllm jobs`."""

from __future__ import annotations

import json
from pathlib import Path

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


def test_the_plan_shows_both_prices(run: Run, rows: Path, at_provider: list[str]) -> None:
    """A dry run says what is saved, and sends nothing."""
    ran = run(*BATCH, *at_provider, "--dry-run")
    assert ran.code == 0
    assert "which saves $" in ran.out


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--no-wait"], "belong to --deferred"),
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
