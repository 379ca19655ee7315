"""`asyncllm batch` with another prompt, other parameters or fewer rows: what is sent is known before it is sent."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from asyncllm.simulator import Simulator
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
