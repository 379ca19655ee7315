"""`asyncllm batch` with another prompt, other parameters or fewer rows: what is sent is known before it is sent."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from asyncllm.simulator import Fault, Simulator
from tests.cli.conftest import Run

A, B = ("-t", "A {text}"), ("-t", "B {text}")


@pytest.fixture(params=["with ids", "without ids"])
def rows(directory: Path, request: pytest.FixtureRequest) -> Path:
    """A file with eight rows."""
    path = directory / "rows.jsonl"
    with_ids = request.param == "with ids"
    data = [{"text": f"row {n}"} | ({"id": f"r{n}"} if with_ids else {}) for n in range(8)]
    path.write_text("".join(json.dumps(row) + "\n" for row in data))
    return path


@pytest.mark.parametrize("changed", [B, (*A, "-s", "Be brief.")], ids=["template", "instructions"])
def test_a_changed_prompt_is_known_before(
    run: Run, rows: Path, simulator: Simulator, at_provider: list[str], changed: tuple[str, ...]
) -> None:
    """The dry run and the first line of the run have the number of rows, and the reason."""
    command = ["batch", "rows.jsonl", "-o", "out.jsonl", *at_provider]
    assert run(*command, *A).code == 0
    dry = run(*command, *changed, "--dry-run").out
    assert "8 to send" in dry
    assert "about 8 of these: 8 prompt changed" in dry
    assert "answered" not in dry
    ran = run(*command, *changed)
    assert "run 2: 0 done; 8 to be sent again (8 prompt changed)" in ran.err
    assert simulator.seen.requests == 16
    assert "run 3: 8 done; 0 to be sent again" in run(*command, *changed).err
    assert simulator.seen.requests == 16


def test_the_earlier_prompt_after_a_few_rows_of_another(
    run: Run, rows: Path, simulator: Simulator, at_provider: list[str]
) -> None:
    """What the earlier prompt has answers for is not announced as to be sent."""
    command = ["batch", "rows.jsonl", "-o", "out.jsonl", *at_provider]
    run(*command, *A)
    run(*command, *B, "--limit", "3", "--overwrite")
    sent = simulator.seen.requests
    dry = run(*command, *A, "--dry-run").out
    ran = run(*command, *A)
    again = simulator.seen.requests - sent
    assert f"{again} to send" in dry
    assert f"run 3: {8 - again} done; {again} to be sent again" in ran.err


def test_what_of_the_parameters_changed_is_said_in_words(
    run: Run, rows: Path, simulator: Simulator, at_provider: list[str]
) -> None:
    """Numbers are shown; of anything else that it is set, is not set any more, or differs."""
    command = ["batch", "rows.jsonl", "-o", "out.jsonl", *A, *at_provider]
    run(*command, "--set", "temperature=0.1", "--set", 'extra_body={"top_k": 1}')
    ran = run(*command, "--set", "temperature=0.9", "--set", 'extra_body={"top_k": 2}')
    assert "(8 extra_body changed and temperature changed); extra_body has another value; temperature 0.1 → 0.9" in (
        ran.err
    )
    assert "; extra_body is no longer set; temperature is no longer set" in run(*command).err


@pytest.mark.parametrize("option", ["--limit", "--sample"])
def test_fewer_rows_do_not_replace_a_file_of_more(
    run: Run, rows: Path, simulator: Simulator, at_provider: list[str], option: str
) -> None:
    """A try on a few rows leaves paid results alone, unless that is asked for; more rows are welcome."""
    command = ["batch", "rows.jsonl", "-o", "out.jsonl", *at_provider]
    assert run(*command, *A, option, "2").code == 0
    assert run(*command, *A, option, "4").code == 0
    assert run(*command, *A).code == 0
    content = rows.with_name("out.jsonl").read_bytes()
    refused = run(*command, *B, option, "2")
    assert refused.code == 2
    assert "out.jsonl has the results of 8 rows, and a run of 2 would replace them" in refused.err
    assert "--overwrite" in refused.err
    assert (simulator.seen.requests, rows.with_name("out.jsonl").read_bytes()) == (8, content)
    assert run(*command, *B, option, "2", "--overwrite").code == 0
    assert len(rows.with_name("out.jsonl").read_text().splitlines()) == 2
    assert simulator.seen.requests == 10


@pytest.mark.parametrize("out", ["out.jsonl", "out.parquet"])
def test_an_interrupted_run_leaves_a_file_of_more_rows(
    run: Run, rows: Path, simulator: Simulator, at_provider: list[str], out: str
) -> None:
    """Paid results of another prompt stay until a run has as many; the notes have where the new ones are."""
    command = ["batch", "rows.jsonl", "-o", out, *at_provider, "--max-concurrency", "1"]
    assert run(*command, *A).code == 0
    content = rows.with_name(out).read_bytes()
    # Twice: the second run, of the same prompt as the one before it, must not fill up with answers to the first prompt.
    for stalled, sent in ((3, 4), (5, 3)):
        simulator.faults(Fault("stall", contains=f"B row {stalled}"))
        err = _interrupted(simulator, simulator.seen.requests + sent, *command, *B)
        assert f"interrupted: {stalled} done" in err
        assert f"in {out}.journal\n{out} is left as it was: it has more rows than this run has results\n" in err
        assert f"to continue: asyncllm {command[0]}" in err
        assert rows.with_name(out).read_bytes() == content
    refused = run(*command, *B, "--limit", "5")
    assert f"{out} has the results of 8 rows" in refused.err
    simulator.faults()
    sent = simulator.seen.requests
    assert run(*command, *B).code == 0
    assert simulator.seen.requests - sent == 3
    assert rows.with_name(out).read_bytes() != content


def test_a_run_that_overwrites_and_is_interrupted(
    run: Run, rows: Path, simulator: Simulator, at_provider: list[str]
) -> None:
    """The file of more rows stays as well, and the command that continues may replace it."""
    command = ["batch", "rows.jsonl", "-o", "out.jsonl", *at_provider, "--max-concurrency", "1"]
    assert run(*command, *A).code == 0
    simulator.faults(Fault("stall", contains="B row 1"))
    err = _interrupted(simulator, 8 + 2, *command, *B, "--limit", "2", "--fresh")
    assert "--limit 2 --overwrite" in err
    assert len(rows.with_name("out.jsonl").read_text().splitlines()) == 8
    simulator.faults()
    assert run(*command, *B, "--limit", "2", "--overwrite").code == 0
    assert len(rows.with_name("out.jsonl").read_text().splitlines()) == 2


def test_the_rows_of_the_file_decide_about_a_limit(
    run: Run, rows: Path, simulator: Simulator, at_provider: list[str]
) -> None:
    """A file of fewer rows than its journal has may be replaced by as many."""
    command = ["batch", "rows.jsonl", "-o", "out.jsonl", *at_provider]
    assert run(*command, *A).code == 0
    out = rows.with_name("out.jsonl")
    out.write_text("".join(out.read_text().splitlines(keepends=True)[:2]))
    assert run(*command, *A, "--limit", "2").code == 0


def _interrupted(simulator: Simulator, requests: int, *command: str) -> str:
    """Interrupt a command when the provider has had so many requests, and return its notes."""
    process = subprocess.Popen(
        [sys.executable, "-m", "asyncllm", *command], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    simulator.seen.wait(lambda seen: seen.requests == requests, timeout=30)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    return err


def test_a_mistyped_id_field(run: Run, rows: Path, simulator: Simulator, at_provider: list[str]) -> None:
    """It is refused with the nearest field; the usual one may be missing."""
    ran = run("batch", "rows.jsonl", "-o", "out.jsonl", *A, "--id-field", "texts", *at_provider)
    assert ran.code == 2
    assert "the field of the ids is 'texts', which the input does not have. Did you mean text?" in ran.err
    assert simulator.seen.requests == 0


def test_a_wrong_value_of_set_is_named_by_its_option(run: Run, rows: Path) -> None:
    """The message has the option that the value came from."""
    ran = run("batch", "rows.jsonl", "-o", "out.jsonl", *A, "--set", "extra_body=1")
    assert ran.code == 2
    assert "--set extra_body must be a table" in ran.err
