"""`asyncllm demo`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run

MESSAGES = [
    {"id": "m1", "text": "Where is order A-1? Ann Lee, ann@example.com"},
    {"id": "m2", "text": "  "},
    {"id": "m3", "text": "I want a refund of order B-2. Bo, bo@example.com"},
]


@pytest.fixture
def messages(directory: Path) -> Path:
    """Messages, one of them empty, where the demo looks for them, beside a configuration that is of no use."""
    (directory / "config.toml").write_text("[llm]\nmodel = 7\n")
    path = directory / "examples" / "data" / "support_emails.jsonl"
    path.parent.mkdir(parents=True)
    path.write_text("".join(f"{json.dumps(message)}\n" for message in MESSAGES) + "broken\n")
    return path


def test_it_shows_everything_with_any_configuration(run: Run, messages: Path, directory: Path) -> None:
    """A call, a stream, a typed answer and a batch, then a table; rows without a message are said not to be sent."""
    ran = run("demo")
    assert ran.code == 0
    assert ran.out.splitlines()[0].startswith("A simulator on this machine gives all answers")
    for title in ("A call", "A stream", "A typed answer", "A batch", "What happened", "made-up prices"):
        assert title in ran.out
    assert "4 messages: 2 done" in ran.out
    assert "line 2: not sent" in ran.out
    assert "line 4: is not valid JSON" in ran.out
    results = directory / "out" / "demo" / "results.jsonl"
    lines = [json.loads(line) for line in results.read_text().splitlines()]
    assert [(line["index"], line["ok"]) for line in lines] == [(0, True), (2, True)]
    assert lines[0]["value"]["email"] == "ann@example.com"
    assert list(results.parent.iterdir()) == [results]
    assert "\x1b" not in ran.out + ran.err


def test_outside_of_a_clone_it_has_messages_of_its_own(run: Run) -> None:
    """The installed package is enough."""
    ran = run("demo")
    assert ran.code == 0
    assert "20 messages: " in ran.out


def test_a_file_that_is_not_there_is_named(run: Run) -> None:
    """So is the option that names another."""
    ran = run("demo", "--data", "none.jsonl")
    assert (ran.code, ran.out) == (2, "")
    assert "there is no none.jsonl" in ran.err
    assert "--data" in ran.err
